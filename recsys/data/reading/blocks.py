"""Text files as blocks of whole records."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from io import FileIO
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.reading.marks import BLANK, FIELDS, QUOTED_LIMIT, REASONS, room
from recsys.data.reading.quarantine import listing
from recsys.data.reading.streams import full, opened
from recsys.errors import DataError

BLOCK = 8 << 20  # bytes
LONGEST = 64 << 20  # bytes of a record


@dataclass(frozen=True)
class Layout:
    """How records are told apart: ``separator`` and ``quote`` are bytes (quote None: no quoting), ``fields`` the number a record has, or 0
    for any. ``lines``: a record is a line, whatever is in it."""

    separator: bytes = b","
    quote: bytes | None = b'"'
    fields: int = 0
    limit: int = QUOTED_LIMIT
    lines: bool = False

    def scan(self, text: bytes, final: bool, cuts: NDArray[np.int64]) -> tuple[int, int, int, int]:
        from recsys.data.reading.scan import scan  # loads the compiler

        quote = -1 if self.quote is None else self.quote[0]
        return scan(np.frombuffer(text, np.uint8), final, self.separator[0], quote, self.fields, self.limit, cuts)


@dataclass
class Block:
    """Whole records of one file: ``text`` has no malformed record and no blank line; ``bad`` lists the malformed ones (columns of a
    quarantine); ``line`` is the line on which the block begins, from 1."""

    path: Path
    layout: Layout
    text: bytes
    records: int
    line: int
    bad: pl.DataFrame
    removed: NDArray[np.int64] = field(repr=False)  # [C, 2] of what was cut: (bytes before it in `text`, newlines in it)

    @cached_property
    def spans(self) -> NDArray[np.int64]:
        """[R, 3]: begin and end in ``text`` of each record, and its line from 0, cuts not counted."""
        from recsys.data.reading.scan import locate

        spans = np.empty((self.records, 3), dtype=np.int64)
        locate(np.frombuffer(self.text, np.uint8), -1 if self.layout.quote is None else self.layout.quote[0], spans)
        return spans

    def where(self, rows: NDArray[np.int64]) -> tuple[list[int], list[str]]:
        """The line (from 1) and the text of records, by their numbers in this block."""
        before = np.concatenate([[0], self.removed[:, 1].cumsum()])
        wanted = self.spans[rows]
        # a record that begins at byte b of `text` comes after the cuts made at or before b
        line = self.line + wanted[:, 2] + before[np.searchsorted(self.removed[:, 0], wanted[:, 0], side="right")]
        return line.tolist(), [shown(self.text[start:end]) for start, end, _ in wanted.tolist()]

    def without(self, rows: NDArray[np.int64], reason: str) -> Block:
        """The block with these records among the malformed ones."""
        lines, texts = self.where(rows)
        found = listing(self.path, lines, [reason] * len(lines), texts)
        bad = pl.concat([self.bad, found]).sort("line", maintain_order=True)
        gone = self.spans[rows]
        before = np.concatenate([[0], (gone[:, 1] - gone[:, 0]).cumsum()])
        edges = [0, *gone[:, :2].ravel().tolist(), len(self.text)]
        text = b"".join(self.text[begin:end] for begin, end in zip(edges[::2], edges[1::2], strict=True))
        old = np.column_stack([self.removed[:, 0] - before[np.searchsorted(gone[:, 0], self.removed[:, 0])], self.removed[:, 1]])
        newlines = [self.text.count(b"\n", begin, end) for begin, end, _ in gone.tolist()]
        new = np.column_stack([gone[:, 0] - before[:-1], np.array(newlines, dtype=np.int64)])
        removed = np.concatenate([old, new])
        removed = removed[np.argsort(removed[:, 0], kind="stable")]
        return Block(self.path, self.layout, text, self.records - len(rows), self.line, bad, removed)

    def undecodable(self) -> NDArray[np.int64]:
        """The records that are not UTF-8."""
        view, at = memoryview(self.text), 0
        found: list[int] = []
        while True:
            try:
                codecs.utf_8_decode(view[at:], "strict", True)
                return np.array(found, dtype=np.int64)
            except UnicodeDecodeError as error:
                row = int(np.searchsorted(self.spans[:, 0], at + error.start, side="right")) - 1
                found.append(row)
                at = int(self.spans[row, 1])


def blocks(path: Path, layout: Layout, *, skip: int = 0, line: int = 1, size: int = BLOCK) -> Iterator[Block]:
    """The records of a file in blocks of about ``size`` decompressed bytes.

    Args:
        path: a plain, gzip or zstd file.
        layout: how records are told apart.
        skip: bytes of the header, which are passed over.
        line: the line on which the records begin.
        size: of a block before whole records are cut from it.

    Raises:
        DataError: the file cannot be read or is a damaged archive, or a line is longer than 64 MiB.
    """
    with opened(path) as stream:
        full(stream, skip)
        rest, asked, final = b"", size, False
        while not final:
            more = full(stream, asked)
            final = len(more) < asked
            text = rest + more if rest else more
            at = 0
            while at < len(text):
                used, newlines, block = cut(path, layout, text[at:] if at else text, final, line)
                if not used:
                    break
                at, line = at + used, line + newlines
                yield block
            over = len(text) - at
            if over > LONGEST:
                raise DataError(f"{path}, line {line}: longer than {LONGEST >> 20} MiB; is it a text file with one record a line?")
            if isinstance(stream, FileIO):  # reading a few bytes again is cheaper than joining two blocks
                stream.seek(-over, 1)
                asked = max(size, 2 * over)
            else:
                rest, asked = text[at:], max(size, over)


def blocks_in(path: Path, layout: Layout, text: bytes) -> Iterator[Block]:
    """The records of bytes in memory; ``path`` is for messages."""
    at, line = 0, 1
    while at < len(text):
        used, newlines, block = cut(path, layout, text[at:] if at else text, True, line)
        at, line = at + used, line + newlines
        yield block


def cut(path: Path, layout: Layout, text: bytes, final: bool, line: int) -> tuple[int, int, Block]:
    """Bytes used, newlines in them, and the block."""
    if layout.lines:
        used = len(text) if final else text.rfind(b"\n") + 1
        newlines = text.count(b"\n", 0, used)
        records = newlines + int(used > 0 and text[used - 1] != 10)
        return used, newlines, Block(path, layout, text[:used], records, line, listing(path, [], [], []), np.empty((0, 2), dtype=np.int64))
    cuts = room(len(text))
    used, good, newlines, filled = layout.scan(text, final, cuts)
    cuts = cuts[:filled]
    spans = cuts[:, :2].tolist()
    kept = text if used == len(text) and not filled else text[:used]
    if filled:
        edges = [0, *(edge for span in spans for edge in span), used]
        kept = b"".join(text[begin:end] for begin, end in zip(edges[::2], edges[1::2], strict=True))
    length = cuts[:, 1] - cuts[:, 0]
    removed = np.empty((filled, 2), dtype=np.int64)
    removed[:, 0] = cuts[:, 0] - (length.cumsum() - length)
    removed[:, 1] = [text.count(b"\n", start, end) for start, end in spans]
    bad = cuts[cuts[:, 3] != BLANK]
    found = listing(
        path,
        (bad[:, 2] + line).tolist(),
        [_why(layout, code, count) for _, _, _, code, count in bad.tolist()],
        [shown(text[start:end]) for start, end, *_ in bad.tolist()],
    )
    return used, newlines, Block(path, layout, kept, good, line, found, removed)


def _why(layout: Layout, code: int, count: int) -> str:
    if code == FIELDS:
        return f"the line has {count} field{'s' * (count != 1)} and the header {layout.fields}: mend it, or name the right separator="
    return REASONS[code]


def shown(text: bytes) -> str:
    return text[:2000].rstrip(b"\r\n").decode("utf-8", "replace")
