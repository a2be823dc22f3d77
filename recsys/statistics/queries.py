"""How sure a mean over queries is, and whether two recommenders differ on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.statistics.base import Difference, Interval, check_level, column, shared_gap
from recsys.statistics.resampling import bootstrap_ends, sign_flip_p


def interval(values: Any, level: float = 0.95, seed: int = 0, *, resamples: int = 2000) -> Interval:
    """Percentile bootstrap interval of a mean over queries (Efron and Tibshirani 1993, chapter 13).

    It tells the uncertainty from the queries that happen to be in the test set, not that from training again with another seed. Of
    very many values most are not drawn one by one, see :mod:`recsys.statistics.resampling`.

    Args:
        values: one value a query (array, tensor or Polars series); nan values are left out.
        level: share of such intervals that cover the true mean.

    Raises:
        ValueError: level outside (0, 1), fewer than one resample, or values that are not one-dimensional.
    """
    check_level(level)
    kept = column(values)
    kept = kept[~np.isnan(kept)]
    low, high = bootstrap_ends(kept, level, resamples, seed)
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
    check_level(level)
    gap = shared_gap(a, b)
    low, high = bootstrap_ends(gap, level, resamples, seed)
    mean = float(gap.mean()) if len(gap) else float("nan")
    return Difference(mean, low, high, level, len(gap), sign_flip_p(gap, permutations, seed))
