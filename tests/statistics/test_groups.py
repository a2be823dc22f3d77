from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from recsys.statistics import groups, holm, homogeneous_groups, mean_ranks, paired_difference


def test_two_of_three_that_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(300)
    values = np.stack([base + rng.normal(0, 0.1, 300) - 0.1, base + rng.normal(0, 0.1, 300), base + rng.normal(0, 0.1, 300) + 0.002])
    found = homogeneous_groups(values)
    assert found.groups == ((2, 1), (0,)) and found.order == (2, 1, 0) and found.queries == 300
    assert found.means == pytest.approx(values.mean(1)) and found.level == 0.95


def test_neighbours_that_cannot_be_told_apart_share_a_group_and_extremes_do_not() -> None:
    """Every step of 1.5 standard errors is within noise, two steps are not."""
    noise = np.random.default_rng(1).normal(size=(4, 400))
    noise -= noise.mean(1, keepdims=True)
    step = 2.1 * math.sqrt(2 / 400)
    found = homogeneous_groups(noise + step * np.array([[3], [2], [1], [0]]))
    assert found.groups == ((0, 1), (1, 2), (2, 3))


def test_groups_need_not_be_neighbours_in_rank() -> None:
    """Between two noisy methods lies a third that differs from neither in mean by much, and from one of them never by chance."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=300)
    noise -= noise.mean()
    best, second, worst = noise + 0.02, noise + 0.01, np.roll(noise, 150)
    found = homogeneous_groups([best, second, worst])
    assert found.groups == ((0, 2), (1, 2)) and found.p[0, 1] < 0.001


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_all_that_have_no_significant_pair_and_cannot_grow(seed: int) -> None:
    """By trying every subset of seven methods, whose pairs differ by chance and with unequal noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(7, 60)) * rng.uniform(0.1, 2, (7, 1)) + rng.normal(0, 0.4, (7, 1))
    found = homogeneous_groups(values, seed=seed, permutations=2000)
    subsets = [set(s) for size in range(1, 8) for s in itertools.combinations(range(7), size)]
    alike = [s for s in subsets if all(found.p[a, b] >= 0.05 for a, b in itertools.combinations(s, 2))]
    largest = [s for s in alike if not any(s < other for other in alike)]
    assert sorted(map(sorted, found.groups)) == sorted(map(sorted, largest))
    position = {method: at for at, method in enumerate(np.argsort(-values.mean(1)))}
    assert found.order == tuple(position) and all(list(g) == sorted(g, key=position.get) for g in found.groups)  # type: ignore[arg-type]
    assert list(found.groups) == sorted(found.groups, key=lambda g: [position[m] for m in g])


def test_p_values_are_those_of_paired_tests_after_holm() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((4, 150)) + np.array([[0.0], [0.02], [0.06], [0.15]])
    found = homogeneous_groups(values, permutations=40_000)
    pairs = list(itertools.combinations(range(4), 2))
    expected = holm([paired_difference(values[a], values[b], resamples=1, permutations=40_000).p for a, b in pairs])
    assert [found.p[a, b] for a, b in pairs] == pytest.approx(expected, abs=0.025)
    assert (found.p == found.p.T).all() and (np.diag(found.p) == 1).all()


def test_very_many_queries_go_by_the_tests_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random((3, 200)) + np.array([[0.0], [0.03], [0.05]])
    one = homogeneous_groups(values)
    monkeypatch.setattr(groups, "LIMIT", 200)
    assert homogeneous_groups(values).p == pytest.approx(one.p, abs=0.03)
    assert homogeneous_groups(values).p[0, 1] == holm([paired_difference(values[a], values[b]).p for a, b in [(0, 1), (0, 2), (1, 2)]])[0]


def test_methods_that_differ_on_few_queries_only() -> None:
    """On none, one and three of 3000: p is 1, 1 and 2 of 8, whatever rounding does to long sums."""
    rows = np.random.default_rng(5).random((2, 3000))
    rows[1] = rows[0]
    assert homogeneous_groups(rows).p[0, 1] == 1.0
    rows[1, 17] += 0.3
    assert homogeneous_groups(rows).p[0, 1] == 1.0
    rows[1, [100, 2000]] += [0.1, 0.7]
    assert homogeneous_groups(rows).p[0, 1] == pytest.approx(0.25, abs=0.02)


def test_many_methods_are_permuted_so_often_that_a_difference_can_be_found() -> None:
    values = np.random.default_rng(6).normal(size=(16, 40)) + np.linspace(0, 60, 16)[:, None]
    assert len(homogeneous_groups(values, 0.99).groups) == 16
    assert len(homogeneous_groups(values, 0.99, permutations=10_000).groups) == 1  # 120 pairs / 10,001 > 0.01


def test_one_method_and_missing_values() -> None:
    rng = np.random.default_rng(7)
    assert homogeneous_groups(rng.random((1, 5))).groups == ((0,),)
    values = rng.random((3, 50))
    values[1, 4] = values[2, 9] = math.nan
    kept = np.delete(values, [4, 9], axis=1)
    one, other = homogeneous_groups(values), homogeneous_groups(kept)
    assert one.groups == other.groups and (one.p == other.p).all() and one.queries == 48
    assert (mean_ranks(values) == mean_ranks(kept)).all()


def test_mean_ranks_by_hand() -> None:
    """Ranks 1 2 3; 2.5 1 2.5; 2 2 2."""
    assert mean_ranks([[3, 0, 1], [2, 9, 1], [1, 0, 1]]).tolist() == pytest.approx([5.5 / 3, 5 / 3, 7.5 / 3])


def test_mean_ranks_are_those_of_friedmans_test() -> None:
    values = np.random.default_rng(8).random((5, 70))
    ranks = mean_ranks(values)
    assert 12 * 70 / (5 * 6) * np.square(ranks - 3).sum() == pytest.approx(friedmanchisquare(*values).statistic)
    assert (homogeneous_groups(values, permutations=10).ranks == ranks).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: homogeneous_groups([1.0, 2.0]), r"\[methods, queries\] is needed"),
        (lambda: homogeneous_groups([[math.nan, 1.0], [1.0, math.nan]]), "of 2 queries none has a value for all 2 methods"),
        (lambda: homogeneous_groups([[1.0, 2.0]], 95), "between 0 and 1, got 95"),
        (lambda: mean_ranks(np.empty((0, 3))), "is needed, got one of shape"),
    ],
)
def test_bad_input(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]
