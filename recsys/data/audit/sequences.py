"""Rows of item codes: whole test sequences, their hashes, and how alike two rows are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recsys.data.audit.check import Ints, Part, blocks

Words = NDArray[np.uint64]
_CELLS = 1 << 25  # of a table of comparisons at once


@dataclass(frozen=True)
class Rows:
    """R sequences, ``items[offsets[r]:offsets[r + 1]]``; ``owner`` int64 [R] is the training row of the same owner, or -1."""

    items: NDArray[np.int32]
    offsets: Ints
    owner: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def take(self, rows: Ints) -> Rows:
        flat, _ = self.flat(rows)
        return Rows(self.items[flat], np.concatenate([[0], self.lengths()[rows].cumsum()]), self.owner[rows])

    def flat(self, rows: Ints) -> tuple[Ints, Ints]:
        """Positions in ``items`` of all items of some rows, one row after the other, and which of ``rows`` each belongs to."""
        length = self.lengths()[rows]
        of = np.repeat(np.arange(len(rows)), length)
        return np.arange(len(of)) - np.repeat(length.cumsum() - length - self.offsets[rows], length), of


def training_rows(part: Part) -> Rows:
    """All training sequences."""
    return Rows(part.train.items.numpy(), part.train.offsets.numpy(), np.arange(part.train.num_owners))


def tested_rows(part: Part) -> Rows:
    """The sequence of each owner that is tested: the longest history that a query has, then what is relevant (known items only)."""
    holdout = part.holdout
    owner = holdout.query.to_series(0).rle_id().to_numpy()
    last = np.flatnonzero(np.diff(owner, append=-1))  # prefixes of a session lie together, the longest comes last
    start, stop = holdout.histories.start.numpy()[last], holdout.histories.stop.numpy()[last]
    offsets = holdout.offsets.numpy()
    before, after = stop - start, np.diff(offsets)[last]
    made = np.concatenate([[0], (before + after).cumsum()]).astype(np.int64)
    items = np.empty(int(made[-1]), dtype=np.int32)
    for length, begin, source, at in (
        (before, start, holdout.histories.items.numpy(), made[:-1]),
        (after, offsets[last], holdout.items.numpy(), made[:-1] + before),
    ):
        inner = np.arange(int(length.sum())) - np.repeat(length.cumsum() - length, length)
        items[inner + np.repeat(at, length)] = source[inner + np.repeat(begin, length)]
    return Rows(items, made, holdout.histories.owner.numpy()[last])


def hashes(rows: Rows) -> Words:
    """uint64 [R]: a hash of each sequence; two different ones among 10^7 agree with probability 10^-5."""
    found: Words = np.zeros(len(rows), dtype=np.uint64)
    for some in blocks(len(rows), max(1, int((1 << 22) / max(1.0, float(rows.lengths().mean() if len(rows) else 1))))):
        edges = rows.offsets[some.start : some.stop + 1]
        length = np.diff(edges)
        of = np.repeat(np.arange(len(length)), length)
        position = np.arange(edges[-1] - edges[0]) - (edges[:-1] - edges[0])[of]
        word = _mix(rows.items[edges[0] : edges[-1]].astype(np.uint64) + (position.astype(np.uint64) << np.uint64(32)))
        total = np.concatenate([np.zeros(1, np.uint64), word.cumsum(dtype=np.uint64)])  # wraps round, and so do differences
        found[some] = _mix(total[edges[1:] - edges[0]] - total[edges[:-1] - edges[0]] + length.astype(np.uint64))
    return found


def _mix(word: Words) -> Words:
    """The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    word = (word + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(word ^ (word >> np.uint64(31)))


def common_subsequence(a: Rows, left: Ints, b: Rows, right: Ints) -> Ints:
    """[P] length of the longest common subsequence of row ``left[p]`` of ``a`` and row ``right[p]`` of ``b``.

    The usual recurrence, one column of ``a`` at a time for all pairs: what a cell takes from its left is a running maximum.
    """
    found = np.zeros(len(left), dtype=np.int64)
    order = np.argsort(a.lengths()[left], kind="stable")
    at = 0
    while at < len(order):
        width = int(b.lengths()[right[order[at:]]].max())
        some = order[at : at + max(1, _CELLS // max(1, width) // 64)]
        table_a, table_b = _padded(a, left[some], -1), _padded(b, right[some], -2)
        row = np.zeros((len(some), table_b.shape[1] + 1), dtype=np.int32)
        for column in range(table_a.shape[1]):
            step = np.maximum(row[:, 1:], row[:, :-1] + (table_b == table_a[:, column : column + 1]))
            np.maximum.accumulate(step, axis=1, out=row[:, 1:])
        found[some] = row[:, -1]
        at += len(some)
    return found


def _padded(rows: Rows, which: Ints, fill: int) -> NDArray[np.int32]:
    flat, of = rows.flat(which)
    length = rows.lengths()[which]
    table = np.full((len(which), int(length.max(initial=0))), fill, dtype=np.int32)
    table[of, np.arange(len(of)) - np.repeat(length.cumsum() - length, length)] = rows.items[flat]
    return table


def common_items(a: Rows, left: Ints, b: Rows, right: Ints, slots: int) -> Ints:
    """[P] how many items of row ``right[p]`` of ``b`` are in row ``left[p]`` of ``a``, repeats counted; items that are equal modulo
    ``slots`` pass for the same, so it may be too many and never too few. Exact if there are at most ``slots`` items."""
    flags = np.zeros((len(a), slots), dtype=bool)
    flags[np.repeat(np.arange(len(a)), a.lengths()), a.items % slots] = True
    found = np.zeros(len(left), dtype=np.int64)
    cost = np.concatenate([[0], b.lengths()[right].cumsum()])
    edges = np.unique(np.concatenate([np.searchsorted(cost, np.arange(0, cost[-1], _CELLS // 8)), [len(right)]]))
    for first, last in pairwise(edges.tolist()):
        flat, of = b.flat(right[first:last])
        found[first:last] = np.bincount(of[flags[left[first:last][of], b.items[flat] % slots]], minlength=last - first)
    return found
