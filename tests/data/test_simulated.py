from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from recsys.data import check, describe, prepare
from recsys.data.simulate import VERSION, simulate
from recsys.data.sources import Simulated
from recsys.errors import ConfigError
from recsys.splitting import GlobalTime, LastN, Splitter


def first_of_sessions(world) -> np.ndarray:
    """Clicks of a session share a topic; its first click is independent of every other session's."""
    return np.unique(world.session, return_index=True)[1]


def test_true_clicks_follow_exposure_times_relevance() -> None:
    world = simulate(users=6, items=40, clicks=400_000, noise=0.0, seed=1)
    at = first_of_sessions(world)
    for user in range(6):
        mine = at[world.user[at] == user]
        seen = np.bincount(world.item[mine], minlength=40)
        assert stats.chisquare(seen, world.choice(np.array([user]))[0] * len(mine)).pvalue > 1e-4
    other = np.bincount(world.item[at[world.user[at] == 0]], minlength=40)
    assert stats.chisquare(other, world.choice(np.array([1]))[0] * other.sum()).pvalue < 1e-10  # the test can tell users apart


def test_noise_follows_exposure_alone_and_has_the_share_asked_for() -> None:
    world = simulate(users=200, items=50, clicks=100_000, noise=0.2, seed=2)
    assert abs(world.noise.mean() - 0.2) < 4 * (0.2 * 0.8 / 100_000) ** 0.5
    seen = np.bincount(world.item[world.noise], minlength=50)
    assert stats.chisquare(seen, world.theta / world.theta.sum() * seen.sum()).pvalue > 1e-4


def test_clicks_are_more_relevant_than_what_is_shown() -> None:
    world = simulate(users=300, items=200, clicks=20_000, seed=3)
    clicked = world.gamma[world.user, world.item]
    shown = (world.gamma * world.theta).sum() / (world.theta.sum() * 300)
    assert clicked[~world.noise].mean() > 3 * shown
    assert abs(clicked[world.noise].mean() - shown) < 0.05


def test_sessions_belong_to_one_user_and_do_not_run_backwards() -> None:
    world = simulate(users=300, items=200, clicks=20_000, seed=4)
    frame = pl.DataFrame({"session": world.session, "user": world.user, "time": world.time})
    by = frame.group_by("session").agg(pl.col("user").n_unique(), pl.col("time").diff().min())
    assert by["user"].max() == 1 and by["time"].min() > 0
    assert abs(len(by) - 20_000 / 4) < 4 * 20_000**0.5
    events = check(world.events())
    assert events["time"].is_sorted() and events.columns == ["user", "item", "time"] and len(events) == 20_000
    assert check(world.events("session")).columns == ["session", "item", "time"]


def test_a_session_keeps_to_its_topic() -> None:
    world = simulate(users=300, items=200, clicks=20_000, noise=0.0, focus=0.6, seed=5)
    loose = simulate(users=300, items=200, clicks=20_000, noise=0.0, focus=0.0, seed=5)

    def same(w) -> float:
        within = w.session[1:] == w.session[:-1]
        return float((w.cluster[w.item[1:]] == w.cluster[w.item[:-1]])[within].mean())

    assert same(world) > same(loose) + 0.1


def test_the_same_seed_gives_the_same_log_in_another_process() -> None:
    source = Simulated(users=40, items=30, clicks=500, seed=9)
    code = (
        "from recsys.data.sources import Simulated; print(Simulated(users=40, items=30, clicks=500, seed=9).events().collect().write_csv())"
    )
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert theirs.strip() == source.events().collect().write_csv().strip()
    assert not Simulated(users=40, items=30, clicks=500, seed=10).events().collect().equals(source.events().collect())


def test_version_1_is_this_log() -> None:
    """A change that moves it must raise ``simulate.VERSION``, which is part of the data's fingerprint."""
    world = simulate(users=40, items=30, clicks=500, seed=9, noise=0.1, zipf=0.7, focus=0.5, days=30)
    digest = hashlib.blake2b(digest_size=8)
    for drawn in (world.user, world.item, world.session, world.time, world.noise):
        digest.update(np.ascontiguousarray(drawn).data)
    assert (VERSION, digest.hexdigest()) == (1, "a23790c1f4def8a7")
    default = Simulated().events().collect().write_csv().encode()
    assert hashlib.blake2b(default, digest_size=8).hexdigest() == "ec38ff95018723aa"


def recall(scores: np.ndarray, holdout, k: int = 20) -> float:
    """Mean recall@k with what is in the history left out."""
    items, query = holdout.histories.flat()
    scores = scores.copy()
    scores[query.numpy(), items.numpy()] = -np.inf
    hits = np.zeros_like(scores, dtype=bool)
    hits[torch.arange(len(holdout)).repeat_interleave(holdout.offsets.diff()).numpy(), holdout.items.numpy()] = True
    top = np.argsort(-scores, axis=1)[:, :k]
    return float((np.take_along_axis(hits, top, 1).sum(1) / holdout.relevant().numpy()).mean())


@pytest.mark.parametrize("splitter", [LastN(), GlobalTime()])
def test_the_default_log_rewards_personal_recommendation(tmp_path, splitter: Splitter) -> None:
    data = prepare(Simulated(), splitter, cache=tmp_path).select
    test, log = data.holdouts["test"], data.train
    seen = np.zeros((log.num_owners, log.num_items), dtype=np.float32)
    seen[log.owners.numpy(), log.items.numpy()] = 1
    popular = seen.sum(0)
    scaled = seen / np.sqrt(seen.sum(1, keepdims=True)) / np.sqrt(popular)
    basis = np.random.default_rng(0).normal(size=(log.num_items, 16))
    for _ in range(6):  # the leading 16 right singular vectors, nearly
        basis = np.linalg.qr(scaled.T @ (scaled @ basis))[0]
    history = np.zeros((len(test), log.num_items))
    items, query = test.histories.flat()
    history[query.numpy(), items.numpy()] = 1
    personal = (history / np.sqrt(popular)) @ basis @ basis.T * np.sqrt(popular)
    assert recall(personal, test) > 1.3 * recall(np.tile(popular, (len(test), 1)), test)


def test_what_the_default_log_looks_like() -> None:
    found = describe(Simulated().events())
    assert (found["events"], found["items"]) == (120_000, 1_200) and 2_900 < found["owners"] <= 3_000
    assert 89 < found["days"] < 90.1
    assert Simulated().gives() == {"user", "time", "order"} and Simulated(owner="session").gives() == {"session", "time", "order"}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"users": 0}, "users=0"),
        ({"users": 10**6, "items": 10**3}, "at most 10"),
        ({"noise": 1.5}, "noise=1.5"),
        ({"owner": "x"}, "owner='x'"),
    ],
)
def test_impossible_worlds(knobs: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Simulated(**knobs)
