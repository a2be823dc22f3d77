"""A compiled parser of one JSON layout: a session with its events on each line, as in the OTTO data set.

A line is ``{"session": 1, "events": [{"aid": 2, "ts": 3, "type": "clicks"}, ...]}``, keys in any order, with or without white space. A line
with anything else (other keys, escapes, signs, numbers of more than 18 digits, times outside 1970 to 2200) is left to a slow parser that
knows all of JSON and gives reasons.
"""

from __future__ import annotations

from typing import Any

from numba import njit

LATEST = 7_258_118_400_000  # ms: 2200-01-01


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
def parse(text: Any, session: Any, item: Any, time: Any, kind: Any, left: Any) -> tuple[int, int]:
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
