"""A compiled parser of one JSON layout: a session with its events on each line, as in the OTTO data set.

A line is ``{"session": 1, "events": [{"aid": 2, "ts": 3, "type": "clicks"}, ...]}``, keys in any order, with or without white space. A line
with anything else (other keys, escapes, signs, numbers of more than 18 digits, times outside 1970 to 2200) is left to a slow parser that
knows all of JSON and gives reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numba import njit
from numpy.typing import NDArray

from recsys.data.reading.jsonlines import NotJSON, parsed

KINDS = ("clicks", "carts", "orders")
LATEST = 7_258_118_400_000  # ms: 2200-01-01
_LEAST = 28  # an event has at least so many bytes


@njit(cache=True, nogil=True, inline="always")
def _skip(text: Any, at: int) -> int:
    while text[at] == 32 or text[at] == 9 or text[at] == 13:
        at += 1
    return at


@njit(cache=True, nogil=True, inline="always")
def _number(text: Any, at: int) -> tuple[int, int]:
    """A whole number of at most 18 digits, and where it ends; -1 where there is none."""
    begin, value = at, 0
    digit = int(text[at]) - 48
    while 0 <= digit <= 9:
        value = value * 10 + digit
        at += 1
        if at - begin > 18:
            return -1, at
        digit = int(text[at]) - 48
    if at == begin or (text[begin] == 48 and at - begin > 1):
        return -1, at
    return value, at


@njit(cache=True, nogil=True)
def _event(text: Any, at: int) -> tuple[int, int, int, int]:
    """Item, time, kind of the object that begins after ``at - 1``, and where it ends; -1 as the end of anything unusual."""
    item, time, kind, seen = 0, 0, 0, 0
    while True:
        at = _skip(text, at)
        if text[at] != 34:
            return 0, 0, 0, -1
        if text[at + 1] == 97 and text[at + 2] == 105 and text[at + 3] == 100 and text[at + 4] == 34:
            key, at = 1, at + 5
        elif text[at + 1] == 116 and text[at + 2] == 115 and text[at + 3] == 34:
            key, at = 2, at + 4
        elif text[at + 1] == 116 and text[at + 2] == 121 and text[at + 3] == 112 and text[at + 4] == 101 and text[at + 5] == 34:
            key, at = 4, at + 6
        else:
            return 0, 0, 0, -1
        at = _skip(text, at)
        if text[at] != 58 or seen & key:
            return 0, 0, 0, -1
        seen |= key
        at = _skip(text, at + 1)
        if key == 4:
            if text[at] != 34:
                return 0, 0, 0, -1
            if text[at + 1] == 99 and text[at + 2] == 108 and text[at + 3] == 105 and text[at + 4] == 99 and text[at + 5] == 107:
                kind, at = 0, at + 6
                if text[at] != 115 or text[at + 1] != 34:
                    return 0, 0, 0, -1
            elif text[at + 1] == 99 and text[at + 2] == 97 and text[at + 3] == 114 and text[at + 4] == 116:
                kind, at = 1, at + 5
                if text[at] != 115 or text[at + 1] != 34:
                    return 0, 0, 0, -1
            elif text[at + 1] == 111 and text[at + 2] == 114 and text[at + 3] == 100 and text[at + 4] == 101 and text[at + 5] == 114:
                kind, at = 2, at + 6
                if text[at] != 115 or text[at + 1] != 34:
                    return 0, 0, 0, -1
            else:
                return 0, 0, 0, -1
            at += 2
        else:
            value, at = _number(text, at)
            if value < 0:
                return 0, 0, 0, -1
            if key == 1:
                item = value
            else:
                time = value
        at = _skip(text, at)
        if text[at] == 125:
            break
        if text[at] != 44:
            return 0, 0, 0, -1
        at += 1
    if seen != 7 or time > LATEST:
        return 0, 0, 0, -1
    return item, time, kind, at + 1


@njit(cache=True, nogil=True)
def _line(text: Any, at: int, row: int, session: Any, item: Any, time: Any, kind: Any) -> int:
    """The row after those of the line at ``at``, or -1 for a line with anything unusual."""
    first, seen, owner = row, 0, 0
    at = _skip(text, at)
    if text[at] != 123:
        return -1
    at += 1
    while True:
        at = _skip(text, at)
        if text[at] != 34:
            return -1
        if text[at + 1] == 115 and text[at + 2] == 101 and text[at + 3] == 115 and text[at + 4] == 115 and text[at + 5] == 105:
            if text[at + 6] != 111 or text[at + 7] != 110 or text[at + 8] != 34:
                return -1
            key, at = 1, at + 9
        elif text[at + 1] == 101 and text[at + 2] == 118 and text[at + 3] == 101 and text[at + 4] == 110 and text[at + 5] == 116:
            if text[at + 6] != 115 or text[at + 7] != 34:
                return -1
            key, at = 2, at + 8
        else:
            return -1
        at = _skip(text, at)
        if text[at] != 58 or seen & key:
            return -1
        seen |= key
        at = _skip(text, at + 1)
        if key == 1:
            owner, at = _number(text, at)
            if owner < 0:
                return -1
        else:
            if text[at] != 91:
                return -1
            at = _skip(text, at + 1)
            more = text[at] != 93
            while more:
                if text[at] != 123:
                    return -1
                item[row], stamp, kind[row], at = _event(text, at + 1)
                if at < 0:
                    return -1
                time[row] = stamp * 1000
                row += 1
                at = _skip(text, at)
                more = text[at] == 44
                if more:
                    at = _skip(text, at + 1)
                elif text[at] != 93:
                    return -1
            at += 1
        at = _skip(text, at)
        if text[at] == 125:
            break
        if text[at] != 44:
            return -1
        at += 1
    if seen != 3 or text[_skip(text, at + 1)] != 10:
        return -1
    session[first:row] = owner
    return row


@njit(cache=True, nogil=True)
def _parse(text: Any, session: Any, item: Any, time: Any, kind: Any, left: Any) -> tuple[int, int]:
    """Fill the columns from lines that all end in a newline; ``left`` takes (row, begin, number) of lines for the slow parser."""
    at, row, line, lefts = 0, 0, 0, 0
    while at < len(text):
        after = _line(text, at, row, session, item, time, kind)
        if after < 0:
            left[lefts, 0], left[lefts, 1], left[lefts, 2] = row, at, line
            lefts += 1
        else:
            row = after
        while text[at] != 10:
            at += 1
        at += 1
        line += 1
    return row, lefts


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
    rows, lefts = _parse(np.frombuffer(text, np.uint8), session, item, time, kind, left)
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
