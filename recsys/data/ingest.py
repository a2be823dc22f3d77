"""From checked chunks of events in any order to :class:`~recsys.data.blocks.Blocks`: coded, sorted, and never all in memory.

Two passes. The first gives every id a provisional code as it appears and writes the coded chunks to files. Then all ids are known: final
codes are their ranks, and the second pass deals the events out to blocks of whole owners, which are sorted one by one. Memory holds the
ids, one chunk and two blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data.blocks import CODE, Blocks, ahead, codes, read, write
from recsys.data.events import clock_of, owner_of
from recsys.data.kernels import Codes, Ints, enter, group, provisional, sort_events
from recsys.errors import DataError

_MOST = 2**31 - 1  # codes are int32
_CHUNK = 1 << 20  # events that are coded at a time


def ingest(chunks: Iterator[pl.DataFrame], folder: Path, *, rows: int) -> Blocks:
    """Code, sort and write the events.

    Args:
        chunks: checked events (see :func:`recsys.data.events.check`), all with the same columns.
        folder: an existing folder for the blocks.
        rows: events a block aims at; an owner with more has them in one block all the same.

    Raises:
        DataError: more owners, items or kinds than codes.
    """
    tables: dict[str, Table] = {}
    spilled: list[Path] = []
    counts: Ints = np.zeros(0, dtype=np.int64)
    columns: list[str] = []
    for chunk in _gathered(chunks):
        columns = columns or chunk.columns
        owner = owner_of(columns)
        coded = {name: _table(tables, name, chunk[name]).codes(chunk[name]) for name in (owner, "item", "kind") if name in columns}
        counts = _added(counts, coded[owner])
        spilled.append(write(chunk.with_columns(pl.Series(name, code.view(np.uint32)) for name, code in coded.items()), folder))
    if not spilled:
        raise DataError("there are no events (0 rows)")
    owner = owner_of(columns)
    ids, rank = {}, {}
    for name, table in tables.items():
        ids[name], rank[name] = table.ranked()
    edges = _edges(counts, rank[owner], rows)
    dealt = _deal(spilled, owner, rank, ids, edges, folder)
    return _sorted(dealt, edges, owner, ids, folder)


def _gathered(chunks: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same events in chunks that are large enough for the compiled loops."""
    waiting: list[pl.DataFrame] = []
    for chunk in chunks:
        waiting.append(chunk)
        if sum(map(len, waiting)) >= _CHUNK:
            yield pl.concat(waiting, rechunk=True)
            waiting = []
    if waiting:
        yield pl.concat(waiting, rechunk=True)


def _added(counts: Ints, code: Codes) -> Ints:
    """Events by provisional owner code, with those of another chunk."""
    more = np.bincount(code, minlength=len(counts))
    more[: len(counts)] += counts
    return np.asarray(more, dtype=np.int64)


