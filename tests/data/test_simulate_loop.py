"""The feedback loop: what each round records, who is amplified and who is not, and that it repeats itself."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.batching import Shuffled
from recsys.data.log import Log
from recsys.data.simulate import feedback, feedback_loop, fitted, gini
from recsys.errors import ConfigError, DataError
from recsys.fit import Fit
from recsys.learner import Learner
from recsys.losses import BPR
from recsys.models import MF, Popular
from recsys.randomness import generator
from recsys.sampling import Uniform

USERS, ITEMS = 120, 60


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, Log]:
    drawn = feedback(users=USERS, items=ITEMS, seed=1, zipf=0.5)
    return np.clip(drawn.gamma, 0.05, None), drawn.log()


def by_chance(log: Log) -> Tensor:
    """Another random order each time: the length of the log is the seed."""
    return torch.rand(log.num_owners, log.num_items, generator=generator("chance", len(log)))


def test_popularity_amplifies_and_chance_does_not(world) -> None:
    gamma, start = world
    rounds = {
        name: feedback_loop(gamma, start, recommend, rounds=12, k=5, mask_seen=False, seed=2).rounds
        for name, recommend in (("popular", fitted(Popular)), ("chance", by_chance))
    }
    popular, chance = rounds["popular"]["gini_log"], rounds["chance"]["gini_log"]
    assert (popular.diff().drop_nulls() > 0).all() and popular[-1] > popular[0] + 0.15
    assert chance[-1] <= chance[0] + 0.02
    assert (rounds["popular"]["homogenisation"] == 1).all() and rounds["chance"]["homogenisation"].max() < 0.1
    assert rounds["popular"]["coverage"].max() == 5 / ITEMS and rounds["chance"]["coverage"].min() > 0.95
    assert rounds["popular"]["popularity_lift"][0] > 0.5 and (rounds["chance"]["popularity_lift"] < 0).all()
    assert (rounds["popular"]["long_tail"] == 0).all() and rounds["chance"]["long_tail"].min() > 0.1


def test_the_truth_is_the_best_recommender(world) -> None:
    gamma, start = world
    best = feedback_loop(gamma, start, lambda log: torch.from_numpy(gamma), rounds=2, k=5).rounds
    top = np.sort(gamma, axis=1)[:, ::-1][:, :5]
    assert best["utility"][0] == pytest.approx(top.mean())
    slots = np.arange(1, 6) ** -1.0
    assert best["examined_utility"][0] == pytest.approx((top @ slots).mean() / slots.sum())
    assert best["utility"][0] > feedback_loop(gamma, start, fitted(Popular), rounds=1, k=5).rounds["utility"][0]


def test_a_round_worked_by_hand() -> None:
    """Three users, four items; events: user 0 has 0, 0, 1, user 1 has 0, user 2 has none."""
    start = Log(torch.tensor([0, 0, 1, 0], dtype=torch.int32), torch.tensor([0, 3, 4, 4]), 4)
    gamma = np.array([[1.0, 0.5, 0.0, 0.25], [0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.0, 1.0]])
    lists = torch.tensor([[0, 1], [0, 2], [2, 0]])
    row = feedback_loop(gamma, start, lambda log: lists, rounds=1, k=2, seed=1).rounds.row(0, named=True)
    assert row["events"] == 4 and row["coverage"] == 0.75
    # items are in 3, 1, 2, 0 lists; pairs differ by 2, 1, 3, 1, 1, 2, twice each of 16, over 2 * 1.5
    assert row["gini"] == pytest.approx(2 * (2 + 1 + 3 + 1 + 1 + 2) / 16 / 3)
    assert row["gini_log"] == pytest.approx(2 * (2 + 3 + 3 + 1 + 1 + 0) / 16 / 2)  # counts 3, 1, 0, 0
    assert row["popularity"] == pytest.approx((3 + 1 + 3 + 0 + 0 + 3) / 6)
    profiles, listed = ((3 + 3 + 1) / 3 + 3) / 2, (2 + 1.5 + 1.5) / 3
    assert row["popularity_lift"] == pytest.approx(listed / profiles - 1)
    assert row["long_tail"] == pytest.approx(2 / 6)  # the head is 0 and 1: item 0 alone has 75 %
    assert row["homogenisation"] == pytest.approx((1 / 3 + 1 / 3 + 1) / 3)
    assert row["utility"] == pytest.approx((1 + 0.5 + 0.5 + 0.5 + 0 + 0) / 6)
    assert row["examined_utility"] == pytest.approx((1 + 0.5 + 0 + (0.5 + 0.5 + 0) / 2) / 4.5)


def test_clicks_follow_position_and_relevance() -> None:
    users, rounds = 4000, 5
    gamma = np.tile([0.9, 0.6, 0.3, 0.5], (users, 1))
    start = Log(torch.zeros(0, dtype=torch.int32), torch.zeros(users + 1, dtype=torch.long), 4)
    shown = torch.tensor([[2, 0, 1]]).expand(users, -1)
    done = feedback_loop(gamma, start, lambda log: shown, rounds=rounds, k=3, eta=1.0, seed=3)
    counts = done.log.counts.numpy()
    for item, p in ((2, 0.3), (0, 0.9 / 2), (1, 0.6 / 3)):
        n = users * rounds
        assert abs(counts[item] - n * p) < 4.5 * (n * p * (1 - p)) ** 0.5
    assert counts[3] == 0 and done.rounds["clicks"].sum() == len(done.log)
    blind = feedback_loop(gamma, start, lambda log: shown, rounds=1, k=3, eta=0.0, seed=3).log.counts.numpy() / users
    assert blind[[0, 1, 2]] == pytest.approx([0.9, 0.6, 0.3], abs=0.035)


def test_what_is_appended_is_what_was_asked_for(world) -> None:
    gamma, start = world
    done = feedback_loop(gamma, start, fitted(Popular), rounds=4, k=5, human=30, model=20, seed=4)
    assert done.rounds["events"].to_list() == [len(start) + 50 * t for t in range(4)] and done.rounds["clicks"].to_list() == [20] * 4
    assert torch.bincount(done.source + 1).tolist() == [len(start), *[20, 30] * 4]
    # the start is still there, in order, at the head of every row
    old = [row.tolist() for row in start.items.split(start.offsets.diff().tolist())]
    new = [row.tolist() for row in done.log.items.split(done.log.offsets.diff().tolist())]
    assert all(b[: len(a)] == a for a, b in zip(old, new, strict=True))
    for mark in done.source.split(done.log.offsets.diff().tolist()):
        assert (mark.diff() >= 0).all()  # rows are oldest first
    few = feedback_loop(gamma, start, by_chance, rounds=1, k=1, model=10**6, seed=4)
    assert 0 < few.rounds["clicks"][0] <= USERS


def test_events_found_without_the_model_follow_relevance_and_reach() -> None:
    gamma = np.array([[0.2, 0.4, 0.4], [0.5, 0.5, 0.0]])
    start = Log(torch.zeros(1, dtype=torch.int32), torch.tensor([0, 1, 1]), 3)
    reach = np.array([1.0, 0.5, 2.0])
    done = feedback_loop(gamma, start, lambda log: torch.tensor([[0], [0]]), rounds=1, k=1, human=20_000, model=0, reach=reach)
    found = done.source == 1
    assert int(found.sum()) == 20_000 == len(done.log) - 1
    user, item = done.log.owners[found], done.log.items[found]
    assert abs(int((user == 0).sum()) - 10_000) < 4.5 * 5000**0.5
    for u in range(2):
        law = gamma[u] * reach / (gamma[u] @ reach)
        seen = np.bincount(item[user == u], minlength=3)
        assert seen[law == 0].sum() == 0
        error = np.sqrt(law * (1 - law) * seen.sum())
        assert (np.abs(seen - law * seen.sum()) <= 4.5 * error).all()


def test_masked_lists_never_show_what_was_seen(world) -> None:
    gamma, start = world
    shown: list[tuple[Log, int]] = []

    def watched(log: Log) -> Tensor:
        shown.append((log, len(log)))
        return fitted(Popular)(log)

    done = feedback_loop(gamma, start, watched, rounds=6, k=8, mask_seen=True, seed=5)
    late = done.source >= 0
    pair = done.log.owners * ITEMS + done.log.items
    assert len(torch.unique(pair)) == len(pair) and late.any()
    assert [n for _, n in shown] == done.rounds["events"].to_list()
    everything = Log(torch.arange(3, dtype=torch.int32).repeat(2), torch.tensor([0, 3, 6]), 3)
    empty = feedback_loop(np.ones((2, 3)), everything, fitted(Popular), rounds=1, k=2, mask_seen=True).rounds
    assert empty["coverage"][0] == 0 and empty["clicks"][0] == 0 and np.isnan(empty["utility"][0])


def test_a_trained_model_goes_round(world) -> None:
    gamma, start = world

    def make() -> Learner:
        return Learner(model=MF(dim=8), batches=Shuffled(size=256), sampler=Uniform(4), loss=BPR(), fit=Fit(epochs=8, device="cpu"), seed=1)

    done = feedback_loop(gamma, start, fitted(make), rounds=3, k=5, human=200, eta=0.5, seed=8)
    chance = feedback_loop(gamma, start, by_chance, rounds=1, k=5, seed=8).rounds
    assert done.rounds["utility"].min() > 1.2 * chance["utility"][0] and done.rounds["homogenisation"].max() < 1
    assert done.log.fingerprint == feedback_loop(gamma, start, fitted(make), rounds=3, k=5, human=200, eta=0.5, seed=8).log.fingerprint


def test_everything_repeats_with_the_seed(world) -> None:
    gamma, start = world
    one, two, other = (feedback_loop(gamma, start, fitted(Popular), rounds=3, k=5, human=10, seed=s) for s in (6, 6, 7))
    assert one.rounds.equals(two.rounds) and one.log.fingerprint == two.log.fingerprint
    assert one.log.fingerprint != other.log.fingerprint


def test_ties_go_to_the_lower_code() -> None:
    start = Log(torch.zeros(1, dtype=torch.int32), torch.tensor([0, 1]), 300)
    done = feedback_loop(np.ones((1, 300)), start, lambda log: torch.zeros(1, 300), rounds=1, k=4, eta=0.0)
    assert done.log.items.tolist() == [0, 0, 1, 2, 3]


def test_gini_equals_the_mean_difference() -> None:
    g = np.random.default_rng(0)
    for counts in (g.integers(0, 9, size=13), np.array([4, 4, 4]), np.array([0, 0, 7, 0])):
        size = len(counts)
        difference = sum(abs(int(a) - int(b)) for a, b in combinations(counts, 2)) * 2 / size**2
        assert gini(counts) == pytest.approx(difference / (2 * counts.mean()), abs=1e-12)
    assert gini(np.array([4, 4, 4])) == pytest.approx(0) and gini(np.array([0, 0, 7, 0])) == pytest.approx(0.75)
    assert np.isnan(gini(np.zeros(3, dtype=np.int64)))


def test_homogenisation_equals_a_loop_over_pairs(world) -> None:
    gamma, start = world
    scores = by_chance(start)
    row = feedback_loop(gamma, start, lambda log: scores, rounds=1, k=10).rounds
    lists = [set(r.tolist()) for r in scores.topk(10).indices]
    pairs = [len(a & b) / len(a | b) for a, b in combinations(lists, 2)]
    assert row["homogenisation"][0] == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.zeros(USERS, 3), "scores of shape"),
        (torch.zeros(USERS, 3, dtype=torch.long), "lists of shape"),
        (torch.zeros(USERS, 5, dtype=torch.long), "an item twice"),
        (torch.arange(5).expand(USERS, -1) + ITEMS, "a code outside"),
        (torch.full((USERS, ITEMS), torch.nan), "nan"),
    ],
)
def test_bad_recommendations(world, given: Tensor, message: str) -> None:
    gamma, start = world
    with pytest.raises(DataError, match=message):
        feedback_loop(gamma, start, lambda log: given, rounds=1, k=5)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"rounds": 0}, "rounds=0"),
        ({"k": ITEMS + 1}, f"k lies in 1..{ITEMS}"),
        ({"eta": -1.0}, "eta=-1.0"),
        ({"reach": -np.ones(ITEMS)}, "at least 0"),
        ({"reach": np.zeros(ITEMS), "human": 3}, "gamma \\* reach is 0"),
    ],
)
def test_impossible_loops(world, knobs: dict, message: str) -> None:
    gamma, start = world
    with pytest.raises(ConfigError, match=message):
        feedback_loop(gamma, start, by_chance, **{"rounds": 1, "k": 5, **knobs})
    with pytest.raises(ConfigError, match="gamma of shape"):
        feedback_loop(gamma[1:], start, by_chance, rounds=1)


def test_the_record_is_a_polars_frame(world) -> None:
    gamma, start = world
    rounds = feedback_loop(gamma, start, by_chance, rounds=2, k=5).rounds
    assert rounds.columns == [
        *("round", "events", "coverage", "gini", "gini_log", "popularity", "popularity_lift", "long_tail", "homogenisation"),
        *("utility", "examined_utility", "clicks"),
    ]
    assert rounds.schema["gini"] == pl.Float64 and rounds["round"].to_list() == [0, 1]
