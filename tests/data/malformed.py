"""Logs with known faults: every way to spoil one row, by format."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import zstandard

from recsys.data.sources import Otto, RecBole, Source, Table

Row = dict[str, Any]
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
FORMATS = ("csv", "tsv", "inter", "jsonl", "parquet", "arrow", "otto")
VALUES: dict[str, list[str]] = {  # values that a column of text refuses
    "who": ["", "  ", "NaN", "null", "x7", "12.0", "1e3", str(2**63), "7 ", "0x1f", "--3", "٣", "é"],
    "what": ["", "None", "12.5", "-", str(-(2**63) - 1), "🎬"],
    "when": ["", "later", "2026-01-31", "-5", str(10**13), str(10**25), "nan", "inf"],
    "stars": ["", "nan", "inf", "-inf", "-0.5", "good", "1;5", "1e999"],
}


def row(at: int) -> Row:
    """A good row."""
    return {"who": 2**40 + at % 7, "what": 2**53 + 1 + at, "when": 1_600_000_000 + 1000 * at, "stars": (at % 9) / 2}


def good(rows: list[Row]) -> list[tuple[Any, ...]]:
    """The events of rows."""
    return [(r["who"], r["what"], r["when"], r["stars"]) for r in rows]


@dataclass(frozen=True)
class Log:
    """A file, where its bad rows are (line from 1, or row from 0), and its good events."""

    path: Path
    source: Callable[..., Source]
    bad: list[int]
    events: list[tuple[Any, ...]]


def faults(form: str) -> dict[str, Callable[[Row], bytes | Row]]:
    """What can be wrong with one row: name -> the line, or for tables the values."""
    if form == "jsonl":
        return _json()
    if form == "otto":
        return _otto()
    if form in ("parquet", "arrow"):
        return {
            f"{column} {value!r}": (lambda r, c=column, v=value: {**r, c: v})
            for column, values in {
                "who": [None, "", "x7", "12.0", str(2**63)],
                "what": [None, " ", "NaN"],
                "when": [None, float("nan"), float("inf"), -1.0, 1e13],
                "stars": [None, float("nan"), float("-inf"), -1.0],
            }.items()
            for value in values
        }
    separator = b"," if form == "csv" else b"\t"

    def line(r: Row, **changes: object) -> bytes:
        return separator.join(str(value).encode() for value in {**r, **changes}.values())

    found: dict[str, Callable[[Row], bytes | Row]] = {
        f"{column} {value!r}": (lambda r, c=column, v=value: line(r, **{c: v})) for column, values in VALUES.items() for value in values
    }
    found |= {
        "few fields": lambda r: separator.join(line(r).split(separator)[:-1]),
        "one field": lambda r: b"7",
        "many fields": lambda r: line(r) + separator + b"1",
        "zero byte": lambda r: line(r, what="4\0"),
        "latin-1": lambda r: line(r).replace(b".", b"\xe4", 1),
        "control": lambda r: line(r, what="4\x07"),
    }
    if form != "inter":
        found |= {
            "mark inside": lambda r: line(r, what='4"'),
            "text after mark": lambda r: line(r, what='"4"5'),
            "never closed": lambda r: line(r, what='"4'),
        }
    return found


def _json() -> dict[str, Callable[[Row], bytes | Row]]:
    def line(r: Row, **changes: object) -> bytes:
        return json.dumps({**r, **changes}).encode()

    wrong: dict[str, list[object]] = {
        "who": [None, "", "7", 12.0, 1.5, True, 2**63, [1], {"id": 1}, float("nan")],
        "what": [None, "x", -(2**63) - 1, 10**400, False],
        "when": [None, "2026-01-31", -5, 10**13, 10**30],
        "stars": [None, "4", -1, float("inf"), [4], True],
    }
    found: dict[str, Callable[[Row], bytes | Row]] = {
        f"{key} {value!r:.30}": (lambda r, k=key, v=value: line(r, **{k: v})) for key, values in wrong.items() for value in values
    }
    return found | {
        "cut": lambda r: line(r)[:-9],
        "list": lambda r: b"[1, 2]",
        "number": lambda r: b"5",
        "text": lambda r: b"who what",
        "null": lambda r: b"null",
        "two objects": lambda r: line(r) + line(r),
        "comma after": lambda r: line(r) + b",",
        "twice the key": lambda r: line(r)[:-1] + b', "who": 8}',
        "escaped twice": lambda r: line(r)[:-1] + b', "wh\\u006f": 8}',
        "missing": lambda r: line({key: value for key, value in r.items() if key != "what"}),
        "single quotes": lambda r: line(r).replace(b'"', b"'"),
        "deep": lambda r: line(r)[:-1] + b', "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        "leading zero": lambda r: line(r).replace(b": 1", b": 01", 1),
        "latin-1": lambda r: line(r)[:-1] + b', "x": "\xe4"}',
        "zero byte": lambda r: line(r) + b"\0",
        "control": lambda r: line(r)[:-1] + b', "x": "\x01"}',
    }


def _otto() -> dict[str, Callable[[Row], bytes | Row]]:
    def line(r: Row, session: object = 7, **changes: object) -> bytes:
        event = {"aid": r["what"], "ts": r["when"] * 1000, "type": "clicks", **changes}
        return json.dumps({"session": session, "events": [{"aid": 1, "ts": 1, "type": "carts"}, event]}).encode()

    wrong: dict[str, list[object]] = {
        "session": [None, "7", 1.0, True, 2**63],
        "aid": [None, "x", 1.5, 2**64, [1], {}, False],
        "ts": [None, -1, 7_258_118_400_001, 10**30, "1661200010000", 1.5e12],
        "type": [None, "views", "", 1, ["clicks"]],
    }
    found: dict[str, Callable[[Row], bytes | Row]] = {
        f"{key} {value!r:.30}": (lambda r, k=key, v=value: line(r, **{k: v})) for key, values in wrong.items() for value in values
    }
    return found | {
        "cut": lambda r: line(r)[:-3],
        "no events": lambda r: b'{"session": 7}',
        "events null": lambda r: b'{"session": 7, "events": null}',
        "events of numbers": lambda r: b'{"session": 7, "events": [1]}',
        "two sessions": lambda r: line(r)[:-1] + b', "session": 8}',
        "two items": lambda r: line(r).replace(b'"ts": 1,', b'"ts": 1, "aid": 9,'),
        "missing": lambda r: line(r).replace(b'"ts": 1,', b""),
        "leading zero": lambda r: line(r).replace(b'"aid": 1,', b'"aid": 01,'),
        "after it": lambda r: line(r) + b" x",
        "latin-1": lambda r: line(r).replace(b"carts", b"c\xe4rts"),
        "zero byte": lambda r: line(r).replace(b"carts", b"c\0rts"),
        "number": lambda r: b"5",
    }


def make(folder: Path, form: str, pack: str, size: int, spoilt: dict[int, str], *, newline: bytes = b"\n", bom: bool = False) -> Log:
    """A log of ``size`` rows, some spoilt: row -> name of the fault."""
    kinds = faults(form)
    rows = [row(at) for at in range(size)]
    made = [kinds[spoilt[at]](rows[at]) if at in spoilt else rows[at] for at in range(size)]
    kept = [rows[at] for at in range(size) if at not in spoilt]
    options = {"user": "who", "item": "what", "time": "when", "weight": "stars"}
    if form in ("parquet", "arrow"):
        frame = pl.DataFrame(
            [
                {
                    "who": str(r["who"]) if r["who"] is not None else None,
                    "what": str(r["what"]) if r["what"] is not None else None,
                    "when": r["when"],
                    "stars": r["stars"],
                }
                for r in made
            ],  # type: ignore[index]
            schema={"who": pl.String, "what": pl.String, "when": pl.Float64, "stars": pl.Float64},
        )
        path = folder / f"log.{form}"
        (frame.write_parquet if form == "parquet" else frame.write_ipc)(path)
        return Log(path, lambda **o: Table(path, **options, time_unit="s", ids="integer", **o), sorted(spoilt), good(kept))
    first = {"csv": b"who,what,when,stars", "tsv": b"who\twhat\twhen\tstars", "inter": b"who:token\twhat:token\twhen:float\tstars:float"}
    lines = [first[form]] if form in first else []
    lines += [one if isinstance(one, bytes) else _line(form, one) for one in made]
    ending = {"otto": "jsonl"}.get(form, form)
    path = folder / f"log.{ending}{pack}"
    path.write_bytes(PACK[pack]((b"\xef\xbb\xbf" if bom else b"") + newline.join(lines) + newline))
    bad = [at + 1 + len(first.keys() & {form}) for at in sorted(spoilt)]
    if form == "otto":
        events = [(r["who"], r["what"], r["when"], "clicks") for r in kept]
        return Log(path, lambda **o: Otto(path, **o), bad, events)
    if form == "inter":
        return Log(path, lambda **o: RecBole(path, **options, ids="integer", **o), bad, good(kept))
    return Log(path, lambda **o: Table(path, **options, time_unit="s", ids="integer", **o), bad, good(kept))


def _line(form: str, r: Row) -> bytes:
    if form == "jsonl":
        return json.dumps(r).encode()
    if form == "otto":
        return json.dumps({"session": r["who"], "events": [{"aid": r["what"], "ts": r["when"] * 1000, "type": "clicks"}]}).encode()
    return ("," if form == "csv" else "\t").join(str(value) for value in r.values()).encode()


def cut_file(content: bytes, at: float) -> bytes:
    """The first share of a file, at least a byte short."""
    return content[: min(len(content) - 1, int(len(content) * at))]