def _edges(counts: Ints, rank: Codes, rows: int) -> Ints:
    """int64 [B + 1]: the first owner code of each block, and the number of owners."""
    ordered = np.empty(len(rank), dtype=np.int64)
    ordered[rank] = counts
    before = ordered.cumsum() - ordered
    return np.append(np.flatnonzero(np.diff(before // rows, prepend=-1)), len(rank))


Dealt = list[list[tuple[Path, int, int]]]  # for each block: a file, and from which to which row


def _deal(spilled: list[Path], owner: str, rank: dict[str, Codes], ids: dict[str, pl.Series], edges: Ints, folder: Path) -> Dealt:
    """Final codes, and the rows of each chunk in the order of the blocks that they go to."""
    blocks = len(edges) - 1
    dealt: Dealt = [[] for _ in range(blocks)]
    block_of = np.repeat(np.arange(blocks, dtype=np.int32), np.diff(edges))

    def deal(at: int) -> tuple[Path, Ints]:
        frame = read(spilled[at])
        coded = {name: rank[name][codes(frame[name])] for name in rank}
        frame = frame.with_columns(_final(name, code, ids[name]) for name, code in coded.items())
        if blocks == 1:
            return write(frame, folder), np.asarray([0, len(frame)])
        order, begin = group(block_of[coded[owner]], blocks)
        return write(frame[order], folder), begin

    for at, (path, begin) in enumerate(ahead(deal, len(spilled))):
        spilled[at].unlink()
        for block in range(blocks):
            if begin[block] < begin[block + 1]:
                dealt[block].append((path, int(begin[block]), int(begin[block + 1])))
    return dealt


def _final(name: str, code: Codes, ids: pl.Series) -> pl.Series:
    if name == "kind":
        return ids.cast(pl.Enum(ids)).gather(pl.Series(code)).alias(name)
    return pl.Series(name, code.view(np.uint32))


def _sorted(dealt: Dealt, edges: Ints, owner: str, ids: dict[str, pl.Series], folder: Path) -> Blocks:
    last_use = {path: at for at, pieces in enumerate(dealt) for path, _, _ in pieces}

    def collect(at: int) -> tuple[Path, int]:
        pieces = [pl.scan_ipc(path).slice(first, last - first) for path, first, last in dealt[at]]
        frame = ordered(pl.concat(pieces).collect().rechunk(), int(edges[at]), int(edges[at + 1]))
        return write(frame, folder), len(frame)

    files, sizes = [], []
    for at, (path, size) in enumerate(ahead(collect, len(dealt))):
        files.append(path)
        sizes.append(size)
        for used in {path for path, _, _ in dealt[at] if last_use[path] == at}:
            used.unlink()
    return Blocks("user" if owner == "user" else "session", ids[owner], ids["item"], files, sizes, folder)


def ordered(frame: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """The rows of a block in their canonical order.

    Args:
        frame: the columns of a block; one chunk.
        first, last: its owners' codes are in ``[first, last)``.
    """
    owner, clock = owner_of(frame.columns), clock_of(frame.columns)
    time = None if clock is None else frame[clock].to_physical().to_numpy()
    frame = frame[sort_events(codes(frame[owner]) - np.int32(first), time, codes(frame["item"]), last - first)]
    keys = [owner, *([clock] if clock else []), "item"]
    rest = [name for name in ("weight", "kind", "part") if name in frame.columns]
    if not rest or len(frame) < 2:
        return frame
    alike = frame.select(pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in keys).fill_null(False)).to_series()
    tied = (alike | alike.shift(1, fill_value=False)).arg_true().to_numpy()
    if not len(tied):
        return frame
    order = np.arange(len(frame))
    order[tied] = tied[frame[tied].with_row_index("row").sort([*keys, *rest])["row"].to_numpy()]
    return frame[order]


class Ids:
    """Integer ids and their provisional codes, in the order of appearance."""

    def __init__(self) -> None:
        self._known = 0
        self._ids = np.empty(0, dtype=np.int64)
        self._table: Codes = np.empty(0, dtype=np.int32)
        self._grow()

    def codes(self, column: pl.Series) -> Codes:
        values, at = column.to_numpy(), 0
        found = np.empty(len(values), dtype=np.int32)
        while at < len(values):
            at, self._known = provisional(values, at, found, self._table, self._ids, self._known)
            if at < len(values):
                self._grow()
        return found

    def _grow(self) -> None:
        if len(self._ids) >= _MOST:
            raise DataError(f"there are more than {_MOST:,} different ids; that is the most a log can have")
        self._ids = np.resize(self._ids, max(1 << 16, min(4 * len(self._ids), _MOST)))
        self._table = np.full(2 << (len(self._ids) - 1).bit_length(), -1, dtype=np.int32)
        enter(self._table, self._ids, 0, self._known)

    def ranked(self) -> tuple[pl.Series, Codes]:
        """The ids in ascending order, and for each provisional code its rank."""
        ids = self._ids[: self._known]
        order = np.argsort(ids)
        rank = np.empty(len(ids), dtype=np.int32)
        rank[order] = np.arange(len(ids), dtype=np.int32)
        return pl.Series(ids[order]), rank


class Texts:
    """Text ids and their provisional codes."""

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"id": pl.String, "code": CODE})

    def codes(self, column: pl.Series) -> Codes:
        distinct = column.cast(pl.String).unique().alias("id").to_frame()
        fresh = distinct.join(self._known, on="id", how="anti").with_row_index("code", offset=len(self._known)).select("id", "code")
        self._known = pl.concat([self._known, fresh.cast({"code": CODE})])
        known = distinct.join(self._known, on="id", how="left")
        found = column.cast(pl.String).alias("id").to_frame().join(known, on="id", how="left", maintain_order="left")["code"]
        return codes(found.rechunk())

    def ranked(self) -> tuple[pl.Series, Codes]:
        """The ids in ascending order, and for each provisional code its rank."""
        order = self._known["id"].arg_sort()
        rank = np.empty(len(order), dtype=np.int32)
        rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
        return self._known["id"].gather(order), rank


class Names:
    """Names that are known beforehand: an Enum."""

    def __init__(self, names: pl.Series) -> None:
        self._names = names

    def codes(self, column: pl.Series) -> Codes:
        return codes(column.to_physical().cast(CODE))

    def ranked(self) -> tuple[pl.Series, Codes]:
        """The names in ascending order, and for each code its rank."""
        order = self._names.arg_sort()
        rank = np.empty(len(order), dtype=np.int32)
        rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
        return self._names.gather(order), rank


Table = Ids | Texts | Names


def _table(tables: dict[str, Table], name: str, column: pl.Series) -> Table:
    if name not in tables:
        if isinstance(column.dtype, pl.Enum):
            tables[name] = Names(column.dtype.categories)
        else:
            tables[name] = Ids() if column.dtype.is_integer() else Texts()
    return tables[name]
