"""The same over several trainings of a method: values [seeds, queries], one row for each training with a seed of its own.

Two things are uncertain, which queries happened to be in the test set and which seeds were taken, and an interval says which of them it
allows for:

=========  ==========================================================================================================================
queries    these seeds, other queries: the bootstrap of :mod:`recsys.statistics.queries` on the mean over seeds of every query
seeds      these queries, other seeds: Student's t over the means of the seeds (of two methods: Welch 1947)
both       other queries and other seeds
=========  ==========================================================================================================================

For ``both``, value = mean + seed + query + seed x query, all but the mean random (the two-way crossed model; Searle, Casella and
McCulloch 1992). The mean over S seeds has the variance V / S + what the bootstrap over queries sees, with V the variance of the seeds'
means less that of seed x query / Q, which the bootstrap sees already, and at least 0. The halves of the two intervals add in squares
(Howe 1974; Zou and Donner 2008), each with its own quantile, so that ``both`` is never narrower than ``queries``. A two-way bootstrap
(Owen 2007) does not do: it draws few seeds from few. In simulations with 200 queries and three seeds, 95 % intervals of this kind cover
the mean in 95 to 97 %, whether seeds matter not at all or most, those of the two-way bootstrap in 75 to 98 %; with two seeds it is 93
to 97 % and 60 to 99 %.

A query that is nan for any seed is left out. A method that no seed changes (a count, a closed form) has no spread over seeds: give its row
twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from recsys.statistics.base import Difference, Interval, Values, check_level, table
from recsys.statistics.queries import interval, paired_difference

Over = Literal["queries", "seeds", "both"]

LEAST_P = 1e-12
"""P values over both are not told apart below this."""


def interval_over(over: Over, values: Any, level: float = 0.95, seed: int = 0, *, resamples: int = 2000) -> Interval:
    """Interval of the mean of one method over its seeds and queries.

    Args:
        over: what it allows for, see above.
        values: [seeds, queries].
        seed: of the bootstrap over queries.

    Raises:
        ValueError: fewer than two seeds (or, for "both", queries) where their spread is needed, an unknown ``over``, or as for
            :func:`recsys.statistics.interval`.
    """
    check_level(level)
    (kept,) = _kept(over, values)
    if over == "queries":
        return interval(_over_seeds(kept), level, seed, resamples=resamples)
    spread = _Spread.of(kept)
    if over == "seeds":
        mean, half = float(kept.mean()), spread.half(level)
        return Interval(mean, mean - half, mean + half, level, kept.shape[1])
    found = interval(_over_seeds(kept), level, seed, resamples=resamples)
    low, high = _wider(found, spread.net(kept).half(level))
    return Interval(found.mean, low, high, level, found.queries)


def difference_over(
    over: Over, a: Any, b: Any, level: float = 0.95, seed: int = 0, *, resamples: int = 2000, permutations: int = 10_000
) -> Difference:
    """Compares two methods on the same queries, in the same order; seeds are not paired, and need not be equally many.

    The p value is that of the permutation test over queries, of Welch's test over seeds (0 or 1 where no seed changes a mean), or, for
    "both", 1 - the level at which the interval, with Student's t for the bootstrap, ends at 0.

    Args:
        over: what it allows for, see above.
        a: [seeds, queries].
        b: [seeds, queries].
        seed: of the bootstrap and the permutations over queries.

    Raises:
        ValueError: other queries in a than in b, or as for :func:`interval_over`.
    """
    check_level(level)
    first, second = _kept(over, a, b)
    means = _over_seeds(first), _over_seeds(second)
    if over == "queries":
        return paired_difference(*means, level, seed, resamples=resamples, permutations=permutations)
    gap = means[0] - means[1]
    spread = _Spread.of(first, second)
    if over == "seeds":
        mean, half = float(gap.mean()), spread.half(level)
        return Difference(mean, mean - half, mean + half, level, len(gap), spread.p(mean))
    found = interval(gap, level, seed, resamples=resamples)
    of_seeds, of_queries = spread.net(first, second), _Spread(float(gap.var(ddof=1)) / len(gap), len(gap) - 1)
    low, high = _wider(found, of_seeds.half(level))
    return Difference(found.mean, low, high, level, len(gap), _p(found.mean, of_seeds, of_queries))


@dataclass(frozen=True)
class _Spread:
    """The variance of a mean and its degrees of freedom."""

    variance: float
    freedom: float

    @classmethod
    def of(cls, *methods: Values) -> _Spread:
        """Of the difference (or mean) of methods, over seeds; degrees of freedom by Welch and Satterthwaite."""
        parts = np.array([values.mean(1).var(ddof=1) / len(values) for values in methods])
        least = min(len(values) for values in methods) - 1
        if not parts.sum():
            return cls(0.0, least)
        share = parts / parts.sum()
        return cls(float(parts.sum()), float(1 / (share**2 / [len(values) - 1 for values in methods]).sum()))

    def net(self, *methods: Values) -> _Spread:
        """Without the part of seed x query, and at least 0."""
        return _Spread(max(0.0, self.variance - sum(map(_interaction, methods))), self.freedom)

    def half(self, level: float) -> float:
        return float(stdtrit(self.freedom, (1 + level) / 2)) * math.sqrt(self.variance)

    def p(self, mean: float) -> float:
        if not self.variance:
            return float(mean == 0)
        return float(2 * stdtr(self.freedom, -abs(mean) / math.sqrt(self.variance)))


def _interaction(values: Values) -> float:
    """The variance that seed x query alone gives to the mean of [S, Q] values: its mean square / (S Q)."""
    seeds, queries = values.shape
    left = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    return float(np.square(left).sum() / ((seeds - 1) * (queries - 1) * seeds * queries))


def _over_seeds(values: Values) -> Values:
    """The mean of each query, exact where all seeds give the same."""
    found: Values = values[0] + (values - values[0]).mean(0)
    return found


def _wider(found: Interval, half: float) -> tuple[float, float]:
    low, high = math.hypot(found.mean - found.low, half), math.hypot(found.high - found.mean, half)
    return min(found.low, found.mean - low), max(found.high, found.mean + high)


def _p(mean: float, *spreads: _Spread) -> float:
    """The p for which the halves of level 1 - p, added in squares, are the mean."""
    from scipy.optimize import brentq

    def excess(log_p: float) -> float:
        return math.fsum(s.half(1 - math.exp(log_p)) ** 2 for s in spreads) - mean**2

    least = math.log(LEAST_P)
    if mean == 0:
        return 1.0
    return math.exp(brentq(excess, least, 0.0)) if excess(least) > 0 else LEAST_P


def _kept(over: Over, *methods: Any) -> list[Values]:
    """The queries that are not nan for any seed of any method.

    Raises:
        ValueError: too few seeds or queries, other queries, or an unknown ``over``.
    """
    if over not in ("queries", "seeds", "both"):
        raise ValueError(f"an interval over {over!r} is asked for; allowed are 'queries', 'seeds' and 'both'")
    given = [table(values, "seeds") for values in methods]
    if len(widths := {values.shape[1] for values in given}) > 1:
        raise ValueError(
            f"a paired comparison needs values of the same queries, got {' and '.join(map(str, sorted(widths)))}; join them first"
        )
    if over != "queries" and (fewest := min(map(len, given))) < 2:
        raise ValueError(
            f"the spread over seeds needs at least two, got {fewest}; train with another, or give the row twice if no seed changes it"
        )
    there = ~np.isnan(np.concatenate(given)).any(0)
    if over == "both" and there.sum() < 2:
        raise ValueError(f"the spread over seeds and queries needs at least two queries, got {there.sum()}; test on more")
    return [values[:, there] for values in given]
