from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ttest_1samp, ttest_ind

from recsys.statistics import difference_over, interval, interval_over, paired_difference


def _crossed(rng: np.random.Generator, seeds: int, queries: int, of_seeds: float, of_queries: float = 0.3, rest: float = 0.2) -> np.ndarray:
    """[seeds, queries] with mean 0: seed + query + their interaction, of these standard deviations."""
    values = rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_queries, queries)
    return values + rng.normal(0, rest, (seeds, queries))


def test_over_seeds_by_hand() -> None:
    """Means 0.1, 0.2, 0.3: standard deviation 0.1, and 4.3027 is the quantile of Student's t with two degrees of freedom."""
    found = interval_over("seeds", [[0.0, 0.2], [0.1, 0.3], [0.2, 0.4]])
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, 0.2 - half, 0.2 + half)) and found.queries == 2


def test_over_both_by_hand() -> None:
    """Means of seeds 1/2 and 5/2: variance 2, over 2 is 1. What is left is 1/2 four times: mean square 1, over 4 is 1/4. Net 3/4."""
    values = np.array([[0.0, 1.0], [1.0, 4.0]])
    found, of_queries = interval_over("both", values), interval(values.mean(0))
    half = 12.70620 * math.sqrt(0.75)
    assert found.low == pytest.approx(1.5 - math.hypot(1.5 - of_queries.low, half))
    assert found.high == pytest.approx(1.5 + math.hypot(of_queries.high - 1.5, half))


def test_over_queries_is_the_interval_of_the_means_over_seeds() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 90)), rng.random((4, 90))
    assert asdict(interval_over("queries", a, 0.9, 5)) == pytest.approx(asdict(interval(a.mean(0), 0.9, 5)))
    assert interval_over("queries", a[:1]) == interval(a[0])
    assert asdict(difference_over("queries", a, b, 0.9, 5)) == pytest.approx(asdict(paired_difference(a.mean(0), b.mean(0), 0.9, 5)))


def test_difference_over_seeds_is_that_of_welch() -> None:
    rng = np.random.default_rng(1)
    a, b = _crossed(rng, 3, 60, 0.05) + 0.1, _crossed(rng, 6, 60, 0.2)
    found, expected = difference_over("seeds", a, b, 0.9), ttest_ind(a.mean(1), b.mean(1), equal_var=False)
    between = expected.confidence_interval(0.9)
    assert found.p == pytest.approx(expected.pvalue) and (found.low, found.high) == pytest.approx((between.low, between.high))


def test_seeds_that_change_nothing_leave_the_interval_over_queries() -> None:
    row, other = np.random.default_rng(2).random((2, 150))
    twice, thrice = np.tile(row, (2, 1)), np.tile(other, (3, 1))
    assert interval_over("both", twice) == interval(row)
    assert interval_over("seeds", twice).low == interval_over("seeds", twice).high == pytest.approx(row.mean())
    found, alone = difference_over("both", twice, thrice), paired_difference(row, other)
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    assert found.p == pytest.approx(ttest_1samp(row - other, 0).pvalue, rel=1e-6)


def test_queries_that_change_nothing_leave_the_interval_over_seeds() -> None:
    a = np.tile(np.array([[0.1], [0.4], [0.3]]), (1, 40))
    b = np.tile(np.array([[0.2], [0.1], [0.0], [0.15]]), (1, 40))
    both, alone = interval_over("both", a), interval_over("seeds", a)
    assert (both.low, both.high) == pytest.approx((alone.low, alone.high))
    between, only = difference_over("both", a, b), difference_over("seeds", a, b)
    assert (between.low, between.high, between.p) == pytest.approx((only.low, only.high, only.p))


def test_a_method_that_no_seed_changes_adds_nothing_over_seeds() -> None:
    rng = np.random.default_rng(3)
    a, fixed = _crossed(rng, 5, 80, 0.1), rng.random(80)
    found, alone = difference_over("seeds", a, [fixed, fixed]), interval_over("seeds", a)
    assert found.high - found.low == pytest.approx(alone.high - alone.low) and found.mean == pytest.approx(alone.mean - fixed.mean())
    same = difference_over("seeds", [fixed, fixed], [fixed, fixed])
    assert (same.low, same.high, same.p) == (0.0, 0.0, 1.0)
    for over in ("queries", "both"):
        assert difference_over(over, [fixed, fixed], [fixed, fixed, fixed]).p == 1.0  # type: ignore[arg-type]


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, st.tuples(st.integers(2, 4), st.integers(2, 12)), elements=st.integers(0, 5).map(float)))
def test_both_is_never_narrower_than_queries(values: np.ndarray) -> None:
    both, queries = interval_over("both", values, resamples=50), interval_over("queries", values, resamples=50)
    assert both.mean == queries.mean and both.low <= queries.low and both.high >= queries.high


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.floats(-0.2, 0.2), st.sampled_from(["queries", "seeds", "both"]))
def test_differences_are_antisymmetric(seed: int, shift: float, over: str) -> None:
    rng = np.random.default_rng(seed)
    a, b = _crossed(rng, 2, 30, 0.1) + shift, _crossed(rng, 4, 30, 0.1)
    one, other = (difference_over(over, *pair, permutations=200, resamples=200) for pair in ((a, b), (b, a)))  # type: ignore[arg-type]
    assert one.mean == pytest.approx(-other.mean) and one.p == pytest.approx(other.p)
    assert one.low == pytest.approx(-other.high) and one.high == pytest.approx(-other.low)


