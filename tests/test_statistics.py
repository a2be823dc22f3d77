from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
import torch

from recsys.statistics import interval, paired_difference


def test_interval_of_a_large_normal_sample_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(3, 2, 5000)
    found = interval(values, resamples=4000)
    half = 1.96 * values.std() / math.sqrt(5000)
    assert found.mean == pytest.approx(values.mean()) and found.queries == 5000
    assert found.low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.06 * half)


def test_few_distinct_values_take_the_short_way_with_the_same_distribution() -> None:
    hits = np.repeat([0.0, 1.0], [3000, 1000])
    jittered = hits + np.arange(4000) * 1e-12  # all distinct: the long way
    short, long = interval(hits, resamples=8000), interval(jittered, resamples=8000)
    assert short.low == pytest.approx(long.low, abs=6e-4) and short.high == pytest.approx(long.high, abs=6e-4)


def test_nan_values_are_left_out() -> None:
    values = np.array([0.0, 1.0, np.nan, 1.0, np.nan, 0.5])
    assert interval(values) == interval(values[~np.isnan(values)])
    assert interval(values).queries == 4
    nothing = interval([math.nan])
    assert nothing.queries == 0 and math.isnan(nothing.mean) and math.isnan(nothing.low)


def test_constant_values_have_no_width() -> None:
    found = interval(np.full(50, 0.25))
    assert (found.low, found.high) == (0.25, 0.25)


def test_seed_decides_and_kinds_of_column_do_not() -> None:
    values = np.random.default_rng(1).random(300)
    assert interval(values, seed=4) == interval(torch.from_numpy(values), seed=4) == interval(pl.Series(values), seed=4)
    assert interval(values, seed=4) != interval(values, seed=5)
    wide = interval(values, 0.99, seed=4)
    assert wide.low < interval(values, seed=4).low and wide.high > interval(values, seed=4).high


def test_coverage_of_the_interval() -> None:
    """Nominal 95 % covers 93 to 97 % on skewed per-query values like those of NDCG."""
    rng = np.random.default_rng(3)
    covered = 0
    trials = 1200
    for trial in range(trials):
        values = (rng.random(300) < 0.3) * rng.random(300)
        found = interval(values, seed=trial, resamples=400)
        covered += found.low <= 0.15 <= found.high
    assert 0.93 <= covered / trials <= 0.97


def test_size_of_the_permutation_test() -> None:
    """Without any difference, about 5 % of p values are below 0.05."""
    rng = np.random.default_rng(5)
    trials = 1000
    rejected = 0
    for trial in range(trials):
        a, b = rng.random(80) ** 3, rng.random(80) ** 3
        rejected += paired_difference(a, b, seed=trial, resamples=1, permutations=400).p < 0.05
    assert 0.03 <= rejected / trials <= 0.07


def test_p_value_equals_the_enumeration_of_all_signs() -> None:
    gap = np.array([0.3, -0.1, 0.25, 0.5, 0.0, 0.4, -0.2, 0.15])
    kept = gap[gap != 0]
    extreme = [abs(np.dot(signs, kept)) >= abs(kept.sum()) - 1e-12 for signs in itertools.product([1, -1], repeat=len(kept))]
    assert paired_difference(gap, np.zeros(8), permutations=60_000).p == pytest.approx(np.mean(extreme), abs=0.006)


def test_two_sided_and_antisymmetric() -> None:
    rng = np.random.default_rng(2)
    a = rng.random(500)
    b = a + rng.normal(0.02, 0.1, 500)
    one, other = paired_difference(a, b), paired_difference(b, a)
    assert one.mean == pytest.approx(-other.mean) and one.p == pytest.approx(other.p)
    assert one.low == pytest.approx(-other.high) and one.high == pytest.approx(-other.low)
    assert one.high < 0 and one.p < 0.01


def test_pairing_finds_what_two_separate_intervals_cannot() -> None:
    rng = np.random.default_rng(8)
    a = rng.random(400)
    b = a - 0.01 + rng.normal(0, 0.02, 400)
    assert interval(b).high > interval(a).low
    assert paired_difference(a, b).low > 0 and paired_difference(a, b).p < 0.001


def test_equal_and_empty() -> None:
    same = paired_difference([0.1, 0.5], [0.1, 0.5])
    assert (same.mean, same.p, same.queries) == (0.0, 1.0, 2)
    left_out = paired_difference([0.1, math.nan, 0.4], [0.1, 0.3, math.nan])
    assert left_out.queries == 1
    assert math.isnan(paired_difference([], []).p)


def test_p_is_never_zero() -> None:
    assert paired_difference(np.ones(1000), np.zeros(1000), permutations=99).p == 0.01


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: interval([1.0], 95), "between 0 and 1, got 95"),
        (lambda: interval([[1.0]]), "a column"),
        (lambda: interval([1.0], resamples=0), "at least one resample"),
        (lambda: paired_difference([1.0, 2.0], [1.0]), "got 2 and 1"),
    ],
)
def test_bad_input(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]
