"""Where the records of delimited text are: one compiled pass over the bytes of a block.

Quoting follows RFC 4180: a quotation mark opens a field only at its start, is doubled inside, and is followed by a separator or the end of
the record when it closes. A record that breaks this is malformed; it ends where its first line ends, so that one stray mark costs one line.
Lines end with LF or CR LF; blank lines are no records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from recsys.data.reading.marks import AFTER, BLANK, FIELDS, INSIDE, UNCLOSED, ZERO

_WAITS = 7  # more bytes are needed to say


@njit(cache=True, nogil=True)
def _line_end(text: Any, at: int, size: int) -> int:
    """Where the line that holds ``at`` ends, its newline included; ``size + 1`` if no newline comes."""
    while at < size and text[at] != 10:
        at += 1
    return at + 1


@njit(cache=True, nogil=True)
def _quoted(text: Any, at: int, start: int, separator: int, quote: int, final: bool, limit: int) -> tuple[int, int, int]:
    """After the field whose text begins at ``at``: the place, newlines inside, and 0 or what is wrong with it."""
    size, line, status = len(text), 0, 0
    while at < size and at - start <= limit:
        byte = text[at]
        if byte == quote:
            if at + 1 == size and not final:
                return at, line, _WAITS
            if at + 1 == size or text[at + 1] != quote:
                break
            at += 1
        elif byte == 10:
            line += 1
        elif byte == 0:
            status = ZERO
        at += 1
    if at - start > limit or (at >= size and final):
        return at, line, UNCLOSED
    if at >= size:
        return at, line, _WAITS
    at += 1
    if at == size or text[at] == separator or text[at] == 10:
        return at, line, status
    if text[at] == 13 and at + 1 == size and not final:
        return at, line, _WAITS
    return at, line, status if text[at] == 13 and (at + 1 == size or text[at + 1] == 10) else AFTER


@njit(cache=True, nogil=True)
def scan(text: Any, final: bool, separator: int, quote: int, fields: int, limit: int, cuts: Any) -> tuple[int, int, int, int]:
    """Count the whole records in ``text`` and list what is not one.

    Args:
        text: uint8 [B], beginning where a record begins.
        final: whether nothing comes after ``text``; else a record that is not ended waits for more.
        separator: byte between fields.
        quote: the quotation mark, -1 if there is none.
        fields: how many fields a record has; 0: any number.
        limit: bytes of the longest record with quoted fields.
        cuts: int64 [C, 5], filled with (start, end, line from 0, code, fields) of malformed records and blank lines.

    Returns:
        bytes used (a whole number of records), good records, newlines among the bytes used, rows of ``cuts`` that are filled.
    """
    special = np.zeros(256, np.uint8)
    special[0] = special[10] = 1
    if fields > 0:
        special[separator] = 1
    if quote >= 0:
        special[quote] = 1
    size, at, line, good, cut = len(text), 0, 0, 0, 0
    while at < size and cut < len(cuts):
        start, first, count, bad, ended = at, line, 1, 0, False
        while at < size:
            byte = text[at]
            if special[byte] == 0:
                at += 1
                continue
            if byte == 10:
                at += 1
                line += 1
                ended = True
                break
            if byte == separator or byte == 0:
                count += int(byte == separator)
                bad = ZERO if byte == 0 else bad
                at += 1
                continue
            if at > start and text[at - 1] != separator:  # a quotation mark
                bad = INSIDE
                break
            at, inside, status = _quoted(text, at + 1, start, separator, quote, final, limit)
            if status == _WAITS:
                return start, good, first, cut
            line += inside
            bad = max(bad, status)
            if bad >= INSIDE:
                break
        if bad >= INSIDE:
            at = _line_end(text, start, size)
            ended = at <= size
            at = min(at, size)
            line = first + int(ended)
        if not ended and not final:
            return start, good, first, cut
        length = at - start - int(ended)
        if length == 0 or (length == 1 and text[start] == 13):
            bad = BLANK
        elif bad == 0 and fields > 0 and count != fields:
            bad = FIELDS
        if bad:
            cuts[cut, 0], cuts[cut, 1], cuts[cut, 2], cuts[cut, 3], cuts[cut, 4] = start, at, first, bad, count
            cut += 1
        else:
            good += 1
    return at, good, line, cut


@njit(cache=True, nogil=True)
def locate(text: Any, quote: int, starts: Any) -> int:
    """Fill ``starts`` [R, 3] with (start, end, line from 0) of each record of ``text``, which holds whole, well-formed records and no blank
    line; the number of records."""
    size, at, line, record, inside = len(text), 0, 0, 0, False
    start, first = 0, 0
    while at < size:
        if text[at] == quote:
            inside = not inside
        elif text[at] == 10:
            line += 1
            if not inside:
                starts[record, 0], starts[record, 1], starts[record, 2] = start, at + 1, first
                record += 1
                start, first = at + 1, line
        at += 1
    if start < size:
        starts[record, 0], starts[record, 1], starts[record, 2] = start, size, first
        record += 1
    return record
