"""Chunks of tables with types of their own: Parquet, Arrow files, and frames in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from recsys.data.events import reason
from recsys.data.reading.deliver import Chunk
from recsys.data.reading.plan import SAMPLE, Head
from recsys.data.reading.streams import opening
from recsys.errors import DataError

ROWS = 1_000_000  # of a chunk
MAGIC = {".parquet": (b"PAR1", "Parquet"), ".arrow": (b"ARROW1", "Arrow"), ".feather": (b"ARROW1", "Arrow"), ".ipc": (b"ARROW1", "Arrow")}


def scanned(path: Path, kind: str) -> pl.LazyFrame:
    """A lazy frame of a Parquet or Arrow file.

    Raises:
        DataError: it is something else, or damaged.
    """
    magic, name = MAGIC[kind]
    if not opening(path).startswith(magic):
        raise DataError(f"{path} is not a {name} file, as its first bytes say; give it the ending of what it is, such as .csv")
    try:
        table = pl.scan_parquet(path, glob=False) if kind == ".parquet" else pl.scan_ipc(path, glob=False)
        table.collect_schema()
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        raise DataError(f"{path} cannot be read as {kind}: {reason(error)}; it is damaged or unfinished: fetch or write it again") from None
    return table


def head(table: pl.LazyFrame, names: Mapping[str, str], origin: str) -> Head:
    """The first rows, under the canonical names."""
    chosen = _chosen(table, names).head(SAMPLE)
    return Head(origin, next(_collected(chosen, origin), pl.DataFrame(schema=chosen.collect_schema())))


def chunks(table: pl.LazyFrame, names: Mapping[str, str], origin: str) -> Iterator[Chunk]:
    """All rows, in order."""
    first = 0
    for frame in _collected(_chosen(table, names), origin):
        yield Chunk(origin, frame, first=first)
        first += len(frame)


def _chosen(table: pl.LazyFrame, names: Mapping[str, str]) -> pl.LazyFrame:
    return table.select(pl.col(column).alias(role) for role, column in names.items())


def _collected(table: pl.LazyFrame, origin: str) -> Iterator[pl.DataFrame]:
    try:
        yield from table.collect_batches(chunk_size=ROWS, maintain_order=True, engine="streaming")
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        raise DataError(f"{origin} cannot be read to its end: {reason(error)}; it is damaged: fetch or write it again") from None
