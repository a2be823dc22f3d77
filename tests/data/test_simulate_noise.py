"""Noise in training data: exactly as much as asked for, where it may be, drawn by the stated law, and marked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recsys.data.log import Log
from recsys.data.simulate import add_positives, add_positives_to_events, drop_positives, drop_positives_from_events
from recsys.errors import ConfigError, DataError


def log_of(rows: list[list[int]], items: int) -> Log:
    flat = torch.tensor([i for row in rows for i in row], dtype=torch.int32)
    return Log(flat, torch.tensor([0, *np.cumsum([len(row) for row in rows])]), items)


def rows_of(log: Log) -> list[list[int]]:
    return [row.tolist() for row in log.items.split(log.offsets.diff().tolist())]


logs = st.integers(2, 12).flatmap(
    lambda items: st.lists(st.lists(st.integers(0, items - 1), max_size=9), min_size=1, max_size=6).map(lambda rows: log_of(rows, items))
)


@settings(max_examples=150, deadline=None)
@given(
    log=logs, share=st.sampled_from([0.0, 0.1, 0.29, 0.5, 1.0, 2.0]), law=st.sampled_from(["uniform", "popular"]), seed=st.integers(0, 3)
)
def test_added_positives_keep_every_promise(log: Log, share: float, law: str, seed: int) -> None:
    before = rows_of(log)
    drawable = set(range(log.num_items)) if law == "uniform" else set(log.items.tolist())
    asked = [int(share * len(set(row))) for row in before]
    if any(number > len(drawable - set(row)) for number, row in zip(asked, before, strict=True)):
        with pytest.raises(DataError, match="give a smaller share"):
            add_positives(log, share=share, law=law, seed=seed)
        return
    noisy, flag = add_positives(log, share=share, law=law, seed=seed)
    after, marks = rows_of(noisy), [m.tolist() for m in flag.split(noisy.offsets.diff().tolist())]
    for old, new, mark, number in zip(before, after, marks, asked, strict=True):
        added = new[len(old) :]
        assert new[: len(old)] == old and mark == [False] * len(old) + [True] * number
        assert len(added) == number == len(set(added)) and not set(added) & set(old) and set(added) <= drawable
    assert rows_of(log) == before and noisy.items.dtype == torch.int32 and noisy.num_items == log.num_items
    again, _ = add_positives(log, share=share, law=law, seed=seed)
    assert again.fingerprint == noisy.fingerprint


def test_uniform_noise_is_uniform_over_what_is_unseen() -> None:
    seen = [0, 3, 4, 9]
    log = log_of([seen] * 30_000, 11)
    noisy, flag = add_positives(log, share=0.5)
    counts = np.bincount(noisy.items[flag], minlength=11)
    assert counts[seen].sum() == 0
    unseen = np.delete(counts, seen)
    assert unseen.sum() == 60_000 and stats.chisquare(unseen).pvalue > 1e-4
    pairs = noisy.items[flag].view(-1, 2)
    ordered = Counter(map(tuple, pairs.tolist()))
    free = [i for i in range(11) if i not in seen]
    assert stats.chisquare([ordered[pair] for pair in permutations(free, 2)]).pvalue > 1e-4  # order of drawing, too


def test_popular_noise_follows_the_counts_of_what_is_unseen() -> None:
    crowd = [[2]] * 50 + [[3]] * 40 + [[4]] * 20  # one item each: int(0.5) = 0 to add
    log = log_of(crowd + [[0, 1]] * 30_000, 6)  # item 5 is in no event
    noisy, flag = add_positives(log, share=0.5, law="popular", seed=1)
    counts = np.bincount(noisy.items[flag], minlength=6)
    assert counts.sum() == 30_000 == counts[2:5].sum()
    assert stats.chisquare(counts[2:5], np.array([50, 40, 20]) / 110 * 30_000).pvalue > 1e-4
    uniform, flag = add_positives(log, share=0.5, seed=1)
    assert stats.chisquare(np.bincount(uniform.items[flag], minlength=6)[2:]).pvalue > 1e-4


def test_several_popular_draws_are_successive_draws_without_replacement() -> None:
    """Against the exact law of every ordered pair; the heaviest item alone is drawn twice in 28 % of first rounds."""
    crowd = [[item] for item, count in ((2, 50), (3, 100), (4, 200), (5, 400)) for _ in range(count)]
    asking = 40_000
    log = log_of(crowd + [[0, 1, 6, 7]] * asking, 8)
    noisy, flag = add_positives(log, share=0.5, law="popular", seed=2)
    law = np.array([0, 0, 1, 2, 4, 8]) / 15
    pairs = list(permutations(range(2, 6), 2))
    expected = [asking * law[a] * law[b] / (1 - law[a]) for a, b in pairs]
    seen = Counter(map(tuple, noisy.items[flag].view(asking, 2).tolist()))
    assert stats.chisquare([seen[pair] for pair in pairs], expected).pvalue > 1e-4


def test_everything_that_is_left_can_be_drawn() -> None:
    log = log_of([[0], [3, 1]], 4)
    noisy, flag = add_positives(log, share=1.0)
    assert [len(set(row)) for row in rows_of(noisy)] == [2, 4] and int(flag.sum()) == 3
    with pytest.raises(DataError, match=r"owner 0 \(a code\) has 3 items left that may be drawn, but 4 are asked for"):
        add_positives(log, share=4.0)


def test_spared_positives_are_not_drawn_and_others_may_be() -> None:
    log, held = log_of([[0, 1]] * 2000, 6), log_of([[2, 3, 2]] * 2000, 6)
    noisy, flag = add_positives(log, share=0.5, spare=held)
    assert set(noisy.items[flag].tolist()) == {4, 5}
    parity, flag = add_positives(log, share=0.5)
    assert set(parity.items[flag].tolist()) == {2, 3, 4, 5}
    with pytest.raises(ConfigError, match="both must use the same codes"):
        add_positives(log, share=0.5, spare=log_of([[0]], 6))


def test_added_events_copy_the_last_event_of_their_owner() -> None:
    log = replace(log_of([[0, 1], [], [2]], 9), weight=torch.tensor([1.0, 2.0, 3.0]))
    log = replace(log, time=torch.tensor([10, 20, 30])) if hasattr(log, "time") else log
    noisy, flag = add_positives(log, share=2.0)
    assert noisy.offsets.tolist() == [0, 6, 6, 9] and flag.tolist() == [False] * 2 + [True] * 4 + [False] + [True] * 2
    assert noisy.weight.tolist() == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0]
    if hasattr(log, "time"):
        assert noisy.time.tolist() == [10, 20, 20, 20, 20, 20, 30, 30, 30]


@settings(max_examples=100, deadline=None)
@given(log=logs, share=st.sampled_from([0.0, 0.29, 0.5, 1.0]), seed=st.integers(0, 3))
def test_dropped_positives_keep_every_promise(log: Log, share: float, seed: int) -> None:
    left, dropped = drop_positives(log, share=share, seed=seed)
    assert left.items.tolist() == log.items[~dropped].tolist() and (left.num_owners, left.num_items) == (log.num_owners, log.num_items)
    marks = [m.tolist() for m in dropped.split(log.offsets.diff().tolist())]
    for old, new, mark in zip(rows_of(log), rows_of(left), marks, strict=True):
        gone = {item for item, m in zip(old, mark, strict=True) if m}
        assert len(gone) == int(share * len(set(old))) and new == [item for item in old if item not in gone]  # with all its repeats
    assert drop_positives(log, share=share, seed=seed)[0].fingerprint == left.fingerprint


def test_dropping_is_uniform() -> None:
    log = log_of([[4, 0, 2, 0, 1]] * 20_000, 5)
    _, dropped = drop_positives(log, share=0.5)
    pairs = log.items[dropped].view(-1)
    missing = np.bincount(pairs, minlength=5)
    assert missing[3] == 0 and missing[0] % 2 == 0
    missing[0] //= 2  # its two events go together
    assert missing.sum() == 40_000
    # two of four items each: a count has variance 20000 * 1/4, and the counts sum to a constant
    assert (((missing[[0, 1, 2, 4]] - 10_000) / 5000**0.5) ** 2).sum() < stats.chi2(3).isf(1e-4) * 4 / 3


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_impossible_shares(share: float) -> None:
    log = log_of([[0]], 3)
    for call in (add_positives, drop_positives):
        with pytest.raises(ConfigError, match="got share="):
            call(log, share=share)
    with pytest.raises(ConfigError, match=r"share=1.5; a share is finite and lies in \[0, 1\]"):
        drop_positives(log, share=1.5)
    with pytest.raises(ConfigError, match="law='zipf'; allowed are uniform, popular"):
        add_positives(log, share=0.1, law="zipf")


# ---------------------------------------------------------------------------------------------------- canonical events
def labelled() -> pl.DataFrame:
    g = np.random.default_rng(0)
    size = 600
    frame = pl.DataFrame(
        {
            "user": [f"u{n}" for n in g.integers(20, size=size)],
            "item": g.integers(100, 160, size=size),
            "time": [datetime(2026, 1, 1) + timedelta(seconds=int(s)) for s in g.integers(10**6, size=size)],
            "part": [("train", "train", "train", "valid", "test")[n] for n in g.integers(5, size=size)],
        }
    )
    return frame.with_columns(pl.col("time").cast(pl.Datetime("us")))


@pytest.mark.parametrize("spare", ["train", "all"])
def test_events_get_noise_in_training_alone(spare: str) -> None:
    events = labelled()
    noisy = add_positives_to_events(events, share=0.3, spare=spare, seed=1)
    assert noisy.filter(~pl.col("noisy")).drop("noisy").equals(events)  # nothing else moved
    added = noisy.filter("noisy")
    assert set(added["part"]) == {"train"} and not added.select("user", "item").is_duplicated().any()
    train = events.filter(pl.col("part") == "train")
    expected = train.group_by("user").agg((pl.col("item").n_unique() * 0.3).floor().cast(pl.UInt32).alias("len"))
    assert added.group_by("user").len().sort("user").equals(expected.filter(pl.col("len") > 0).sort("user"))
    assert added.join(train, on=["user", "item"], how="semi").is_empty()
    assert set(added["item"]) <= set(train["item"])
    held = events.filter(pl.col("part") != "train")
    assert added.join(held, on=["user", "item"], how="semi").is_empty() == (spare == "all")
    last = train.group_by("user").agg(pl.col("time").max().alias("last"))
    assert added.join(last, on="user").filter(pl.col("time") != pl.col("last")).is_empty()


def test_events_lose_positives_in_training_alone() -> None:
    events = labelled()
    kept, gone = drop_positives_from_events(events, share=0.4, seed=1)
    assert set(gone["part"]) == {"train"} and pl.concat([kept, gone]).sort(events.columns).equals(events.sort(events.columns))
    assert kept.filter(pl.col("part") != "train").equals(events.filter(pl.col("part") != "train"))
    assert gone.join(kept.filter(pl.col("part") == "train"), on=["user", "item"], how="semi").is_empty()
    train = events.filter(pl.col("part") == "train")
    expected = train.group_by("user").agg((pl.col("item").n_unique() * 0.4).floor().cast(pl.UInt32).alias("n")).filter(pl.col("n") > 0)
    assert gone.group_by("user").agg(pl.col("item").n_unique().alias("n")).sort("user").equals(expected.sort("user"))


def test_positions_go_on_behind_the_last_one() -> None:
    events = pl.DataFrame({"session": [7, 7, 7, 8], "item": ["b", "a", "c", "d"], "order": [5, 3, 4, 9]})
    noisy = add_positives_to_events(events, share=0.5)
    assert noisy.filter("noisy").select("session", "order", "item").rows() == [(7, 6, "d")]
    twice = add_positives_to_events(pl.DataFrame({"session": [1, 1, 2, 2], "item": [1, 2, 3, 4], "order": [0, 1, 0, 1]}), share=1.0)
    assert twice.filter("noisy").sort("session", "order")["order"].to_list() == [2, 3, 2, 3]
    with pytest.raises(ConfigError, match="spare='none'"):
        add_positives_to_events(events, share=0.1, spare="none")


@pytest.mark.data
def test_noise_on_gowalla_has_the_published_share(data_root: Path) -> None:
    """PLD's share of noise under users drawn uniformly falls short of 0.2 / 1.2 by the rounding of int()."""
    lines = (data_root / "gowalla" / "train.txt").read_text().splitlines()
    rows = [[int(i) for i in line.split()[1:]] for line in lines]
    log = log_of(rows, 40_981)
    noisy, flag = add_positives(log, share=0.2)
    sizes = np.array([len(set(row)) for row in rows])
    assert int(flag.sum()) == sum(int(0.2 * n) for n in sizes.tolist())
    share = torch.zeros(log.num_owners).index_add_(0, noisy.owners, flag.float()) / noisy.offsets.diff()
    assert 0.13 < share[noisy.offsets.diff() > 0].mean() < 0.2 / 1.2
    pair = noisy.owners * 40_981 + noisy.items
    assert len(torch.unique(pair)) == len(pair)
