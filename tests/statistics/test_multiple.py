from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import false_discovery_control

from recsys.statistics import benjamini_hochberg, holm

P = st.lists(st.floats(0, 1), max_size=30)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 * .01; 2 * .03; max(1 * .04, .06)
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02] and holm([]) == []


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])  # 4/2, 4/4, 4/3, 4/1 times p
    assert benjamini_hochberg([0.9, 0.8]) == [0.9, 0.9]  # 0.8 * 2 is above what 0.9 has
    assert benjamini_hochberg([0.02]) == [0.02] and benjamini_hochberg([]) == []


@given(P)
def test_holm_is_the_largest_of_the_products_so_far(p: list[float]) -> None:
    def product(x: float) -> float:
        return min(1.0, x * (len(p) - sum(y < x for y in p)))

    assert holm(p) == [max(product(x) for x in p if x <= own) for own in p]


@given(P.filter(bool))
def test_benjamini_hochberg_is_that_of_scipy(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p).tolist(), abs=1e-15)


@given(P, st.randoms())
def test_corrections_only_raise_keep_the_order_and_do_not_depend_on_it(p: list[float], random: object) -> None:
    one, other = np.array(holm(p)), np.array(benjamini_hochberg(p))
    given_p = np.array(p)
    assert (given_p <= other).all() and (other <= one).all() and (one <= np.minimum(1, given_p * len(p))).all()
    order = np.argsort(given_p, kind="stable")
    assert (np.diff(one[order]) >= 0).all() and (np.diff(other[order]) >= 0).all()
    shuffled = np.arange(len(p))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert holm(given_p[shuffled]) == one[shuffled].tolist() and benjamini_hochberg(given_p[shuffled]) == other[shuffled].tolist()


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_a_comparison_that_was_not_made_is_not_counted(correct: object) -> None:
    found = correct([0.01, math.nan, 0.03])  # type: ignore[operator]
    assert math.isnan(found[1]) and [found[0], found[2]] == correct([0.01, 0.03])  # type: ignore[operator]


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p", [[0.5, 1.5], [-0.1]])
def test_no_p_value(correct: object, p: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1, got"):
        correct(p)  # type: ignore[operator]


def _p_values(shift: np.ndarray, trials: int, shared: float, seed: int) -> np.ndarray:
    """[trials, len(shift)]: two-sided, of normal statistics that correlate by ``shared``, as those against one baseline do."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(trials, 1)), rng.normal(size=(trials, len(shift)))
    return 2 * ndtr(-np.abs(shift + math.sqrt(shared) * common + math.sqrt(1 - shared) * own))


@pytest.mark.parametrize(("shared", "nulls"), [(0.0, 10), (0.5, 10), (0.5, 5)])
def test_family_wise_error_rate_of_holm_over_ten_comparisons(shared: float, nulls: int) -> None:
    trials = 4000
    p = _p_values(np.repeat([0.0, 3.0], [nulls, 10 - nulls]), trials, shared, 1)
    adjusted = np.array([holm(row) for row in p])
    rate = (adjusted[:, :nulls] <= 0.05).any(1).mean()
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    assert (p[:, :nulls] <= 0.05).any(1).mean() > 0.14  # what it is without
    if shared == 0 and nulls == 10:
        assert rate == pytest.approx(1 - 0.995**10, abs=0.0105)
    if nulls < 10:
        assert (adjusted[:, nulls:] <= 0.05).mean() > (10 * p[:, nulls:] <= 0.05).mean() + 0.02  # more is found than Bonferroni finds


def test_false_discovery_rate_of_benjamini_hochberg() -> None:
    """Of independent p values it is exactly level * nulls / m, and more is found than by Holm's correction."""
    trials, nulls, m = 3000, 40, 50
    p = _p_values(np.repeat([0.0, 3.0], [nulls, m - nulls]), trials, 0.0, 2)
    rejected = np.array([benjamini_hochberg(row) for row in p]) <= 0.1
    share = rejected[:, :nulls].sum(1) / np.maximum(rejected.sum(1), 1)
    assert share.mean() == pytest.approx(0.1 * nulls / m, abs=3 * share.std() / math.sqrt(trials))
    assert rejected[:, nulls:].mean() > (np.array([holm(row) for row in p]) <= 0.1)[:, nulls:].mean() + 0.1


def test_false_discovery_rate_against_one_baseline() -> None:
    trials, nulls, m = 3000, 40, 50
    p = _p_values(np.repeat([0.0, 3.0], [nulls, m - nulls]), trials, 0.5, 3)
    rejected = np.array([benjamini_hochberg(row) for row in p]) <= 0.1
    share = rejected[:, :nulls].sum(1) / np.maximum(rejected.sum(1), 1)
    assert share.mean() <= 0.1 * nulls / m + 3 * share.std() / math.sqrt(trials)
