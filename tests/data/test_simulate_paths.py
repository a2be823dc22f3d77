"""Sessions with a known next-item distribution: hand-worked numbers, an independent computation, and no predictor is better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recsys.data import check
from recsys.data.log import Histories
from recsys.data.simulate import Optimal, Paths, paths
from recsys.errors import ConfigError
from recsys.ranking import rank


def by_hand(follow: float = 0.5) -> Paths:
    """Two topics, three items; 0 leads to 1, 1 to 2, 2 to 0."""
    empty = np.empty(0, dtype=np.int64)
    return Paths(
        prior=np.array([0.75, 0.25]),
        emission=np.array([[0.8, 0.2, 0.0], [0.2, 0.2, 0.6]]),
        successor=np.array([[1], [2], [0]]),
        step=np.ones((3, 1)),
        follow=follow,
        topic=empty,
        session=empty,
        item=empty,
        time=empty,
    )


def test_numbers_worked_by_hand() -> None:
    world = by_hand()
    asked = Histories.of([[], [0], [0, 0], [0, 1, 2]])
    # P(z | 0) ~ .75 * .8, .25 * .2; the second 0 is no successor of 0: times .5 * .8 and .5 * .2
    after_0 = np.array([0.6, 0.05]) / 0.65
    after_00 = np.array([0.24, 0.005]) / 0.245
    # 0 -> 1: .5 + .5 * .2 in both topics; 1 -> 2: .5 + .5 * 0 and .5 + .5 * .6
    after_012 = np.array([0.6 * 0.5, 0.05 * 0.8]) / (0.6 * 0.5 + 0.05 * 0.8)
    believed = np.array([[0.75, 0.25], after_0, after_00, after_012])
    assert world.posterior(asked) == pytest.approx(believed, abs=1e-12)
    expected = believed @ world.emission
    expected[1:] *= 0.5
    expected[[1, 2, 3], [1, 1, 0]] += 0.5
    assert world.next_item(asked) == pytest.approx(expected, abs=1e-12)


def test_windows_may_overlap_and_stand_anywhere() -> None:
    """Prefixes of one session that share its events give what separate lists give."""
    world = by_hand()
    items = torch.tensor([2, 0, 1, 1, 2, 0], dtype=torch.int32)
    start, stop = torch.tensor([1, 1, 1, 4, 1]), torch.tensor([2, 4, 3, 4, 6])
    shared = Histories(items, start, stop, torch.full((5,), -1))
    lists = Histories.of([items[a:b].tolist() for a, b in zip(start.tolist(), stop.tolist(), strict=True)])
    assert world.next_item(shared) == pytest.approx(world.next_item(lists), abs=1e-12)


def enumerated(world: Paths, history: list[int]) -> np.ndarray:
    """P(next | history) from joint probabilities of whole paths, item by item in plain Python."""
    joint = np.zeros(world.num_items)
    for z in range(len(world.prior)):
        for candidate in range(world.num_items):
            p = world.prior[z]
            for at, item in enumerate([*history, candidate]):
                if at == 0:
                    p *= world.emission[z, item]
                    continue
                last = ([*history, candidate])[at - 1]
                jump = sum(world.step[last, n] for n in range(world.step.shape[1]) if world.successor[last, n] == item)
                p *= world.follow * jump + (1 - world.follow) * world.emission[z, item]
            joint[candidate] += p
    return joint / joint.sum()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 50),
    topics=st.integers(1, 3),
    follow=st.floats(0, 0.95),
    history=st.lists(st.integers(0, 6), max_size=6),
)
def test_equality_with_the_joint_distribution(seed: int, topics: int, follow: float, history: list[int]) -> None:
    world = paths(sessions=1, items=7, seed=seed, topics=topics, follow=follow, successors=2)
    assert world.next_item(Histories.of([history]))[0] == pytest.approx(enumerated(world, history), abs=1e-9)


def test_events_follow_the_stated_law() -> None:
    world = paths(sessions=60_000, items=6, seed=1, topics=2, successors=2, length=4.0)
    begin = np.unique(world.session, return_index=True)[1]
    for z in range(2):
        first = np.bincount(world.item[begin[world.topic == z]], minlength=6)
        assert stats.chisquare(first, world.emission[z] * first.sum()).pvalue > 1e-4
        for last in range(6):
            inner = np.flatnonzero((world.session[1:] == world.session[:-1]) & (world.item[:-1] == last)) + 1
            inner = inner[world.topic[world.session[inner]] == z]
            law = (1 - world.follow) * world.emission[z]
            law[world.successor[last]] += world.follow * world.step[last]
            assert stats.chisquare(np.bincount(world.item[inner], minlength=6), law * len(inner)).pvalue > 1e-4
    assert stats.chisquare(np.bincount(world.topic), world.prior * 60_000).pvalue > 1e-4
    length = np.bincount(world.session)
    assert length.min() == 2 and abs(length.mean() - 4.0) < 5 * length.std() / 60_000**0.5


def prefixes(world: Paths) -> tuple[Histories, np.ndarray]:
    """All prefixes of all sessions, and the item that followed each."""
    begin = np.unique(world.session, return_index=True)[1][world.session]
    at = np.flatnonzero(np.arange(len(world.item)) > begin)
    owner = torch.full((len(at),), -1)
    return Histories(torch.from_numpy(world.item.astype(np.int32)), torch.from_numpy(begin[at]), torch.from_numpy(at), owner), world.item[
        at
    ]


def test_the_prediction_is_calibrated_and_nothing_simpler_is_as_good() -> None:
    world = paths(sessions=4000, items=30, seed=2, topics=4, follow=0.3, focus=1.0)
    asked, followed = prefixes(world)
    best = world.next_item(asked)
    assert best.sum(1) == pytest.approx(np.ones(len(asked)))
    # the share of hits at rank 1 is the mean of the probability of rank 1
    top, p = best.argmax(1), best.max(1)
    hit = top == followed
    assert abs(hit.mean() - p.mean()) < 4 * (p * (1 - p)).sum() ** 0.5 / len(p)
    loss = -np.log(best[np.arange(len(followed)), followed])
    last = asked.items.numpy()[asked.stop.numpy() - 1]
    only_last = np.zeros((30, 30))
    np.add.at(only_last, (last, followed), 1.0)  # the best Markov chain in hindsight, on the very data it is asked for
    chain = (only_last / only_last.sum(1, keepdims=True))[last, followed]
    popular = (np.bincount(followed, minlength=30) / len(followed))[followed]
    assert loss.mean() < -np.log(chain).mean() - 0.02 and -np.log(chain).mean() < -np.log(popular).mean()


def test_one_topic_is_a_markov_chain() -> None:
    world = paths(sessions=5, items=9, topics=1, seed=3)
    a, b = world.next_item(Histories.of([[1, 2, 3, 4], [8, 8, 4]]))
    assert a == pytest.approx(b, abs=1e-12)
    two = paths(sessions=5, items=9, topics=2, seed=3, follow=0.1)
    a, b = two.next_item(Histories.of([[1, 3, 5, 4], [8, 8, 4]]))
    assert np.abs(a - b).max() > 0.01


def test_limits_of_follow() -> None:
    always = replace(by_hand(), follow=1.0).next_item(Histories.of([[0], [0, 1]]))
    assert always == pytest.approx(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    never = by_hand(follow=0.0).next_item(Histories.of([[2], [2, 0]]))
    assert never == pytest.approx(np.array([[0.2, 0.2, 0.6]] * 2))  # only topic 1 emits item 2


def test_the_optimal_recommender_ranks_in_the_codes_of_a_fold() -> None:
    world = paths(sessions=50, items=8, seed=4, topics=2)
    ids = pl.Series([6, 2, 0, 5])  # training knows four items, in codes of its own
    told, in_codes = Histories.of([[6, 0], [], [5]]), Histories.of([[0, 2], [], [3]])
    scores = Optimal(world, ids).scores(in_codes)
    assert scores.numpy() == pytest.approx(world.next_item(told)[:, [6, 2, 0, 5]])
    ranked = rank(Optimal(world, ids), in_codes, 4, mask_seen=False)
    assert ranked.items.tolist() == np.argsort(-scores.numpy(), axis=1, kind="stable").tolist()


def test_the_log_is_a_canonical_session_log() -> None:
    world = paths(sessions=300, items=20, seed=5)
    events = check(world.events())
    assert events.columns == ["session", "item", "time"] and len(events) == len(world.item)
    gaps = events.with_columns(gap=pl.col("time").diff().over("session").dt.total_microseconds())["gap"]
    assert gaps.min() >= 1_000_000
    again = paths(sessions=300, items=20, seed=5)
    assert np.array_equal(world.item, again.item) and np.array_equal(world.time, again.time)
    assert not np.array_equal(world.item[:200], paths(sessions=300, items=20, seed=6).item[:200])
    own = world.successor != np.arange(20)[:, None]
    assert own.all() and (np.diff(np.sort(world.successor, axis=1), axis=1) > 0).all()


def test_successors_are_uniform() -> None:
    counts = np.zeros((6, 6))
    for seed in range(600):
        world = paths(sessions=1, items=6, successors=2, seed=seed)
        np.add.at(counts, (np.arange(6)[:, None], world.successor), 1)
    assert np.diag(counts).sum() == 0 and stats.chisquare(counts[~np.eye(6, dtype=bool)]).pvalue > 1e-4


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"topics": 9}, "topics=9"),
        ({"successors": 8}, "successors=8 for 8 items"),
        ({"follow": 1.5}, "follow=1.5"),
        ({"length": 1}, "length=1"),
    ],
)
def test_impossible_paths(knobs: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        paths(**{"sessions": 3, "items": 8, **knobs})


def test_a_history_of_unknown_items_is_refused() -> None:
    with pytest.raises(ConfigError, match="item 3; the world has items 0 to 2"):
        by_hand().next_item(Histories.of([[3]]))
