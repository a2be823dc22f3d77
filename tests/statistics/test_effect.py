from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import nct, t, ttest_rel

from recsys.statistics import Effect, effect_size, paired_difference, smallest_detectable_difference


def test_effect_by_hand() -> None:
    found = effect_size([3.0, 1.0, 0.0, 4.0], [2.0, 1.0, 1.0, 2.0])  # differences 1, 0, -1, 2: mean 1/2, variance 5/3
    assert found.d_z == pytest.approx(0.5 / math.sqrt(5 / 3)) and found.queries == 4
    assert (found.better, found.equal, found.worse) == (0.5, 0.25, 0.25)


def test_d_z_is_the_statistic_of_the_paired_t_test_without_the_number_of_queries() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(150), rng.random(150)
    assert effect_size(a, b).d_z == pytest.approx(ttest_rel(a, b).statistic / math.sqrt(150))
    assert effect_size(np.tile(a, 50), np.tile(b, 50)).d_z == pytest.approx(effect_size(a, b).d_z, rel=0.01)


def test_effect_is_antisymmetric_and_free_of_scale() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, (2, 300)).astype(float)
    one, other = effect_size(a, b), effect_size(7 * b, 7 * a)
    assert one.d_z == pytest.approx(-other.d_z) and (one.better, one.equal, one.worse) == (other.worse, other.equal, other.better)
    assert one.better + one.equal + one.worse == pytest.approx(1)


def test_effects_that_are_not_defined() -> None:
    assert math.isnan(effect_size([], []).d_z) and effect_size([math.nan], [1.0]).queries == 0
    constant = effect_size([2.0, 3.0, math.nan], [1.0, 2.0, 0.0])
    assert math.isnan(constant.d_z) and (constant.better, constant.equal, constant.worse, constant.queries) == (1.0, 0.0, 0.0, 2)
    assert effect_size([1.0], [2.0]).worse == 1.0 and isinstance(constant, Effect)


@pytest.mark.parametrize("queries", [3, 10, 200])
@pytest.mark.parametrize(("level", "power"), [(0.95, 0.8), (0.95, 0.95), (0.99, 0.8), (0.95, 0.5)])
def test_the_smallest_detectable_difference_has_that_power_in_the_t_test(queries: int, level: float, power: float) -> None:
    """By the noncentral t distribution."""
    gap = np.random.default_rng(queries).normal(size=queries)
    found = smallest_detectable_difference(gap, level, power)
    shift = found / (gap.std(ddof=1) / math.sqrt(queries))
    critical = t.ppf((1 + level) / 2, queries - 1)
    exact = nct.sf(critical, queries - 1, shift)
    assert exact == pytest.approx(power, abs=1e-6)


def test_the_permutation_test_finds_the_smallest_detectable_difference_with_that_power() -> None:
    """On differences of which most are 0, as between two recommenders; the truth is their mean when shifted."""
    rng = np.random.default_rng(2)
    queries, trials = 300, 1200
    population = (rng.random(100_000) < 0.3) * rng.normal(0, 0.4, 100_000)
    population -= population.mean()
    shift = smallest_detectable_difference(population) * math.sqrt(len(population) / queries)  # of so many queries
    found = 0
    for trial in range(trials):
        gap = rng.choice(population, queries) + shift
        found += paired_difference(gap, np.zeros(queries), seed=trial, resamples=1, permutations=499).p <= 0.05
    assert found / trials == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / trials))


def test_it_shrinks_with_the_root_of_the_number_of_queries_and_grows_with_power_level_and_spread() -> None:
    gap = np.random.default_rng(3).normal(size=4000)
    found = smallest_detectable_difference(gap)
    assert smallest_detectable_difference(np.tile(gap, 4)) == pytest.approx(found / 2, rel=1e-3)
    assert smallest_detectable_difference(3 * gap + 5) == pytest.approx(3 * found)
    assert smallest_detectable_difference(np.append(gap, math.nan)) == found
    assert found < smallest_detectable_difference(gap, power=0.9) < smallest_detectable_difference(gap, 0.99, 0.9)
    assert found == pytest.approx((1.96 + 0.8416) * gap.std() / math.sqrt(4000), rel=1e-3)
    assert smallest_detectable_difference(np.zeros(5)) == 0.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: effect_size([1.0, 2.0], [1.0]), "got 2 and 1"),
        (lambda: smallest_detectable_difference([1.0, 2.0, math.nan]), "at least three differences, got 2"),
        (lambda: smallest_detectable_difference([1.0, 2.0], power=0.3), "at least 0.5 and below 1, got 0.3"),
        (lambda: smallest_detectable_difference([1.0, 2.0], power=80), "got 80"),
        (lambda: smallest_detectable_difference([1.0, 2.0], 95), "between 0 and 1, got 95"),
        (lambda: smallest_detectable_difference([[1.0, 2.0]]), "a column"),
    ],
)
def test_bad_input(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]
