"""A log that does not have to fit in memory: blocks of whole owners, in files.

While it is prepared, a log is a sequence of Polars frames (*blocks*) with these columns:

========================  ========================  ==============================================================
``user`` or ``session``   UInt32                    code of the owner; an owner is in one block, codes ascend over all blocks
``item``                  UInt32                    code of the item
``time`` or ``order``     as in the events          optional
``weight``                Float32                   optional
``kind``                  Categorical               optional
``part``                  Enum                      optional
========================  ========================  ==============================================================

Rows are sorted by owner, then time or order, then item, then the other columns: the order does not depend on that of the source. Codes
are in ascending order of id.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from recsys.data.kernels import Codes, Ints, Mask
from recsys.data.log import OwnerKind

T = TypeVar("T")
ROWS = 1 << 22  # events a block aims at
CODE = pl.UInt32


@dataclass(frozen=True)
class Blocks:
    """The events of a log.

    Attributes:
        owner_kind: the name of the owner column.
        owners: id of each owner code; owners without events may be among them.
        items: id of each item code; items without events may be among them.
        files: Arrow files, one a block.
        sizes: rows of each file.
        folder: where new blocks may be written.
        masks: for each block the rows that are left, or None for all.
        recode: what turns a block as it is in its file into one with final codes, or None.
    """

    owner_kind: OwnerKind
    owners: pl.Series
    items: pl.Series
    files: list[Path]
    sizes: list[int]
    folder: Path
    masks: list[Mask] | None = field(default=None, repr=False)
    recode: Callable[[pl.DataFrame], pl.DataFrame] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return sum(self.lengths())

    def lengths(self) -> list[int]:
        """Events of each block."""
        return self.sizes if self.masks is None else [int(mask.sum()) for mask in self.masks]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return ahead(self.block, len(self.files), workers=1)

    def block(self, at: int) -> pl.DataFrame:
        frame = read(self.files[at])
        frame = frame if self.recode is None else self.recode(frame)
        return frame if self.masks is None else frame.filter(pl.Series(self.masks[at])).rechunk()

    def each(self, do: Callable[[pl.DataFrame], T]) -> Iterator[T]:
        """What ``do`` gives for each block, in order; two blocks are worked on at a time."""
        return ahead(lambda at: do(self.block(at)), len(self.files))

    def mapped(self, do: Callable[[int, pl.DataFrame], pl.DataFrame], *, keep: bool = False) -> Blocks:
        """A log of what ``do`` makes of each block (its number and its events), with the same codes; two are worked on at a time.

        The files of this one are deleted, unless told to ``keep``.
        """

        def make(at: int) -> tuple[Path | None, int]:
            frame = do(at, self.block(at))
            path = write(frame, self.folder) if len(frame) else None
            if not keep:
                self.files[at].unlink()
            return path, len(frame)

        made = [(path, size) for path, size in ahead(make, len(self.files)) if path is not None]
        return replace(self, files=[path for path, _ in made], sizes=[size for _, size in made], masks=None, recode=None)

    def owned(self, kind: OwnerKind, owners: pl.Series) -> Blocks:
        """The same blocks, whose owner column has this name and these ids."""
        return replace(self, owner_kind=kind, owners=owners)

    def masked(self, keep: Sequence[Mask]) -> Blocks:
        """A log of those rows only; ``keep`` has one mask a block, for the rows that it has now."""
        if self.masks is None:
            return replace(self, masks=list(keep))
        whole = [mask.copy() for mask in self.masks]
        for mask, new in zip(whole, keep, strict=True):
            mask[mask] = new
        return replace(self, masks=whole)

    def frame(self) -> pl.DataFrame:
        """All events with their ids, in one frame."""
        found = pl.concat(list(self))
        return found.with_columns(
            self.owners.gather(found[self.owner_kind]).alias(self.owner_kind), self.items.gather(found["item"]).alias("item")
        )


def offsets_of(owner: pl.Series) -> tuple[Ints, Ints]:
    """Where each owner of a block begins, int64 [U + 1] (its last entry is E), and the code of each, int64 [U]."""
    code = owner.to_numpy()
    begin = np.flatnonzero(np.concatenate([np.ones(min(1, len(code)), dtype=bool), code[1:] != code[:-1]]))
    return np.append(begin, len(code)), code[begin].astype(np.int64)


def any_of(rows: Mask, offsets: Ints) -> Mask:
    """bool [U]: whether each owner has one of the rows, bool [E]."""
    return np.logical_or.reduceat(rows, offsets[:-1]) if len(rows) else np.zeros(0, dtype=bool)


def count_of(rows: Mask, offsets: Ints) -> Ints:
    """int64 [U]: how many of the rows each owner has."""
    return np.add.reduceat(rows, offsets[:-1], dtype=np.int64) if len(rows) else np.zeros(0, dtype=np.int64)


def codes(column: pl.Series) -> Codes:
    """The codes of a column as int32 [E]; nothing is copied."""
    return column.to_numpy().view(np.int32)


def write(frame: pl.DataFrame, folder: Path) -> Path:
    """A new Arrow file in ``folder``."""
    path = folder / f"{len(os.listdir(folder))}-{os.urandom(4).hex()}.arrow"
    frame.write_ipc(path, compression="uncompressed", compat_level=pl.CompatLevel.newest())
    return path


def read(path: Path) -> pl.DataFrame:
    return pl.read_ipc(path).rechunk()


def ahead(do: Callable[[int], T], count: int, workers: int = 2) -> Iterator[T]:
    """``do(0), do(1), ...`` in order, the next ones already under way."""
    if count <= 1:
        yield from map(do, range(count))
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(do, at) for at in range(min(workers, count))]
        for at in range(count):
            found = waiting.pop(0).result()
            if at + workers < count:
                waiting.append(pool.submit(do, at + workers))
            yield found
