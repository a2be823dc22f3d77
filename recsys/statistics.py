"""How sure a mean over queries is, and whether two recommenders differ. Everything is deterministic from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.randomness import numpy_generator

Values = NDArray[np.float64]

CELLS = 1 << 22
"""Resampled values in memory at once."""


@dataclass(frozen=True)
class Interval:
    """``mean`` of ``queries`` values and the ends of its confidence interval of the given ``level``."""

    mean: float
    low: float
    high: float
    level: float
    queries: int


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over ``queries`` shared queries, its confidence interval, and the two-sided ``p`` value of "no difference"."""

    mean: float
    low: float
    high: float
    level: float
    queries: int
    p: float


def interval(values: Any, level: float = 0.95, seed: int = 0, *, resamples: int = 2000) -> Interval:
    """Percentile bootstrap interval of a mean over queries (Efron and Tibshirani 1993, chapter 13).

    It tells the uncertainty from the queries that happen to be in the test set, not that from training again with another seed.

    Args:
        values: one value a query (array, tensor or Polars series); nan values are left out.
        level: share of such intervals that cover the true mean.

    Raises:
        ValueError: level outside (0, 1), fewer than one resample, or values that are not one-dimensional.
    """
    _check(level, resamples)
    kept = _column(values)
    kept = kept[~np.isnan(kept)]
    low, high = _percentiles(kept, level, resamples, seed)
    return Interval(float(kept.mean()) if len(kept) else float("nan"), low, high, level, len(kept))


def paired_difference(
    a: Any, b: Any, level: float = 0.95, seed: int = 0, *, resamples: int = 2000, permutations: int = 10_000
) -> Difference:
    """Compares two recommenders on the same queries, in the same order.

    The interval is a paired percentile bootstrap. The p value is that of a paired permutation test: had the two the same
    distribution, each query's difference could as well have had the other sign (Fisher's randomisation test; Smucker, Allan and
    Carterette 2007). It is (1 + permutations at least as extreme) / (1 + permutations), so never 0. Queries where either value is
    nan are left out.

    Raises:
        ValueError: values of different length, or as for :func:`interval`.
    """
    _check(level, resamples)
    first, second = _column(a), _column(b)
    if len(first) != len(second):
        raise ValueError(f"a paired comparison needs values of the same queries, got {len(first)} and {len(second)}; join them first")
    gap = first - second
    gap = gap[~np.isnan(gap)]
    low, high = _percentiles(gap, level, resamples, seed)
    mean = float(gap.mean()) if len(gap) else float("nan")
    return Difference(mean, low, high, level, len(gap), _sign_flip(gap, permutations, seed))


def _percentiles(values: Values, level: float, resamples: int, seed: int) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    means = np.concatenate(list(_resampled_means(values, resamples, seed)))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_means(values: Values, resamples: int, seed: int) -> Iterator[Values]:
    """Means of samples of len(values) drawn with replacement. Where few values are distinct, how often each is drawn is drawn at once."""
    rng = numpy_generator(seed, "bootstrap")
    size = len(values)
    distinct, times = np.unique(values, return_counts=True)
    few = len(distinct) * 16 < size
    step = max(1, CELLS // (len(distinct) if few else size))
    for at in range(0, resamples, step):
        rows = min(step, resamples - at)
        if few:
            yield rng.multinomial(size, times / size, size=rows) @ distinct / size
        else:
            yield values[rng.integers(size, size=(rows, size), dtype=np.int32)].mean(1)


def _sign_flip(gap: Values, permutations: int, seed: int) -> float:
    """P value of the mean of ``gap`` under random signs; zeros cannot change it."""
    if not len(gap):
        return float("nan")
    gap = gap[gap != 0]
    if not len(gap):
        return 1.0
    rng = numpy_generator(seed, "signs")
    observed = abs(gap.sum()) - 1e-12 * np.abs(gap).sum()  # sums that are equal but for rounding count as equal
    step = max(1, CELLS // len(gap))
    extreme = 0
    for at in range(0, permutations, step):
        rows = min(step, permutations - at)
        bits = np.unpackbits(np.frombuffer(rng.bytes(rows * (-(-len(gap) // 8))), np.uint8).reshape(rows, -1), axis=1, count=len(gap))
        extreme += int((np.abs(2 * (bits @ gap) - gap.sum()) >= observed).sum())
    return (1 + extreme) / (1 + permutations)


def _column(values: Any) -> Values:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"one value a query is needed, a column; got an array of shape {found.shape}")
    return found


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, got {level}; write 0.95 for 95 %")
    if resamples < 1:
        raise ValueError(f"a bootstrap needs at least one resample, got {resamples}; 2000 is usual")
