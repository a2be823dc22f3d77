"""From checked chunks of events in any order to :class:`~recsys.data.blocks.Blocks`: coded, sorted, and never all in memory.

The first pass gives every id a provisional code as it appears and writes the coded events to files. Where the owners come in ascending
order, as in most exports, these files are the blocks. Otherwise, when all ids are known, a second pass deals the events out to blocks of
whole owners by the rank of their id, and each block is sorted. Memory holds the ids, a million events and two blocks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl

from recsys.data.blocks import Blocks, ahead, codes, offsets_of, write
from recsys.data.events import clock_of, owner_of
from recsys.data.ids import Enumerated, Ids, Table, table_for
from recsys.data.kernels import Codes, Ints, group, sort_events
from recsys.data.log import OwnerKind
from recsys.errors import DataError

log = logging.getLogger(__name__)
_EVERY = 5.0  # seconds between words on how far it is
_CHUNK = 1 << 21  # events that are written at a time in the first pass


def ingest(chunks: Iterator[pl.DataFrame], folder: Path, *, rows: int) -> Blocks:
    """Code, sort and write the events.

    Args:
        chunks: checked events (see :func:`recsys.data.events.check`), all with the same columns.
        folder: an existing folder for the blocks.
        rows: events a block aims at; an owner with more has them in one block all the same.

    Raises:
        DataError: no events; more owners or items than codes.
    """
    with ThreadPoolExecutor(1) as hand:
        first = _FirstPass(folder, min(rows, _CHUNK), hand)
        for chunk in chunks:
            first.add(chunk)
        return first.blocks(rows)


class _FirstPass:
    """Codes events and writes them, as blocks for as long as the owners ascend."""

    def __init__(self, folder: Path, rows: int, hand: ThreadPoolExecutor) -> None:
        self.folder, self.rows, self.hand = folder, rows, hand  # the hand writes while the next events are coded
        self.owner = ""
        self.tables: dict[str, Table] = {}
        self.counts = _Counts()
        self.ascending = True
        self.held: list[pl.DataFrame] = []  # coded, not yet written
        self.last: pl.DataFrame | None = None  # events of the latest owner, which may have more in the next chunk
        self.files: list[Path] = []
        self.sizes: list[int] = []
        self.said = time.monotonic()
        self.writing: Future[Path] | None = None

    def add(self, chunk: pl.DataFrame) -> None:
        if chunk.is_empty():
            return
        if not self.tables:
            self.owner = owner_of(chunk.columns)
            names = [name for name in (self.owner, "item", "kind") if name in chunk.columns]
            self.tables = {name: table_for(chunk[name]) for name in names}
            self.ascending = isinstance(self.tables["item"], Ids)  # ties are broken by item id, which the codes of texts do not tell yet
        key = chunk["item"].alias("key") if self.ascending else None
        coded = {name: table.codes(chunk[name]) for name, table in self.tables.items()}
        self.counts.add(coded[self.owner])
        kept = [name for name, table in self.tables.items() if isinstance(table, Enumerated)]
        frame = chunk.with_columns(pl.Series(name, code.view(np.uint32)) for name, code in coded.items() if name not in kept)
        if self.ascending and not self.tables[self.owner].ascending:
            self.ascending = False
            if self.last is not None:
                self._hold(self.last.drop("key"))
        if self.ascending:
            assert key is not None
            self._in_order(frame.with_columns(key))
        else:
            self._hold(frame)

    def _in_order(self, frame: pl.DataFrame) -> None:
        """Hold the owners that are complete, and wait with the last one."""
        if self.last is not None and self.last[self.owner][0] != frame[self.owner][0]:
            self._complete()
        frame = frame.rechunk() if self.last is None else pl.concat([self.last, frame], rechunk=True)
        offsets, _ = offsets_of(frame[self.owner])
        whole = int(offsets[-2])
        self.last = frame.slice(whole)
        if whole:
            self._hold(ordered(frame.slice(0, whole), frame["key"].to_numpy()[:whole]).drop("key"))

    def _complete(self) -> None:
        """The latest owner has no more events."""
        if self.last is not None:
            self._hold(ordered(self.last, self.last["key"].to_numpy()).drop("key"))
            self.last = None

    def _hold(self, frame: pl.DataFrame) -> None:
        self.held.append(frame)
        if sum(map(len, self.held)) >= self.rows:
            self._write()

    def _write(self) -> None:
        if self.writing is not None:
            self.files.append(self.writing.result())
            self.writing = None
        if self.held:
            frame = pl.concat(self.held, rechunk=False)
            self.writing = self.hand.submit(write, frame, self.folder)
            self.sizes.append(len(frame))
            self.held = []
            if time.monotonic() - self.said > _EVERY:
                self.said = time.monotonic()
                log.info("read %s events", f"{sum(self.sizes):,}")

    def blocks(self, rows: int) -> Blocks:
        """The whole log."""
        if not self.tables:
            raise DataError("there are no events (0 rows)")
        if self.ascending:
            self._complete()
        self._write()
        self._write()  # waits for the last one
        ids, rank = {}, {}
        for name, table in self.tables.items():
            ids[name], rank[name] = table.ranked()

        def final(frame: pl.DataFrame) -> pl.DataFrame:
            """With ranks instead of provisional codes."""
            new = {name: rank[name][codes(frame[name])] for name in rank if not isinstance(self.tables[name], Enumerated)}
            return frame.with_columns(_column(name, code, ids[name]) for name, code in new.items())

        kind: OwnerKind = "user" if self.owner == "user" else "session"
        whole = Blocks(kind, ids[self.owner], ids["item"], self.files, self.sizes, self.folder, recode=final)
        return whole if self.ascending else _dealt(whole, _edges(self.counts.all(), rank[self.owner], rows))


class _Counts:
    """Events by provisional owner code; a chunk costs what is in it, not what there is."""

    def __init__(self) -> None:
        self._room: Ints = np.zeros(1 << 16, dtype=np.int64)
        self._size = 0

    def add(self, code: Codes) -> None:
        low, high = int(code.min()), int(code.max())
        if high >= len(self._room):
            self._room = np.concatenate([self._room, np.zeros(max(high + 1, len(self._room)), dtype=np.int64)])
        self._room[low : high + 1] += np.bincount(code - low, minlength=high + 1 - low)
        self._size = max(self._size, high + 1)

    def all(self) -> Ints:
        """int64 [U]."""
        return self._room[: self._size]


def _column(name: str, code: Codes, ids: pl.Series) -> pl.Series:
    if name == "kind":
        return ids.cast(pl.Enum(ids)).gather(pl.Series(code)).alias(name)
    return pl.Series(name, code.view(np.uint32))


def _edges(counts: Ints, rank: Codes, rows: int) -> Ints:
    """int64 [B + 1]: the first owner code of each block, and the number of owners."""
    ordered = np.empty(len(rank), dtype=np.int64)
    ordered[rank] = counts
    before = ordered.cumsum() - ordered
    return np.append(np.flatnonzero(np.diff(before // rows, prepend=-1)), len(rank))


def _dealt(log: Blocks, edges: Ints) -> Blocks:
    """The same events in blocks of whole owners, sorted; ``edges`` int64 [B + 1]: the first owner code of each block, and U."""
    blocks = len(edges) - 1
    block_of = np.repeat(np.arange(blocks, dtype=np.int32), np.diff(edges))
    dealt: list[list[tuple[Path, int, int]]] = [[] for _ in range(blocks)]  # for each block: a file, and from which to which row

    def deal(at: int) -> tuple[Path, Ints]:
        frame = log.block(at)
        if blocks == 1:
            return write(frame, log.folder), np.asarray([0, len(frame)])
        order, begin = group(block_of[codes(frame[log.owner_kind])], blocks)
        return write(frame[order], log.folder), begin

    for at, (path, begin) in enumerate(ahead(deal, len(log.files))):
        log.files[at].unlink()
        for block in range(blocks):
            if begin[block] < begin[block + 1]:
                dealt[block].append((path, int(begin[block]), int(begin[block + 1])))
    last_use = {path: at for at, pieces in enumerate(dealt) for path, _, _ in pieces}

    def collect(at: int) -> tuple[Path, int]:
        pieces = [pl.scan_ipc(path).slice(first, last - first) for path, first, last in dealt[at]]
        frame = pl.concat(pieces).collect().rechunk()
        return write(ordered(frame, codes(frame["item"])), log.folder), len(frame)

    files, sizes = [], []
    for at, (path, size) in enumerate(ahead(collect, blocks)):
        files.append(path)
        sizes.append(size)
        for used in {path for path, _, _ in dealt[at] if last_use[path] == at}:
            used.unlink()
    return Blocks(log.owner_kind, log.owners, log.items, files, sizes, log.folder)


def ordered(frame: pl.DataFrame, item: Ints | Codes) -> pl.DataFrame:
    """The rows of a block in their canonical order: by owner, time or order, item, then the other columns.

    Args:
        frame: the columns of a block.
        item: int [E], in the order of the items' ids.
    """
    if len(frame) < 2:
        return frame
    clock = clock_of(frame.columns)
    owner = codes(frame[owner_of(frame.columns)])
    time = None if clock is None else frame[clock].to_physical().to_numpy()
    if not _sorted(owner, time, item):
        low = int(owner.min())
        order = sort_events(owner - np.int32(low), time, item, int(owner.max()) - low + 1)
        frame, owner, item, time = frame[order], owner[order], item[order], None if time is None else time[order]
    rest = [name for name in ("weight", "kind", "part") if name in frame.columns]
    if not rest:
        return frame
    alike = (owner[1:] == owner[:-1]) & (item[1:] == item[:-1])
    if time is not None:
        alike &= time[1:] == time[:-1]
    if not alike.any():
        return frame
    tied = np.flatnonzero(np.append(alike, False) | np.append(False, alike))
    run = np.append(0, (~alike).cumsum())[tied]
    places = np.arange(len(frame))
    places[tied] = tied[frame.select(rest)[tied].with_columns(run=run).with_row_index("row").sort("run", *rest)["row"].to_numpy()]
    return frame[places]


def _sorted(owner: Codes, time: Ints | None, item: Ints | Codes) -> bool:
    falls = item[1:] < item[:-1]
    if time is not None:
        falls = (time[1:] < time[:-1]) | falls & (time[1:] == time[:-1])
    return not ((owner[1:] < owner[:-1]) | falls & (owner[1:] == owner[:-1])).any()
