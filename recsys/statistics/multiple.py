"""P values of several comparisons at once. Nan, a comparison that could not be made, stays nan and is not counted as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.statistics.base import Values, column


def holm(p: Sequence[float] | Values) -> list[float]:
    """P values such that any false rejection among all of them has at most the probability that one alone would have.

    The i-th smallest of m, times m - i + 1, never decreasing, at most 1 (Holm 1979). The p values may depend on each other in any way.

    Raises:
        ValueError: a value outside [0, 1].
    """
    given, order = _ordered(p)
    factor = np.arange(len(order), 0, -1)
    return _returned(given, order, np.maximum.accumulate(np.minimum(given[order] * factor, 1.0)))


def benjamini_hochberg(p: Sequence[float] | Values) -> list[float]:
    """P values such that of those at most q, an expected share of at most q are false (the false discovery rate).

    The i-th smallest of m, times m / i, never above that of a larger one (Benjamini and Hochberg 1995). It holds for p values that are
    independent or positively dependent, as those of comparisons with one baseline are (Benjamini and Yekutieli 2001).

    Raises:
        ValueError: a value outside [0, 1].
    """
    given, order = _ordered(p)
    factor = len(order) / np.arange(1, len(order) + 1)
    return _returned(given, order, np.minimum.accumulate((given[order] * factor)[::-1])[::-1])


def _ordered(p: Sequence[float] | Values) -> tuple[Values, np.ndarray]:
    """The p values, and where those that are not nan stand, in ascending order."""
    given = column(p)
    if ((given < 0) | (given > 1)).any():
        raise ValueError(f"p values lie between 0 and 1, got {given[(given < 0) | (given > 1)][0]}; give them before any correction")
    return given, np.argsort(given, kind="stable")[: int((~np.isnan(given)).sum())]


def _returned(given: Values, order: np.ndarray, adjusted: Values) -> list[float]:
    found = np.full(len(given), np.nan)
    found[order] = adjusted
    return [float(value) for value in found]
