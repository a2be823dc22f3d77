"""Whether intervals and tests keep their promise on values like those of queries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from recsys.statistics import homogeneous_groups, interval, paired_difference


@pytest.mark.parametrize("queries", [200, 5000])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_coverage_of_hits(queries: int, share: float) -> None:
    """Values 0 and 1, as recall with one relevant item has: the probability of every number of hits, where its interval covers."""
    hits = np.arange(*binom.interval(1 - 1e-6, queries, share)).astype(int)
    found = [interval(np.repeat([0.0, 1.0], [queries - h, h]), seed=int(h)) for h in hits]
    covers = [f.low <= share <= f.high for f in found]
    assert 0.93 <= binom.pmf(hits[covers], queries, share).sum() <= 0.97


def _reciprocal_logs(rng: np.random.Generator, queries: int) -> np.ndarray:
    """NDCG@20 with one relevant item, hit in three queries of ten."""
    return np.where(rng.random(queries) < 0.3, 1 / np.log2(rng.integers(1, 21, queries) + 1), 0.0)


def _mixture(rng: np.random.Generator, queries: int) -> np.ndarray:
    """NDCG with several relevant items: 0 in seven queries of ten, anything between 0 and 1 in others, most of it small."""
    return (rng.random(queries) < 0.3) * rng.beta(1, 3, queries)


@pytest.mark.parametrize(
    ("draw", "queries", "trials"), [(_reciprocal_logs, 200, 1000), (_reciprocal_logs, 5000, 600), (_mixture, 200, 1000)]
)
def test_coverage_of_ndcg(draw: object, queries: int, trials: int) -> None:
    truth = 0.3 / 4 if draw is _mixture else 0.3 * (1 / np.log2(np.arange(2, 22))).mean()
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(trials):
        found = interval(draw(rng, queries), seed=trial, resamples=400)  # type: ignore[operator]
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / trials <= 0.97


@pytest.mark.parametrize("queries", [60, 1000])
def test_false_positive_rate_of_the_paired_test(queries: int) -> None:
    """Two recommenders that are as good, on shared queries: both values of most are 0 or near each other."""
    rng = np.random.default_rng(11)
    trials = 1000
    rejected = 0
    for trial in range(trials):
        common = _mixture(rng, queries)
        a, b = (common + (rng.random(queries) < 0.1) * rng.beta(1, 3, queries) for _ in range(2))
        rejected += paired_difference(a, b, seed=trial, resamples=1, permutations=199).p <= 0.05
    assert rejected / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    assert rejected / trials >= 0.03


def test_family_wise_error_rate_of_all_pairs() -> None:
    """Five methods that are as good: ten paired permutation tests, one group in 95 % of all cases or more."""
    rng = np.random.default_rng(13)
    trials, apart = 500, 0
    for trial in range(trials):
        values = _mixture(rng, 80) + (rng.random((5, 80)) < 0.3) * rng.beta(1, 3, (5, 80))
        apart += len(homogeneous_groups(values, seed=trial, permutations=999).groups) > 1
    assert 0.01 < apart / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
