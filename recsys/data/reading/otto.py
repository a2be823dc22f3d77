"""Sessions of the OTTO layout: the compiled parser of :mod:`recsys.data.reading.otto_lines`, and one that knows all of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from recsys.data.reading.jsonlines import NotJSON, parsed

KINDS = ("clicks", "carts", "orders")
LATEST = 7_258_118_400_000  # ms: 2200-01-01
_LEAST = 28  # an event has at least so many bytes


@dataclass(frozen=True)
class Sessions:
    """Events of whole lines: int64 [E] ``session``, ``item``, ``time`` (microseconds since 1970), uint8 [E] ``kind`` (a place in
    ``KINDS``); ``bad``: line, column, value and reason of lines that are not in them."""

    session: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64]
    kind: NDArray[np.uint8]
    bad: list[tuple[int, str | None, str | None, str]]


def sessions(text: bytes) -> Sessions:
    """Parse lines; the number of a bad one counts from 0."""
    if text and not text.endswith(b"\n"):
        text += b"\n"
    room = len(text) // _LEAST + 1
    session, item, time = (np.empty(room, dtype=np.int64) for _ in range(3))
    kind, left = np.empty(room, dtype=np.uint8), np.empty((text.count(b"\n"), 3), dtype=np.int64)
    from recsys.data.reading.otto_lines import parse  # loads the compiler

    rows, lefts = parse(np.frombuffer(text, np.uint8), session, item, time, kind, left)
    columns: list[NDArray[Any]] = [session[:rows], item[:rows], time[:rows], kind[:rows]]
    bad: list[tuple[int, str | None, str | None, str]] = []
    places: list[int] = []
    slow: list[tuple[int, int, int, int]] = []
    for row, begin, line in left[:lefts].tolist():
        end = text.index(b"\n", begin)
        if not text[begin:end].strip():
            continue
        try:
            found = _slow(text[begin:end])
        except _Bad as error:
            bad.append((line, error.column, error.value, str(error)))
            continue
        slow += found
        places += [row] * len(found)
    if slow:
        columns = [np.insert(column, places, list(values)) for column, values in zip(columns, zip(*slow, strict=True), strict=True)]
    return Sessions(columns[0], columns[1], columns[2], columns[3], bad)


class _Bad(ValueError):
    def __init__(self, reason: str, column: str | None = None, value: object = None) -> None:
        super().__init__(reason)
        self.column, self.value = column, None if column is None else repr(value)[:500]


def _slow(line: bytes) -> list[tuple[int, int, int, int]]:
    """Session, item, time and kind of each event of a line, by the standard library's parser."""
    try:
        found = parsed(line)
    except NotJSON as error:
        raise _Bad(str(error)) from None
    session, events = found.get("session"), found.get("events")
    if not _whole(session):
        raise _Bad("a session is a 64-bit integer: mend the line", "session", session)
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise _Bad('events are a list of objects with "aid", "ts" and "type": mend the line', "events", events)
    rows: list[tuple[int, int, int, int]] = []
    for event in events:
        item, time, kind = event.get("aid"), event.get("ts"), event.get("type")
        if not _whole(item):
            raise _Bad("an item is a 64-bit integer: mend the line", "aid", item)
        if not _whole(time) or not 0 <= time <= LATEST:
            raise _Bad("times are integers of milliseconds between 1970 and 2200: mend the line", "ts", time)
        if kind not in KINDS:
            raise _Bad(f"types are {', '.join(KINDS)}: mend the line", "type", kind)
        rows.append((session, item, time * 1000, KINDS.index(kind)))
    return rows


def _whole(value: object) -> TypeGuard[int]:
    return type(value) is int and -(2**63) <= value < 2**63
