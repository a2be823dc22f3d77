"""How large a difference between two recommenders is, and how large it would have to be to be found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import nctdtrinc, stdtrit

from recsys.statistics.base import check_level, column, shared_gap


@dataclass(frozen=True)
class Effect:
    """``d_z``: mean of a - b over its standard deviation over ``queries`` shared queries; nan where it has none. ``better``, ``equal``,
    ``worse``: the shares of queries where a is above, at and below b."""

    d_z: float
    better: float
    equal: float
    worse: float
    queries: int


def effect_size(a: Any, b: Any) -> Effect:
    """The standardised mean difference of paired values (Cohen 1988, section 2.3.5: d_z), and how the queries are divided.

    The standard deviation has n - 1 below it. Unlike a p value, none of these grows with the number of queries. ``better - worse`` is the
    dominance statistic of pairs (Cliff 1993). Queries where either value is nan are left out.

    Raises:
        ValueError: values of different length, or not one-dimensional.
    """
    gap = shared_gap(a, b)
    if not len(gap):
        return Effect(math.nan, math.nan, math.nan, math.nan, 0)
    spread = float(gap.std(ddof=1)) if len(gap) > 1 else 0.0
    better, worse = float((gap > 0).mean()), float((gap < 0).mean())
    return Effect(float(gap.mean()) / spread if spread else math.nan, better, float((gap == 0).mean()), worse, len(gap))


def smallest_detectable_difference(differences: Any, level: float = 0.95, power: float = 0.8) -> float:
    """The true mean difference that a two-sided paired test of this many queries finds with probability ``power``.

    delta sd / sqrt(n), with delta the noncentrality for which Student's statistic exceeds its critical value with that probability (Cohen
    1988, chapter 2; 2.80 for many queries, level 0.95 and power 0.8). A significant result of the wrong sign, at level 0.95 rarer than 1
    in 1,000, is not counted. The permutation test has the same power in the limit of many queries (Hoeffding 1952).

    Args:
        differences: a - b for each query: only how they spread is used. Nan values are left out.
        level: 1 - the probability with which the test finds a difference where there is none.
        power: at least 0.5.

    Raises:
        ValueError: level or power out of range, or fewer than three values.
    """
    check_level(level)
    if not 0.5 <= power < 1:
        raise ValueError(f"a power is at least 0.5 and below 1, got {power}; 0.8 is usual")
    gap = column(differences)
    gap = gap[~np.isnan(gap)]
    if len(gap) < 3:
        raise ValueError(f"a spread needs at least three differences, got {len(gap)}; test on more queries")
    freedom = len(gap) - 1
    delta = nctdtrinc(freedom, 1 - power, stdtrit(freedom, (1 + level) / 2))
    return float(delta * gap.std(ddof=1) / math.sqrt(len(gap)))
