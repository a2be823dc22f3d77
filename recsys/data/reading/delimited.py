"""Chunks of CSV and other delimited text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data.events import listed, suggestion
from recsys.data.reading.blocks import BLOCK, Block, Layout, blocks, blocks_in
from recsys.data.reading.deliver import Chunk
from recsys.data.reading.marks import QUOTED_LIMIT
from recsys.data.reading.plan import SAMPLE, Head, Plan
from recsys.data.reading.streams import ahead, full, opened, refuse_binary
from recsys.errors import DataError

_HEAD = 1 << 20  # bytes


@dataclass(frozen=True)
class Header:
    """The columns of a delimited file, and where its rows begin: ``size`` bytes and line ``line`` (from 1)."""

    names: list[str]
    size: int
    line: int


@dataclass(frozen=True)
class Delimited:
    """One text file of rows: ``separator`` between fields, ``quote`` around them (None: no quoting), blocks of ``size`` bytes."""

    path: Path
    separator: str = ","
    quote: str | None = '"'
    size: int = BLOCK
    limit: int = QUOTED_LIMIT

    def _layout(self, fields: int) -> Layout:
        return Layout(self.separator.encode(), self.quote.encode() if self.quote else None, fields, self.limit)

    def header(self) -> Header:
        """Read the first record that is not blank.

        Raises:
            DataError: the file is empty, is not text, or has no whole first line.
        """
        with opened(self.path) as stream:
            text = full(stream, _HEAD)
        refuse_binary(self.path, text)
        if b"\0" in text[:4096].split(b"\n")[0]:
            raise DataError(f"{self.path} is not text: it holds zero bytes; give .csv or .tsv (plain or .gz), or .parquet")
        found = next(blocks_in(self.path, self._layout(0), text), None)
        if found is None or not (found.records or len(found.bad)):
            raise DataError(f"{self.path} is empty; give a file with a header and at least one event")
        lines, _ = found.where(np.arange(min(1, found.records)))
        if len(found.bad) and (not lines or found.bad["line"][0] < lines[0]):
            raise DataError(f"{self.path}, line {found.bad['line'][0]}, the header: {found.bad['reason'][0]}")
        begin, end = found.spans[0, :2].tolist()
        size = len(text) - len(text.lstrip(b"\r\n")) + end - begin  # blank lines before it are no records
        try:
            first = found.text[begin:end].decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise DataError(f"{self.path}, line {lines[0]}, the header: the text is not UTF-8: convert it with iconv") from None
        quoted = self.quote is not None
        names = (
            next(csv.reader(io.StringIO(first), delimiter=self.separator, quotechar=self.quote)) if quoted else first.split(self.separator)
        )
        return Header(names, size, 1 + text.count(b"\n", 0, size))

    def head(self, names: Mapping[str, str], header: Header) -> Head:
        """The first rows, all as texts."""
        with opened(self.path) as stream:
            text = full(stream, header.size + _HEAD)[header.size :]
        cut = text[: text.rfind(b"\n") + 1] if len(text) == _HEAD else text
        empty = pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        found = next(blocks_in(self.path, self._layout(len(header.names)), cut), None)
        frame = empty
        if found is not None and found.records:
            frame = _parsed(_readable(found), header, names, dict.fromkeys(names, pl.String()), self).head(SAMPLE)
        return Head(str(self.path), frame, text=True)

    def chunks(self, plan: Plan, header: Header) -> Iterator[Chunk]:
        """All rows, the next block being read and parsed while one is worked on."""
        made = blocks(self.path, self._layout(len(header.names)), skip=header.size, line=header.line, size=self.size)
        return ahead(self._chunk(block, plan, header) for block in ahead(made))

    def _chunk(self, block: Block, plan: Plan, header: Header) -> Chunk:
        names, texts = plan.names, dict.fromkeys(plan.names, pl.String())
        raw = text = None
        try:
            raw = _parsed(block, header, names, plan.raw, self)
        except pl.exceptions.PolarsError:
            block = _readable(block)
            raw = _parsed(block, header, names, plan.raw, self, lenient=True)
            text = _parsed(block, header, names, texts, self)
        if len(raw) != block.records:  # the parser and the scanner count alike; if ever not, no row is lost in silence
            raise DataError(
                f"{self.path}, from line {block.line}: {len(raw)} rows were parsed of {block.records}; save the table as Parquet"
            )
        return Chunk(str(self.path), raw, text, block.bad, block.where)


def resolve(path: Path | str, names: Mapping[str, str], columns: list[str], *, text: bool = False) -> None:
    """Raises DataError if a mapped column is not among a file's columns, or stands there twice."""
    if text and len(columns) == 1 and (other := next((s for s in ";\t|," if s in columns[0]), None)):
        raise DataError(f"{path} has a single column {columns[0][:60]!r}; if the separator is {other!r}, say separator={other!r}")
    for role, column in names.items():
        if column not in columns:
            raise DataError(
                f"{path}: no column {column!r} (named for {role}) among {listed(columns)}"
                f"{suggestion(column, columns) or f'; say which one it is with {role}='}"
            )
        if columns.count(column) > 1:
            raise DataError(f"{path} has several columns named {column!r}; rename all but one in the file")


def _parsed(
    block: Block, header: Header, names: Mapping[str, str], types: Mapping[str, pl.DataType], file: Delimited, *, lenient: bool = False
) -> pl.DataFrame:
    """The mapped columns of a block."""
    place = {role: header.names.index(column) for role, column in names.items()}
    schema: dict[str, pl.DataType] = {f"column_{at + 1}": pl.String() for at in range(len(header.names))}
    schema |= {f"column_{place[role] + 1}": types[role] for role in names}
    if not block.text:
        return pl.DataFrame(schema={role: types[role] for role in names})
    frame = pl.read_csv(
        block.text,
        has_header=False,
        schema=schema,
        columns=sorted(place.values()),
        separator=file.separator,
        quote_char=file.quote if file.quote and file.quote.encode() in block.text else None,
        ignore_errors=lenient,
    )
    return frame.select(pl.col(f"column_{place[role] + 1}").alias(role) for role in names)


def _readable(block: Block) -> Block:
    """The block without the records that are not UTF-8, which join the malformed ones."""
    wrong = block.undecodable()
    return block.without(wrong, "the text is not UTF-8: convert it, for instance with iconv -f latin1 -t utf-8") if len(wrong) else block
