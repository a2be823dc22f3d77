"""What the recording scripts share: reading ``lists.json``, and writing what one library said about it. It needs nothing but Python."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
KS = (5, 10, 20)


def queries() -> list[dict]:
    """One dict a query: ``list``, ``scores`` and ``relevant``."""
    return json.loads((HERE / "lists.json").read_text())["queries"]


def num_items() -> int:
    """Codes 0 to this - 1 stand for all items, those that training does not know included."""
    head = json.loads((HERE / "lists.json").read_text())
    return head["known"] + head["unknown"]


def known() -> int:
    return json.loads((HERE / "lists.json").read_text())["known"]


def by_rank(query: dict) -> list[tuple[int, float]]:
    """(item, a score without ties) in the order of the list, for a library that ranks by score and breaks ties in its own way."""
    return [(item, float(len(query["list"]) - at)) for at, item in enumerate(query["list"])]


def write(name: str, library: str, version: str, values: dict[str, float]) -> None:
    text = json.dumps({"library": library, "version": version, "values": {k: float(v) for k, v in sorted(values.items())}}, indent=1)
    (HERE / f"{name}.json").write_text(text + "\n")
    print(text)
