"""Worlds of clicks and ratings: draws have the stated probabilities, and estimators that know these recover the truth."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recsys.data.simulate import Feedback, draw, feedback, impressions, ratings, semi_synthetic
from recsys.errors import ConfigError, DataError


def losses(shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log losses of a fixed prediction as a click (delta 1) and as none (delta 0)."""
    p = np.random.default_rng(seed).uniform(0.05, 0.5, size=shape)
    return -np.log(p), -np.log(1 - p)


def ideal(world: Feedback, one: np.ndarray, zero: np.ndarray) -> float:
    return float((world.gamma * one + (1 - world.gamma) * zero).mean())


def estimate(world: Feedback, one: np.ndarray, zero: np.ndarray, least: float = 0.0) -> float:
    """Saito et al.: mean of Y / theta * delta1 + (1 - Y / theta) * delta0, theta at least ``least``; least = 1 is the naive estimator."""
    share = world.clicked / np.maximum(world.theta, least)
    return float((share * one + (1 - share) * zero).mean())


@pytest.fixture(scope="module")
def grid() -> tuple[Feedback, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """A 50 x 40 world drawn 4,000 times, and the estimates of the same loss in each draw."""
    world = feedback(users=50, items=40, seed=3, selection=0.3, least=0.05)
    one, zero = losses((50, 40))
    found: dict[str, list[float]] = {"unbiased": [], "clipped": [], "naive": []}
    for seed in range(4000):
        again = world.redraw(seed)
        for name, least in (("unbiased", 0.0), ("clipped", 0.2), ("naive", 1.0)):
            found[name].append(estimate(again, one, zero, least))
    return world, one, zero, {name: np.array(values) for name, values in found.items()}


def test_the_unbiased_estimator_recovers_the_ideal_loss_and_the_naive_one_does_not(grid) -> None:
    world, one, zero, found = grid
    truth = ideal(world, one, zero)
    standard_error = {name: values.std(ddof=1) / len(values) ** 0.5 for name, values in found.items()}
    assert abs(found["unbiased"].mean() - truth) < 4 * standard_error["unbiased"]
    assert abs(found["naive"].mean() - truth) > 50 * standard_error["naive"]
    clipped = np.mean(world.gamma * (world.theta / np.maximum(world.theta, 0.2) - 1) * (one - zero))
    assert abs(found["clipped"].mean() - truth - clipped) < 4 * standard_error["clipped"]
    assert abs(clipped) > 10 * standard_error["clipped"]  # the bias is there to be seen


def test_the_variance_of_the_unbiased_estimator_is_the_formula_of_the_paper(grid) -> None:
    world, one, zero, found = grid
    formula = (world.gamma * (1 / world.theta - world.gamma) * (one - zero) ** 2).sum() / world.gamma.size**2
    assert found["unbiased"].var(ddof=1) == pytest.approx(formula, rel=5 * (2 / 4000) ** 0.5)


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_every_pair_is_clicked_with_its_probability(slip: float) -> None:
    world = feedback(users=20, items=15, seed=1, slip=slip, selection=0.5)
    n = 4000
    draws = [world.redraw(seed) for seed in range(n)]
    clicked = np.sum([d.clicked for d in draws], axis=0)
    p = world.probability()
    assert p == pytest.approx(world.theta * world.gamma if not slip else world.theta * (1 - (1 - slip) * (1 - world.gamma)))
    z = ((clicked - n * p) / np.sqrt(n * p * (1 - p)))[n * p > 5]
    assert len(z) > 80 and stats.chi2(len(z)).cdf((z**2).sum()) == pytest.approx(0.5, abs=0.4999)
    noisy = np.sum([d.noisy for d in draws], axis=0).sum()
    expected = n * (world.theta * (1 - world.gamma) * slip).sum()
    assert noisy == 0 if not slip else abs(noisy - expected) < 5 * expected**0.5


def test_clicks_are_exposure_times_relevance_exactly() -> None:
    world = feedback(users=30, items=20, seed=2, slip=0.3)
    assert np.array_equal(world.clicked & ~world.noisy, world.exposed & world.relevant & world.clicked)
    assert (world.clicked <= world.exposed).all() and (world.noisy & world.relevant).sum() == 0 and world.noisy.any()
    clean = feedback(users=30, items=20, seed=2)
    assert np.array_equal(clean.clicked, clean.exposed & clean.relevant)
    assert np.array_equal(clean.exposed, world.exposed) and np.array_equal(clean.relevant, world.relevant)


def test_exposure_by_item_and_by_pair() -> None:
    gamma = np.array([[0.0, 1.0, 1.0]])
    world = draw(gamma, np.array([1.0, 1.0, 1e-12]), seed=0)
    assert world.clicked.tolist() == [[False, True, False]] and world.theta.shape == (1, 3)
    biased, fair = feedback(users=40, items=30, seed=5, selection=2.0), feedback(users=40, items=30, seed=5, selection=0.0)
    assert np.ptp(fair.theta, axis=0).max() == 0 and np.array_equal(biased.gamma, fair.gamma)
    rho = [stats.spearmanr(w.theta[:, 0], w.gamma[:, 0]).statistic for w in (biased,)]
    assert rho[0] > 0.5
    level = feedback(users=5, items=6, zipf=0.0)
    assert np.unique(level.theta).tolist() == [1.0]
    assert feedback(users=5, items=6, zipf=50.0, least=0.02).theta.min() == 0.02


def test_frames_and_logs_hold_what_was_drawn() -> None:
    world = draw(np.array([[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]), np.array([0.9, 0.9]), seed=4, items=pl.Series(["a", "b"]))
    pairs = world.pairs()
    assert pairs["user"].to_list() == [0, 0, 1, 1, 2, 2] and pairs["item"].to_list() == ["a", "b"] * 3
    assert pairs["clicked"].to_list() == world.clicked.ravel().tolist() and set(pairs["theta"]) == {0.9}
    assert world.events().rows() == pairs.filter("clicked").select("user", "item").rows()
    log = world.log()
    assert (log.num_owners, log.num_items) == (3, 2) and log.offsets.diff().tolist() == world.clicked.sum(1).tolist()
    assert log.items.tolist() == world.clicked.nonzero()[1].tolist()


def test_the_split_trains_on_all_pairs_and_tests_on_those_without_a_click() -> None:
    world = feedback(users=20, items=11, seed=6)
    train, valid, test = world.split(valid=0.1, seed=1)
    assert len(valid) == 22 and len(train) == 198  # a tenth of 220
    assert pl.concat([train, valid]).sort("user", "item").equals(world.pairs().sort("user", "item"))
    assert len(test) == (~world.clicked).sum() and not test["clicked"].any()
    assert test["relevant"].to_list() == world.relevant[~world.clicked].tolist()
    assert world.split(seed=2)[1].rows() != valid.rows() and world.split(valid=0)[1].is_empty()


@settings(max_examples=20, deadline=None)
@given(users=st.integers(1, 6), items=st.integers(1, 6), seed=st.integers(0, 5), selection=st.floats(0, 3), slip=st.floats(0, 1))
def test_any_world_is_repeatable_and_its_probabilities_are_probabilities(users, items, seed, selection, slip) -> None:
    world = feedback(users=users, items=items, seed=seed, selection=selection, slip=slip)
    again = feedback(users=users, items=items, seed=seed, selection=selection, slip=slip)
    assert np.array_equal(world.clicked, again.clicked) and np.array_equal(world.theta, again.theta)
    assert ((world.theta > 0) & (world.theta <= 1)).all() and ((world.probability() >= 0) & (world.probability() <= 1)).all()


@pytest.mark.parametrize(
    ("gamma", "theta", "message"),
    [
        (np.full((2, 2), 0.5), np.zeros(2), r"theta\[0\]=0.0; a probability lies in \(0, 1\]"),
        (np.full((2, 2), 1.5), np.ones(2), r"gamma\[0, 0\]=1.5"),
        (np.full((2, 2), np.nan), np.ones(2), r"gamma\[0, 0\]=nan"),
        (np.full((2, 2), 0.5), np.ones(3), r"shape \(3,\)"),
    ],
)
def test_impossible_truths(gamma: np.ndarray, theta: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw(gamma, theta, seed=0)


# ---------------------------------------------------------------------------------------------------- semi-synthetic (Rel-MF)
@pytest.fixture(scope="module")
def rated() -> pl.DataFrame:
    return ratings(users=60, items=50, share=0.12, seed=1).events()


def test_semi_synthetic_follows_the_construction(rated: pl.DataFrame) -> None:
    world = semi_synthetic(rated, power=1.0, seed=2)
    users, items = rated["user"].n_unique(), rated["item"].n_unique()
    assert world.gamma.shape == (users, items) == world.theta.shape
    low, high = 1 / (1 + np.exp(4)), 0.5  # ratings clipped to [1, 5], eps = 5
    assert low - 1e-9 <= world.gamma.min() and world.gamma.max() <= high + 1e-9
    assert np.array_equal(world.clicked, world.exposed & world.relevant)
    strict = semi_synthetic(rated, power=1.0, eps=3.0, seed=2).gamma
    assert np.log(strict / (1 - strict)) == pytest.approx(np.log(world.gamma / (1 - world.gamma)) + 2, abs=1e-9)


def test_a_larger_power_exposes_fewer_and_changes_nothing_else(rated: pl.DataFrame) -> None:
    worlds = [semi_synthetic(rated, power=power, seed=2) for power in (0.5, 1, 2, 3, 4)]
    for weaker, stronger in pairwise(worlds):
        assert (stronger.exposed <= weaker.exposed).all() and stronger.exposed.sum() < weaker.exposed.sum()
        assert np.array_equal(weaker.relevant, stronger.relevant) and np.array_equal(weaker.gamma, stronger.gamma)
    assert worlds[2].theta == pytest.approx(worlds[1].theta ** 2) and worlds[0].theta == pytest.approx(worlds[1].theta ** 0.5)
    assert semi_synthetic(rated, power=1e-9).exposed.all()


def test_factorisations_learn_ratings_and_exposure() -> None:
    """Two kinds of users and of items: ratings 5 and 1 by block, and only one kind of item rated often."""
    user, item = (x.ravel() for x in np.meshgrid(np.arange(40), np.arange(40), indexing="ij"))
    liked, often = user % 2 == item % 2, item < 20
    kept = (np.random.default_rng(1).random(1600) < np.where(often, 0.9, 0.15)).nonzero()[0]
    frame = pl.DataFrame({"user": user[kept], "item": item[kept], "weight": np.where(liked, 5.0, 1.0)[kept]})
    world = semi_synthetic(frame, power=1.0, seed=3)
    gamma, theta = world.gamma.ravel(), world.theta.ravel()
    assert gamma[liked & often].mean() > 0.4 and gamma[~liked & often].mean() < 0.05
    assert theta[often].mean() > 0.8 and theta[~often].mean() < 0.2


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_the_true_exposure_unbiases_a_semi_synthetic_world(rated: pl.DataFrame, power: float) -> None:
    world = semi_synthetic(rated, power=power, seed=4)
    one, zero = losses(world.gamma.shape)
    draws = [world.redraw(seed) for seed in range(400)]
    unbiased, naive = (np.array([estimate(d, one, zero, least) for d in draws]) for least in (0.0, 1.0))
    error = unbiased.std(ddof=1) / 20
    assert abs(unbiased.mean() - ideal(world, one, zero)) < 4 * error
    assert abs(naive.mean() - ideal(world, one, zero)) > 10 * naive.std(ddof=1) / 20


def test_semi_synthetic_refusals(rated: pl.DataFrame) -> None:
    with pytest.raises(ConfigError, match="power=0"):
        semi_synthetic(rated, power=0)
    with pytest.raises(DataError, match="column 'weight'"):
        semi_synthetic(rated.drop("weight"), power=1)
    with pytest.raises(DataError, match=r"row 1 .* is 0.0; ratings lie in \[1, 5\]"):
        semi_synthetic(pl.DataFrame({"user": [1, 2], "item": [1, 1], "weight": [3.0, 0.0]}), power=1)
    with pytest.raises(DataError, match="0 rows"):
        semi_synthetic(rated.head(0), power=1)


@pytest.mark.data
def test_semi_synthetic_from_movielens(data_root: Path) -> None:
    frame = pl.read_csv(data_root / "movielens-small" / "ratings.csv").select(
        pl.col("userId").alias("user"), pl.col("movieId").alias("item"), pl.col("rating").alias("weight").clip(1, 5)
    )
    frame = frame.filter(pl.len().over("item") >= 20)
    world, sparse = semi_synthetic(frame, power=0.5), semi_synthetic(frame, power=4)
    expected = world.probability().sum()
    assert abs(world.clicked.sum() - expected) < 5 * expected**0.5
    assert sparse.exposed.sum() < 0.7 * world.exposed.sum()
    # who rated what is visible in the exposure, what was rated highly in the relevance
    user, item = (np.searchsorted(ids.to_numpy(), frame[name]) for ids, name in ((world.users, "user"), (world.items, "item")))
    assert world.theta[user, item].mean() > 1.1 * world.theta.mean()
    assert stats.spearmanr(world.gamma[user, item], frame["weight"]).statistic > 0.3


# ---------------------------------------------------------------------------------------------------- pages with position bias
def test_weighting_by_position_recovers_relevance_and_not_weighting_does_not() -> None:
    world = impressions(users=3, items=12, pages=60_000, slots=6, eta=1.0, zipf=1.0, seed=1)
    cell = world.user * 12 + world.item
    number = np.bincount(cell, minlength=36)
    weighted = np.bincount(cell, weights=world.clicked / world.propensity, minlength=36) / number
    plain = np.bincount(cell, weights=world.clicked, minlength=36) / number
    second = np.bincount(cell, weights=1 / world.propensity, minlength=36) / number
    gamma = world.gamma.ravel()
    error = np.sqrt(gamma * (second - gamma) / number)
    assert (np.abs(weighted - gamma) < 5 * error).all()
    assert (np.abs(plain - gamma) > 5 * error).sum() >= 8


def test_examination_follows_the_slot_and_nothing_else() -> None:
    world = impressions(users=4, items=8, pages=40_000, slots=5, eta=0.7, seed=2)
    for slot in range(1, 6):
        at = world.slot == slot
        assert at.sum() == 40_000
        p = slot**-0.7
        assert abs(world.examined[at].mean() - p) <= 4 * (p * (1 - p) / 40_000) ** 0.5
    assert np.array_equal(world.clicked, world.examined & world.relevant)
    assert impressions(users=4, items=8, pages=50, eta=0.0, slots=5).examined.all()


def test_pages_follow_plackett_luce() -> None:
    world = impressions(users=1, items=4, pages=50_000, slots=4, zipf=1.0, seed=3)
    pages = world.item.reshape(-1, 4)
    assert (np.sort(pages, axis=1) == np.arange(4)).all()  # no item twice
    w = world.weight / world.weight.sum()
    first = np.bincount(pages[:, 0], minlength=4)
    assert stats.chisquare(first, w * 50_000).pvalue > 1e-4
    best = int(w.argmax())
    second = np.bincount(pages[pages[:, 0] == best, 1], minlength=4)
    rest = np.where(np.arange(4) == best, 0, w) / (1 - w[best])
    keep = np.arange(4) != best
    assert second[best] == 0 and stats.chisquare(second[keep], (rest * second.sum())[keep]).pvalue > 1e-4
    level = impressions(users=1, items=4, pages=50_000, slots=1, zipf=0.0, seed=3)
    assert stats.chisquare(np.bincount(level.item, minlength=4)).pvalue > 1e-4


def test_impression_frames() -> None:
    world = impressions(users=5, items=9, pages=7, slots=3, seed=4)
    frame = world.frame()
    assert frame["page"].to_list() == [p for p in range(7) for _ in range(3)] and frame["slot"].to_list() == [1, 2, 3] * 7
    assert frame.group_by("page").agg(pl.col("user").n_unique())["user"].max() == 1
    assert world.events().select("user", "item").rows() == frame.filter("clicked").select("user", "item").rows()
    with pytest.raises(ConfigError, match="slots=10 of 9 items"):
        impressions(users=5, items=9, pages=7)


# ---------------------------------------------------------------------------------------------------- ratings, not at random
def test_ratings_have_the_published_shares_and_propensities() -> None:
    world = ratings(users=200, items=150, seed=1)
    shares = np.bincount(world.rating.ravel(), minlength=6)[1:] / world.rating.size
    assert shares == pytest.approx([0.526, 0.242, 0.144, 0.062, 0.026], abs=1e-4)
    p = [np.unique(world.propensity[world.rating == r]) for r in range(1, 6)]
    assert all(len(values) == 1 for values in p)
    assert [float(v[0] / p[4][0]) for v in p] == pytest.approx([1 / 64, 1 / 16, 1 / 4, 1, 1])
    assert world.propensity.mean() == pytest.approx(0.05)
    assert abs(world.observed.mean() - 0.05) < 5 * (0.05 / world.rating.size) ** 0.5


def test_propensities_undo_self_selection() -> None:
    """Schnabel et al.: the mean rating by inverse propensities is unbiased; the mean of what was observed is not."""
    world = ratings(users=50, items=40, share=0.1, seed=2)
    ips, naive = [], []
    for seed in range(1000):
        seen = world.redraw(seed).observed
        ips.append((world.rating[seen] / world.propensity[seen]).sum() / world.rating.size)
        naive.append(world.rating[seen].mean())
    truth = world.rating.mean()
    assert abs(np.mean(ips) - truth) < 4 * np.std(ips) / 1000**0.5
    assert np.mean(naive) > truth + 1
    fair = ratings(users=50, items=40, share=0.1, alpha=1.0, seed=2)
    assert np.unique(fair.propensity) == pytest.approx([0.1])


def test_the_uniform_test_set_is_uniform() -> None:
    world = ratings(users=2000, items=12, seed=3)
    test = world.uniform(4, seed=1)
    assert test.group_by("user").len()["len"].unique().to_list() == [4] and not test.select("user", "item").is_duplicated().any()
    assert stats.chisquare(np.bincount(test["item"], minlength=12)).pvalue > 1e-4  # negatively dependent draws: conservative
    assert test["weight"].to_list() == world.rating[test["user"], test["item"]].tolist()
    assert len(world.events()) == world.observed.sum()


@pytest.mark.parametrize(
    ("knobs", "message"), [({"share": 0.5}, "share is at most"), ({"alpha": 0.0}, "alpha=0.0"), ({"users": 0}, "users=0")]
)
def test_impossible_ratings(knobs: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ratings(**{"users": 20, "items": 20, **knobs})
