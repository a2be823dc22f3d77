"""Counts over a log that is read block by block: what they keep in memory grows with owners, items and hours, not with events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.blocks import Blocks, codes, offsets_of
from recsys.data.events import clock_of, owner_of

K = TypeVar("K", str, float)
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR = 3_600_000_000  # microseconds
DISTINCT_WEIGHTS = 32  # more are counted in bins
_BINS = 20


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Tallies:
    """What one pass over the blocks of a log counts.

    Attributes:
        events, pairs, duplicates: events; distinct pairs of owner and item; events equal to another in every column, but for one each.
        lengths: int64 [L + 1], how many owners have each number of events.
        popularity: int64 [N], events of each item code.
        consecutive: events whose item is that of the owner's event just before (with a clock or order).
        tied: events that share their time with another event of the owner (with a clock).
        hours: int64 [H], events in each hour since 1970 (with a clock).
        first, last: earliest and latest time, microseconds since 1970.
        kinds, parts: events by name.
        weights: events by weight, or None once more than 32 weights have occurred; with their sum, least and largest.
    """

    events: int = 0
    pairs: int = 0
    duplicates: int = 0
    consecutive: int = 0
    tied: int = 0
    lengths: Ints = field(default_factory=_none)
    popularity: Ints = field(default_factory=_none)
    hours: Ints = field(default_factory=_none)
    first: int = np.iinfo(np.int64).max
    last: int = np.iinfo(np.int64).min
    kinds: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    weights: dict[float, int] | None = field(default_factory=dict)
    weight_sum: float = 0.0
    weight_min: float = np.inf
    weight_max: float = -np.inf
    columns: list[str] = field(default_factory=list)

    def add(self, other: Tallies) -> None:
        """Take in the counts of further owners."""
        for name in ("events", "pairs", "duplicates", "consecutive", "tied", "weight_sum"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("lengths", "popularity", "hours"):
            setattr(self, name, _sum(getattr(self, name), getattr(other, name)))
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.weight_min, self.weight_max = min(self.weight_min, other.weight_min), max(self.weight_max, other.weight_max)
        self.kinds, self.parts = _merged(self.kinds, other.kinds), _merged(self.parts, other.parts)
        both = None if self.weights is None or other.weights is None else _merged(self.weights, other.weights)
        self.weights = both if both is not None and len(both) <= DISTINCT_WEIGHTS else None
        self.columns = self.columns or other.columns


def tally(blocks: Blocks) -> Tallies:
    """Count over all blocks, two at a time."""
    found = Tallies()
    for counted in blocks.each(lambda frame: _of_block(frame, len(blocks.items))):
        found.add(counted)
    return found


def weight_bins(blocks: Blocks, low: float, high: float) -> tuple[Floats, Ints]:
    """Twenty bins of equal width: their edges, float64 [21], and the events in each, int64 [20]."""
    edges = np.linspace(low, high, _BINS + 1)
    found = np.zeros(_BINS, dtype=np.int64)
    for counted in blocks.each(lambda frame: np.histogram(frame["weight"].to_numpy().astype(np.float64), edges)[0]):
        found += counted
    return edges, found


def _of_block(frame: pl.DataFrame, num_items: int) -> Tallies:
    found = Tallies(events=len(frame), columns=frame.columns)
    if not len(frame):
        return found
    owners = frame[owner_of(frame.columns)]
    owner, item = codes(owners), codes(frame["item"])
    begin, _ = offsets_of(owners)
    found.lengths = np.bincount(np.diff(begin))
    found.popularity = np.bincount(item, minlength=num_items)
    key = np.sort(owner.astype(np.int64) * num_items + item)
    found.pairs = int(1 + np.count_nonzero(np.diff(key)))
    equal = {name: _as_before(frame[name]) for name in frame.columns}  # the rows are sorted by all columns
    found.duplicates = int(np.logical_and.reduce(list(equal.values())).sum())
    same_owner = np.diff(owner) == 0
    if clock_of(frame.columns) is not None:
        found.consecutive = int((same_owner & equal["item"]).sum())
    if "time" in frame.columns:
        time = frame["time"].to_physical().to_numpy()
        tied = same_owner & equal["time"]
        found.tied = int((np.append(tied, False) | np.append(False, tied)).sum())
        found.hours, found.first, found.last = np.bincount(time // HOUR), int(time.min()), int(time.max())
    for name, counts in (("kind", found.kinds), ("part", found.parts)):
        if name in frame.columns:
            counts |= {str(value): count for value, count in frame[name].value_counts().iter_rows()}
    if "weight" in frame.columns:
        _weigh(frame["weight"], found)
    return found


def _weigh(column: pl.Series, found: Tallies) -> None:
    counts = column.value_counts()
    found.weights = {float(w): n for w, n in counts.iter_rows()} if len(counts) <= DISTINCT_WEIGHTS else None
    values = column.to_numpy()
    found.weight_sum, found.weight_min, found.weight_max = float(values.sum(dtype=np.float64)), float(values.min()), float(values.max())


def _as_before(column: pl.Series) -> NDArray[np.bool_]:
    """bool [E - 1]: whether each value but the first equals the one before it."""
    values = column.to_physical().to_numpy()
    return np.asarray(values[1:] == values[:-1])


def _sum(a: Ints, b: Ints) -> Ints:
    """Counts of both; the shorter one is filled up with zeros."""
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    found = long.astype(np.int64)
    found[: len(short)] += short
    return found


def _merged(a: dict[K, int], b: dict[K, int]) -> dict[K, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in a | b}
