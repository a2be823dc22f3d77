"""From 65,536 values on most are not drawn one by one."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom, skew

from recsys.statistics import interval, paired_difference, resampling
from recsys.statistics.resampling import LIMIT, TAIL

MANY = LIMIT + 5000


def _levels(seed: int) -> np.ndarray:
    """Skewed values, few of them distinct, so that whole resamples can be drawn at once as well."""
    return np.minimum(np.exp(1.2 * np.random.default_rng(seed).normal(size=MANY)).round(), 60.0)


def _bootstrap(values: np.ndarray, resamples: int) -> np.ndarray:
    distinct, times = np.unique(values, return_counts=True)
    return np.random.default_rng(1).multinomial(len(values), times / len(values), size=resamples) @ distinct / len(values)


def test_ends_are_those_of_the_bootstrap_within_a_small_share_of_the_width() -> None:
    values = _levels(0)
    low, high = np.quantile(_bootstrap(values, 20_000), [0.025, 0.975])
    found = interval(values, resamples=10_000)
    width = high - low
    assert found.low == pytest.approx(low, abs=0.02 * width) and found.high == pytest.approx(high, abs=0.02 * width)


def test_moments_of_resampled_means_are_those_of_the_bootstrap() -> None:
    """Mean, spread / sqrt(n) and skewness / sqrt(n), of which what is left out is at most 2 / sqrt(TAIL)."""
    rng = np.random.default_rng(0)
    values = np.exp(2.5 * rng.normal(size=MANY))
    means = np.concatenate(list(resampling._means_of_many(values, 10_000, rng)))
    spread = values.std() / math.sqrt(MANY)
    expected = skew(values) / math.sqrt(MANY)
    assert expected > 0.15  # the limiting normal distribution has 0
    assert means.mean() == pytest.approx(values.mean(), abs=4 * spread / math.sqrt(10_000))
    assert means.std() == pytest.approx(spread, rel=4 / math.sqrt(20_000))
    assert skew(means) == pytest.approx(expected, abs=2 / math.sqrt(TAIL) + 4 * math.sqrt(6 / 10_000))


def test_a_few_values_that_decide_the_mean_are_drawn_one_by_one() -> None:
    """Three of 1000 among small ones: a resample has none to seven of them in 95 %, by the binomial distribution."""
    values = np.random.default_rng(3).random(MANY) * 1e-3
    values[[5, 700, 60_000]] = 1000.0
    found = interval(values)
    assert found.low == pytest.approx(5e-4, rel=0.01) and found.high == pytest.approx(5e-4 + 7 * 1000 / MANY, rel=0.001)


def test_hits_and_constants() -> None:
    hits = np.repeat([0.0, 1.0], [MANY // 2, MANY - MANY // 2])
    half = 1.96 * math.sqrt(0.25 / MANY)
    found = interval(hits, resamples=8000)
    assert found.low == pytest.approx(0.5 - half, abs=0.04 * half) and found.high == pytest.approx(0.5 + half, abs=0.04 * half)
    constant = interval(np.full(MANY, 0.25))
    assert (constant.low, constant.mean, constant.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("z", [0.3, 1.0, 2.0, 3.0])
def test_p_is_that_of_the_limiting_normal_distribution(z: float) -> None:
    gap = np.random.default_rng(5).normal(size=MANY)
    gap += z / math.sqrt(MANY) - gap.mean()
    exact = 2 * float(ndtr(-gap.sum() / math.sqrt(np.square(gap).sum())))
    permutations = 20_000
    found = paired_difference(gap, np.zeros(MANY), resamples=1, permutations=permutations).p
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / permutations) + 1e-4)


@pytest.mark.parametrize("z", [1.0, 2.0, 2.6])
def test_p_of_differences_in_hits_is_that_of_the_sign_test(z: float) -> None:
    better = round((MANY + z * math.sqrt(MANY)) / 2)
    exact = 2 * float(binom.sf(better - 1, MANY, 0.5))
    found = paired_difference(np.repeat([1.0, 0.0], [better, MANY - better]), np.repeat([0.0, 1.0], [better, MANY - better]), resamples=1).p
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 10_000) + 0.002)


def test_p_of_a_few_differences_that_decide_is_exact() -> None:
    """Five large ones above small ones below 0: 2 of 32 choices of signs; the limiting normal distribution says 0.025."""
    gap = np.full(MANY, -1e-7)
    gap[[1, 10, 100, 1000, 10_000]] = 1.0
    assert paired_difference(gap, np.zeros(MANY), resamples=1, permutations=40_000).p == pytest.approx(0.0625, abs=0.005)


def test_p_is_never_zero_and_equal_values_give_one() -> None:
    ones = np.ones(MANY)
    assert paired_difference(ones, 0 * ones, permutations=99, resamples=1).p == 0.01
    assert paired_difference(ones, ones, resamples=1).p == 1.0


def test_seed_decides_and_sign_is_all_that_order_changes() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.random((2, MANY))
    one, other = paired_difference(a, b, seed=2), paired_difference(b, a, seed=2)
    assert one == paired_difference(a, b, seed=2) != paired_difference(a, b, seed=3)
    assert one.mean == pytest.approx(-other.mean) and one.p == pytest.approx(other.p, abs=0.02)


@pytest.mark.benchmark
@pytest.mark.parametrize("queries", [1_000_000, 10_000_000])
def test_speed(queries: int) -> None:
    rng = np.random.default_rng(8)
    a, b = rng.random((2, queries))
    for call in (lambda: interval(a), lambda: paired_difference(a, b)):
        start = time.perf_counter()
        found = call()
        print(f"{type(found).__name__} of {queries:,} queries: {time.perf_counter() - start:.2f} s")
