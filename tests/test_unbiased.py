"""Estimates of what was not observed: by hand, and in worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from recsys.data.log import Histories, Holdout
from recsys.unbiased import estimate, gains, gold_corrected, pairs


def test_estimates_by_hand() -> None:
    """Gains 1, 0, 1 with theta 0.5, 0.25, 1: weights 2, 4, 1, so snips = 3 / 7; with a clip of 0.5, 2, 2, 1 and 3 / 5; two queries, whose
    sums of gain / theta are 2 and 1."""
    found = estimate([1.0, 0.0, 1.0], [0.5, 0.25, 1.0], [0, 0, 1], clip=0.5)
    assert found.naive.mean == pytest.approx(2 / 3) and found.snips.mean == pytest.approx(3 / 7)
    assert found.clipped.mean == pytest.approx(3 / 5) and found.ips.mean == pytest.approx(1.5)
    assert found.effective == pytest.approx(49 / 21) and found.pairs == 3
    assert found.warning is not None and "worth 2 equally weighted ones" in found.warning
    same = estimate([1.0, 0.0] * 200, [0.3] * 400, np.arange(400))
    for other in (same.snips, same.clipped):
        assert (other.mean, other.low, other.high) == pytest.approx((same.naive.mean, same.naive.low, same.naive.high))
    assert same.effective == pytest.approx(400) and same.warning is None


def test_gains_of_lists() -> None:
    histories = Histories.of([[], []])
    holdout = Holdout(histories, torch.tensor([2, 5, 1]), torch.tensor([0, 2, 3]), torch.zeros(2).long(), pl.DataFrame({"user": [1, 2]}))
    lists = torch.tensor([[4, 2, 5], [3, 0, -1]])
    assert gains(lists, holdout, 2).tolist() == [1.0, 0.0, 0.0]
    assert gains(lists, holdout, 3, "dcg").tolist() == pytest.approx([1 / np.log2(3), 0.5, 0.0])
    query, item = pairs(holdout)
    assert query.tolist() == [0, 0, 1] and item.tolist() == [2, 5, 1]


def world(rng: np.random.Generator, users: int = 400, items: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Relevance bool [U, N], the probability to observe an item [N], and ranks of a recommender that likes what is observed often."""
    theta = 0.9 * (np.arange(1, items + 1) / items) ** 1.5 + 0.02
    relevant = rng.random((users, items)) < 0.2
    rank = (-(theta + 0.3 * rng.random((users, items)))).argsort(1).argsort(1) + 1
    return relevant, theta, rank


def test_snips_is_right_where_the_naive_metric_is_not() -> None:
    """Recall@10 of all relevant pairs is known; 60 logs are observed of them. Naive recall is far too high for a popularity-loving
    recommender; the mean of snips is the truth within its standard error, and its intervals cover it."""
    rng = np.random.default_rng(5)
    relevant, theta, rank = world(rng)
    truth = float((rank[relevant] <= 10).mean())
    naive, snips, ips, covered = [], [], [], 0
    for _ in range(60):
        observed = relevant & (rng.random(relevant.shape) < theta)
        query, item = observed.nonzero()
        found = estimate((rank[query, item] <= 10).astype(float), theta[item], query, resamples=300)
        naive.append(found.naive.mean)
        snips.append(found.snips.mean)
        ips.append(found.ips.mean * found.ips.queries)
        covered += found.snips.low <= truth <= found.snips.high
    error = np.std(snips, ddof=1) / np.sqrt(len(snips))
    assert np.mean(naive) > 1.3 * truth
    assert abs(np.mean(snips) - truth) < 4 * error and error < 0.02 * truth
    assert abs(np.mean(ips) / (rank[relevant] <= 10).sum() - 1) < 4 * np.std(ips, ddof=1) / np.mean(ips) / np.sqrt(len(ips))
    assert 50 <= covered <= 60


def test_a_clip_takes_variance_for_bias() -> None:
    rng = np.random.default_rng(6)
    relevant, theta, rank = world(rng)
    truth, snips, clipped, naive = float((rank[relevant] <= 10).mean()), [], [], []
    for _ in range(40):
        query, item = (relevant & (rng.random(relevant.shape) < theta)).nonzero()
        found = estimate((rank[query, item] <= 10).astype(float), theta[item], query, clip=0.3, resamples=2)
        for values, value in ((snips, found.snips), (clipped, found.clipped), (naive, found.naive)):
            values.append(value.mean)
    assert np.std(clipped) < np.std(snips)
    assert abs(np.mean(snips) - truth) < abs(np.mean(clipped) - truth) < abs(np.mean(naive) - truth)


def test_a_gold_set_corrects_any_bias() -> None:
    """2,000 queries whose observed values are biased upwards; 100 of them have true values. Over 400 draws of the hundred the corrected
    mean is the truth, its intervals cover it in about 95 of 100, and they are narrower than those of the hundred alone."""
    rng = np.random.default_rng(7)
    true = rng.beta(1, 4, 2000)
    biased = np.clip(true + 0.25 + 0.05 * rng.standard_normal(2000), 0, 1)
    found = [gold_corrected(biased, true[rows], rows) for rows in (rng.choice(2000, 100, replace=False) for _ in range(400))]
    means = np.array([x.within.mean for x in found])
    assert abs(biased.mean() - true.mean()) > 0.2
    assert abs(means.mean() - true.mean()) < 4 * means.std(ddof=1) / 20
    covered = np.mean([x.within.low <= true.mean() <= x.within.high for x in found])
    assert 0.92 <= covered <= 0.99
    assert np.mean([x.within.high - x.within.low for x in found]) < 0.6 * np.mean([x.gold.high - x.gold.low for x in found])


def test_a_biased_value_that_says_nothing_is_not_used() -> None:
    rng = np.random.default_rng(8)
    true, noise = rng.random(3000), rng.random(3000)
    rows = rng.choice(3000, 300, replace=False)
    found = gold_corrected(noise, true[rows], rows)
    assert abs(found.share) < 0.2 and found.within.mean == pytest.approx(found.gold.mean, abs=0.02)
    assert gold_corrected(np.ones(50), [0.0, 1.0], [3, 4]).share == 0.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1.0], [0.0], [0]), "a propensity outside"),
        (([1.0], [1.5], [0]), "a propensity outside"),
        (([1.0, 0.0], [0.5], [0]), "of the same pairs, got 2, 1 and 1"),
        (([], [], []), "no observed relevant pair"),
    ],
)
def test_what_cannot_be_estimated(arguments: tuple[list[float], ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        estimate(*arguments)
    with pytest.raises(ValueError, match="at least two"):
        gold_corrected([1.0, 0.0], [1.0], [0])
    with pytest.raises(ValueError, match="different ones of 0 to 1"):
        gold_corrected([1.0, 0.0], [1.0, 0.0], [0, 0])