def test_p_over_both_is_where_the_interval_ends_at_zero() -> None:
    rng = np.random.default_rng(4)
    a, b = _crossed(rng, 4, 2000, 0.03) + 0.04, _crossed(rng, 6, 2000, 0.03)
    found = difference_over("both", a, b)
    assert 0.01 < found.p < 0.3
    at = difference_over("both", a, b, 1 - found.p, resamples=20_000)
    assert at.low == pytest.approx(0, abs=0.03 * at.mean)
    far = difference_over("both", a + 1000, b)
    assert 0 < far.p < 1e-9


def test_queries_that_are_nan_for_any_seed_are_left_out() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random((2, 20)), rng.random((3, 20))
    a[0, 3] = b[2, 7] = math.nan
    there = [q for q in range(20) if q not in (3, 7)]
    for over in ("queries", "seeds", "both"):
        assert difference_over(over, a, b) == difference_over(over, a[:, there], b[:, there])  # type: ignore[arg-type]
        assert interval_over(over, a).queries == 19  # type: ignore[arg-type]


def _two_way_bootstrap(rng: np.random.Generator, values: np.ndarray, resamples: int) -> tuple[float, float]:
    """Seeds and queries drawn with replacement, each by itself (Owen 2007)."""
    seeds, queries = values.shape
    drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), resamples) @ values
    low, high = np.quantile((drawn * rng.multinomial(queries, np.full(queries, 1 / queries), resamples)).sum(1), [0.025, 0.975])
    return low / values.size, high / values.size


@pytest.mark.parametrize(("of_seeds", "seeds"), [(0.0, 3), (0.03, 3), (0.3, 3), (0.05, 5)])
def test_coverage_of_other_queries_and_other_seeds(of_seeds: float, seeds: int) -> None:
    """From seeds that do not matter to seeds that matter most; and why neither other interval, nor a two-way bootstrap, would do."""
    rng = np.random.default_rng(6)
    trials = 600
    covered = dict.fromkeys(["both", "queries", "seeds", "two-way"], 0)
    for trial in range(trials):
        values = _crossed(rng, seeds, 100, of_seeds)
        for over in ("both", "queries", "seeds"):
            found = interval_over(over, values, seed=trial, resamples=200)  # type: ignore[arg-type]
            covered[over] += found.low <= 0 <= found.high
        if trial < 200:
            low, high = _two_way_bootstrap(rng, values, 200)
            covered["two-way"] += low <= 0 <= high
    assert 0.93 <= covered["both"] / trials <= 0.975
    if of_seeds == 0:
        assert covered["seeds"] / trials < 0.85  # knows nothing of other queries
    if of_seeds == 0.3:
        assert covered["queries"] / trials < 0.4 and covered["two-way"] / 200 < 0.85


def test_each_interval_covers_what_it_is_of() -> None:
    """Over queries: the mean of these seeds over all queries. Over seeds: the mean of all seeds over these queries."""
    rng = np.random.default_rng(7)
    trials, covered = 1000, {"queries": 0, "seeds": 0}
    for trial in range(trials):
        of_seeds, of_queries = rng.normal(0, 0.1, (3, 1)), rng.normal(0, 0.3, 150)
        values = of_seeds + of_queries + rng.normal(0, 0.1, (3, 150))
        over_queries = interval_over("queries", values, seed=trial, resamples=300)
        over_seeds = interval_over("seeds", values)
        covered["queries"] += over_queries.low <= of_seeds.mean() <= over_queries.high
        covered["seeds"] += over_seeds.low <= of_queries.mean() <= over_seeds.high
    assert all(0.93 <= n / trials <= 0.97 for n in covered.values())


@pytest.mark.parametrize("of_seeds", [0.0, 0.05, 0.3])
def test_false_positive_rate_over_both(of_seeds: float) -> None:
    """Two methods of the same mean with unequally many seeds."""
    rng = np.random.default_rng(8)
    trials, both, queries = 600, 0, 0
    for trial in range(trials):
        common = rng.normal(0, 0.3, 100)
        a, b = (common + _crossed(rng, seeds, 100, of_seeds, 0.1) for seeds in (3, 4))
        both += difference_over("both", a, b, seed=trial, resamples=1).p <= 0.05
        queries += difference_over("queries", a, b, seed=trial, resamples=1, permutations=99).p <= 0.05
    assert both / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    if of_seeds:
        assert queries / trials > 0.25


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: interval_over("seeds", [[1.0, 2.0]]), "at least two, got 1"),
        (lambda: difference_over("both", [[1.0, 2.0]] * 2, [[1.0, 2.0]]), "at least two, got 1"),
        (lambda: interval_over("both", [[1.0], [2.0]]), "at least two queries, got 1"),
        (lambda: interval_over("both", [1.0, 2.0]), r"\[seeds, queries\] is needed, got one of shape \(2,\)"),
        (lambda: interval_over("users", [[1.0]]), "'users' is asked for; allowed are"),  # type: ignore[arg-type]
        (lambda: interval_over("queries", [[1.0]], 95), "between 0 and 1, got 95"),
        (lambda: difference_over("queries", [[1.0, 2.0]], [[1.0]]), "same queries, got 1 and 2"),
        (lambda: interval_over("both", [[1.0, 2.0]] * 2, resamples=0), "at least one resample"),
    ],
)
def test_bad_input(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]
