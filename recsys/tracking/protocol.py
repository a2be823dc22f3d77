"""The tracker protocol: four methods, and the meaning that every implementation gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

Status = Literal["finished", "failed", "killed"]


@runtime_checkable
class Tracker(Protocol):
    """Where a run is recorded. Tags (text by name) are given at opening, by the constructor.

    A run that is interrupted and continued calls the same methods again with the same values. A tracker therefore keeps the
    first value of each (metric, step) and drops later ones, so that nothing is recorded twice.
    """

    def params(self, values: Mapping[str, Any]) -> None:
        """Records the configuration: plain JSON values, nested as they are."""
        ...

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Records numbers, at a step (an epoch, counted from 1) or, with None, for the run as a whole."""
        ...

    def artifact(self, path: Path) -> None:
        """Records a file or a folder that exists. Raises FileNotFoundError otherwise."""
        ...

    def close(self, status: Status = "finished") -> None:
        """Records how the run ended and releases files and connections. A second call does nothing."""
        ...


def check_status(status: str) -> None:
    """Raises ValueError for a status that is none."""
    if status not in get_args(Status):
        raise ValueError(f"a run cannot end as {status!r}; it ends as one of {', '.join(get_args(Status))}")


def flatten(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested configuration as one text per dotted key.

    A part takes its own key for its class and the keys below for its arguments: ``{"model": {"class_path": "recsys.models.MF",
    "init_args": {"dim": 64}}}`` becomes ``{"model": "recsys.models.MF", "model.dim": "64"}``. A list of plain values is one JSON
    text, a list with parts in it has its positions as keys. Text stays as it is, all else is written as JSON (``true``, ``null``).
    """
    flat: dict[str, str] = {}
    _flatten("", values, flat)
    return flat


def _flatten(key: str, value: Any, flat: dict[str, str]) -> None:
    if isinstance(value, Mapping) and "class_path" in value and set(value) <= {"class_path", "init_args"}:
        flat[key or "class_path"] = str(value["class_path"])
        for name, inner in value.get("init_args", {}).items():
            _flatten(_below(key, name), inner, flat)
    elif isinstance(value, Mapping) and (value or not key):
        for name, inner in value.items():
            _flatten(_below(key, str(name)), inner, flat)
    elif isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value):
        for position, inner in enumerate(value):
            _flatten(_below(key, str(position)), inner, flat)
    else:
        flat[key] = value if isinstance(value, str) else json.dumps(value, default=str)


def _below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
