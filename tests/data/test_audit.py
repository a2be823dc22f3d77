from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

import recsys.splitting
from recsys.cleaning import KCore
from recsys.data import Fold, Histories, Holdout, Log, Prepared, prepare
from recsys.data.audit import Audit, audit, pairs
from recsys.data.audit import duplicates as near
from recsys.data.audit.check import parts, percent
from recsys.data.audit.order import _ks
from recsys.data.audit.sequences import Rows, common_items, common_subsequence, hashes
from recsys.data.sources import Diginetica, Gowalla, Simulated
from recsys.part import spec
from recsys.splitting import GlobalTime, KFoldUsers, LastN, NewUsers, Predefined, SessionTime, Splitter, UserFraction

FIRST, OWN = "training after the first test event", "training after the owner's own test event"
PAIRS, COLD, FITTED = "test pairs in training", "known only from test", "fitted before the split"
NEAR, DRIFT = "near duplicates across the cut", "drift along the log"
DAY = 86_400_000_000

Sequence = list[int]


def log(rows: list[Sequence], times: list[Sequence] | None = None, num_items: int = 50, kind: str = "user") -> Log:
    offsets = torch.tensor([0, *np.cumsum([len(row) for row in rows])])
    time = None if times is None else torch.tensor([t for row in times for t in row], dtype=torch.long)
    return Log(torch.tensor([i for row in rows for i in row], dtype=torch.int32), offsets, num_items, kind, None, time)


def holdout(queries: list[tuple[int, Sequence, Sequence]], times: Sequence | None = None, kind: str = "user", unknown: int = 0) -> Holdout:
    """``queries``: training owner (or -1), history, relevant items. The first query has ``unknown`` unknown relevant items."""
    owner = torch.tensor([o for o, _, _ in queries])
    offsets = torch.tensor([0, *np.cumsum([len(r) for _, _, r in queries])])
    missing = torch.zeros(len(queries), dtype=torch.long)
    missing[0] = unknown
    return Holdout(
        Histories.of([h for _, h, _ in queries], owner),
        torch.tensor([i for _, _, r in queries for i in r], dtype=torch.int32),
        offsets,
        missing,
        pl.DataFrame({kind: list(range(len(queries)))}),
        None if times is None else torch.tensor(times, dtype=torch.long),
    )


def prepared(train: Log, test: Holdout, splitter: str = "LastN", **report: object) -> Prepared:
    fold = Fold(train, {"valid": test, "test": test}, pl.Series(range(train.num_items)), pl.Series(range(train.num_owners)))
    made = getattr(recsys.splitting, splitter)(**report.pop("init_args", {}))
    promise = made.promise(train.owner_kind)
    return Prepared(fold, fold, "", {"splitter": spec(made), "promise": promise, "cleaning": [], "keep_repeats": False, **report})


def statuses(found: Audit) -> dict[str, str]:
    return {name: status for name, status, _ in found.table()}


# Two users; user 0 is tested at day 5, user 1 at day 8.
ROWS, TIMES = [[1, 2, 3], [4, 5]], [[1 * DAY, 2 * DAY, 3 * DAY], [1 * DAY, 4 * DAY]]
TESTED = [(0, [1, 2, 3], [7]), (1, [4, 5], [8, 9])]


def two_users(times: list[Sequence] = TIMES, splitter: str = "LastN") -> Audit:
    return audit(prepared(log(ROWS, times), holdout(TESTED, [5 * DAY, 8 * DAY]), splitter))


@pytest.mark.parametrize("splitter", ["LastN", "GlobalTime", "UserFraction", "Predefined"])
def test_a_clean_split_is_green(splitter: str) -> None:
    found = two_users(splitter=splitter)
    assert found.status == "green"
    assert statuses(found) == {
        FIRST: "green",
        OWN: "green",
        PAIRS: "green",
        COLD: "green",
        FITTED: "green",
        NEAR: "green",
        DRIFT: "not applicable",  # two users
    }


def test_a_training_event_after_the_cut_is_red_with_its_count() -> None:
    moved = [[1 * DAY, 2 * DAY, 6 * DAY], [5 * DAY, 7 * DAY]]  # two after day 5, one at it
    found = two_users(moved, splitter="GlobalTime")
    assert found[FIRST].status == "red" and found.status == "red"
    assert found[FIRST].text == (
        "Test: 2 training events (40 %) after the first test event (1970-01-06 00:00:00) and 1 at it; the split promises none."
    )
    numbers = {"first": "1970-01-06 00:00:00", "after": 2, "at_the_same_moment": 1, "share": 0.4, "events": 5}
    assert found[FIRST].details == {"refit/test": numbers, "select/test": numbers, "select/valid": numbers}
    # of their own users only the one at day 6 is late
    assert found[OWN].status == "red" and found[OWN].details["refit/test"]["later"] == 1
    assert found[OWN].text.startswith("Test: 1 training event of 1 user later than the user's own first test event")


def test_at_the_cut_is_after_it_for_a_cut_in_time_and_a_tie_for_users() -> None:
    tied = [[1 * DAY, 2 * DAY, 5 * DAY], [1 * DAY, 4 * DAY]]
    assert {n: statuses(two_users(tied, splitter=n))[FIRST] for n in ("GlobalTime", "LastN")} == {"GlobalTime": "red", "LastN": "green"}
    assert two_users(tied, splitter="GlobalTime")[OWN].status == "red"
    own = two_users(tied)[OWN]
    assert own.status == "amber" and own.details["refit/test"] == {
        "owners": 2,
        "later": 0,
        "owners_with_later": 0,
        "at_the_same_moment": 1,
        "owners_with_ties": 1,
        "events": 5,
        "share": 0.0,
    }


def test_splits_per_user_promise_nothing_about_other_users() -> None:
    crossed = [[1 * DAY, 2 * DAY, 3 * DAY], [1 * DAY, 7 * DAY]]  # user 1 trains at day 7, user 0 is tested at day 5
    found = two_users(crossed)
    assert (found[FIRST].status, found[OWN].status) == ("amber", "green")
    assert "Splits per user always have them" in found[FIRST].text and found[FIRST].details["refit/test"]["after"] == 1


@pytest.mark.parametrize("splitter", ["LastN", "GlobalTime", "UserFraction", "Predefined"])
def test_an_own_later_event_is_red_where_the_split_promises_an_order(splitter: str) -> None:
    late = [[1 * DAY, 6 * DAY, 7 * DAY], [1 * DAY, 4 * DAY]]
    own = two_users(late, splitter=splitter)[OWN]
    assert own.status == ("red" if splitter in ("LastN", "GlobalTime") else "amber")
    assert (own.details["refit/test"]["later"], own.details["refit/test"]["owners_with_later"]) == (2, 1)


def test_the_worst_part_is_the_one_in_words() -> None:
    good = prepared(log(ROWS, TIMES), holdout(TESTED, [5 * DAY, 8 * DAY]))
    bad = replace(good.select, holdouts={**good.select.holdouts, "valid": holdout(TESTED, [2 * DAY, 8 * DAY])})
    found = audit(replace(good, select=bad))[OWN]
    assert found.status == "red" and found.text.startswith("Validation: 1 training event of 1 user")
    assert [found.details[part]["later"] for part in ("refit/test", "select/test", "select/valid")] == [0, 0, 1]


def test_without_a_clock_nothing_is_said_about_time() -> None:
    found = audit(prepared(log(ROWS), holdout(TESTED)))
    assert (found[FIRST].status, found[OWN].status, found.status) == ("not applicable", "not applicable", "green")


# Session 0 lasts from day 1 to day 3, session 1 from day 2 to day 4; the test session is asked at days 3 and 6.
SESSIONS = [(-1, [1], [2]), (-1, [1, 2], [3])]


def one_session(times: list[Sequence], asked: Sequence, splitter: str, **init_args: str) -> Audit:
    test = holdout(SESSIONS, asked, "session")
    test = replace(test, query=pl.DataFrame({"session": [9, 9], "position": [1, 2]}))
    return audit(prepared(log([[1, 2], [3, 4]], times, kind="session"), test, splitter, init_args=init_args))


@pytest.mark.parametrize(
    ("splitter", "by", "last", "status", "after", "ties"),
    [
        ("GlobalTime", "", 4, "green", 0, 0),  # day 4 is after the first test event, and before the test session ends
        ("GlobalTime", "", 6, "red", 0, 1),
        ("SessionTime", "end", 4, "green", 0, 0),
        ("SessionTime", "end", 7, "red", 1, 0),
        ("SessionTime", "start", 7, "green", 0, 0),  # it starts at day 2
        ("Predefined", "", 4, "amber", 1, 1),  # days 3 and 4
    ],
)
def test_sessions_are_cut_where_they_end_or_start(splitter: str, by: str, last: int, status: str, after: int, ties: int) -> None:
    found = one_session([[1 * DAY, 3 * DAY], [2 * DAY, last * DAY]], [3 * DAY, 6 * DAY], splitter, **({"by": by} if by else {}))
    assert found[FIRST].status == status
    details = found[FIRST].details["refit/test"]
    assert (details["after"], details["at_the_same_moment"]) == (after, ties)
    assert found[OWN].status == "green" and "no test session has training events" in found[OWN].text


def test_a_session_that_starts_too_late_is_red() -> None:
    found = one_session([[1 * DAY, 2 * DAY], [4 * DAY, 5 * DAY]], [3 * DAY, 6 * DAY], "SessionTime", by="start")[FIRST]
    assert found.status == "red" and found.text.startswith("Test: 1 training session (50 %) starting after the first test event")


@st.composite
def timed_logs(draw: st.DrawFn) -> tuple[list[Sequence], list[Sequence], list[tuple[int, Sequence, Sequence]], Sequence]:
    rows = draw(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=5))
    times = [sorted(draw(st.lists(st.integers(0, 12), min_size=len(row), max_size=len(row)))) for row in rows]
    owners = draw(st.lists(st.integers(-1, len(rows) - 1), min_size=1, max_size=6, unique=True))
    queries = [(o, [], sorted(draw(st.sets(st.integers(0, 9), min_size=1, max_size=4)))) for o in owners]
    return rows, times, queries, draw(st.lists(st.integers(0, 12), min_size=len(owners), max_size=len(owners)))


@settings(max_examples=60, deadline=None)
@given(timed_logs())
def test_counts_are_those_of_a_plain_loop(drawn: tuple) -> None:
    rows, times, queries, asked = drawn
    found = audit(prepared(log(rows, times), holdout(queries, asked), "Predefined"))
    flat = [(u, i, t) for u, (row, when) in enumerate(zip(rows, times, strict=True)) for i, t in zip(row, when, strict=True)]
    own = {q[0]: t for q, t in zip(queries, asked, strict=True) if q[0] >= 0}
    first = found[FIRST].details["refit/test"]
    assert (first["after"], first["at_the_same_moment"]) == (sum(t > min(asked) for *_, t in flat), sum(t == min(asked) for *_, t in flat))
    if own:
        details = found[OWN].details["refit/test"]
        assert details["later"] == sum(t > own.get(u, 99) for u, _, t in flat)
        assert details["at_the_same_moment"] == sum(t == own.get(u, 99) for u, _, t in flat)
        assert details["owners_with_later"] == len({u for u, _, t in flat if t > own.get(u, 99)})
    pairs = {(u, i) for u, i, _ in flat}
    assert found[PAIRS].details["refit/test"]["in_training"] == sum((o, i) in pairs for o, _, relevant in queries for i in relevant)


def test_a_pair_of_the_test_in_training_is_red_unless_repeats_are_kept() -> None:
    test = holdout([(0, [1, 2, 3], [2, 7]), (1, [4, 5], [4, 5])])
    found = audit(prepared(log(ROWS), test))[PAIRS]
    assert found.status == "red"
    assert found.text == "Test: 3 test pairs of 4 in the training log (75 %); repeats are excluded, so there should be none."
    kept = audit(prepared(log(ROWS), test, keep_repeats=True))[PAIRS]
    assert kept.status == "green" and "repeats are kept on purpose" in kept.text
    assert kept.details["refit/test"] == {"pairs": 4, "of_known_owners": 4, "in_training": 3, "share": 0.75}
    assert audit(prepared(log(ROWS), holdout([(-1, [2], [2])])))[PAIRS].status == "green"  # nobody's pair


def test_pairs_of_a_log_larger_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_BLOCK", 3)
    rows = [[1, 2, 3, 4, 5, 6, 7], [], [8], [1, 2]]
    test = holdout([(0, [], [1, 7, 9]), (2, [], [7, 8]), (3, [], [2, 8])])
    assert audit(prepared(log(rows), test))[PAIRS].details["refit/test"]["in_training"] == 4


def test_what_only_the_test_knows() -> None:
    test = holdout([(-1, [], [7]), (1, [4, 5], [8]), (0, [1, 2, 3], [])], unknown=2)
    found = audit(prepared(log(ROWS), test))[COLD]
    assert found.status == "amber"
    assert found.text == "Test: 1 user of 3 and 2 relevant items of 4 (50 %) unknown to training; such items count as misses."
    numbers = {"queries": 3, "unknown_owners": 1, "empty_histories": 1, "relevant": 4, "unknown_relevant": 2}
    assert found.details["refit/test"] == {**numbers, "queries_without_a_known_item": 1, "share_unknown": 0.5, "share_empty": 1 / 3}
    assert audit(prepared(log(ROWS), holdout([(-1, [1], [2])], kind="session"), "Predefined"))[COLD].status == "amber"  # of a user log
    of_sessions = audit(prepared(log(ROWS, kind="session"), holdout([(-1, [1], [2])], kind="session"), "Predefined"))
    assert of_sessions[COLD].status == "green"  # sessions are always new


def test_new_users_must_be_new() -> None:
    assert audit(prepared(log(ROWS), holdout([(-1, [1], [2])]), "NewUsers"))[COLD].status == "green"
    found = audit(prepared(log(ROWS), holdout([(-1, [1], [2]), (1, [4], [9])]), "NewUsers"))[COLD]
    assert found.status == "red" and "1 test user of 2 in the training log" in found.text


def test_steps_fitted_on_all_events_are_named() -> None:
    step = {"step": "KCore(owner=5, item=5)", "fit": "all", "events": [100, 80], "owners": [10, 9], "items": [20, 12]}
    still = {"step": "MinSupport(2)", "fit": "all", "events": [80, 80], "owners": [9, 9], "items": [12, 12]}
    causal = {"step": "Duplicates()", "fit": None, "events": [120, 100], "owners": [10, 10], "items": [20, 20]}

    def check(*steps: dict[str, object]) -> tuple[str, str]:
        found = audit(prepared(log(ROWS), holdout(TESTED), cleaning=list(steps)))[FITTED]
        return found.status, found.text

    assert check() == ("green", "No cleaning step; whether the publisher filtered the log is not known here.")
    assert check(causal, {**step, "fit": "train"}) == ("green", "No statistic was fitted on test events.")
    assert check(still) == ("green", "Fitted on all events, but without effect: MinSupport(2).")
    status, text = check(causal, step, still)
    assert status == "amber" and text.startswith("Fitted on all events, test included: KCore(owner=5, item=5) (removed 20 events).")
    assert "MinSupport" not in text
    assert audit(prepared(log(ROWS), holdout(TESTED), cleaning=None))[FITTED].status == "not applicable"


# ------------------------------------------------------------------------------------------------------------ near duplicates


def sessions(train: list[Sequence], tested: list[Sequence], num_items: int = 50) -> Audit:
    """Each tested session is asked for its last item."""
    queries = [(-1, row[:-1], row[-1:]) for row in tested]
    return audit(prepared(log(train, num_items=num_items, kind="session"), holdout(queries, kind="session"), "Predefined"))


def test_duplicated_sessions_are_counted() -> None:
    base = [[1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14], [1, 3]]
    tested = [
        [1, 2, 3, 4],  # equal
        [5, 6, 20, 8, 9],  # four of five in the same order
        [14, 13, 12, 11, 10],  # the same items, another order
        [10, 11, 12, 13],  # a part: four of five
        [21, 22, 23, 24],  # new
        [1, 3],  # equal, and too short to count
    ]
    found = sessions(base, tested)[NEAR]
    assert found.status == "red"
    assert found.details["refit/test"] == {
        "sequences": 6,
        "exact_of_any_length": 2,
        "exact_long_enough": 1,
        "long_enough": 5,
        "of_length": 4,
        "test": {"looked_at": 5, "near": 3, "exact": 1, "share": 0.6},
        "inside_training": {"looked_at": 3, "near": 0, "exact": 0, "share": 0.0},
    }
    assert found.text == (
        "Test: 3 test session sequences of 5 with a near duplicate in training (60 %), 1 of them equal; inside training 0 % have one."
    )
    assert sessions(base, tested[4:])[NEAR].status == "green"
    assert sessions(base[3:], tested[5:])[NEAR].status == "not applicable"


def test_a_user_is_no_duplicate_of_itself_and_copies_of_users_are_found() -> None:
    rows = [[1, 2, 3, 4, 5], [11, 12, 13, 14], [11, 12, 13, 14, 15]]
    queries = [(0, rows[0], [6]), (1, rows[1], [15]), (2, rows[2], [16])]
    found = audit(prepared(log(rows), holdout(queries)))[NEAR].details["refit/test"]
    # user 1 in full is equal to user 2 in training; user 2 in full has 4 of 6 items in common with user 1: too few
    assert found["test"] == {"looked_at": 3, "near": 1, "exact": 1, "share": 1 / 3}
    assert found["inside_training"] == {"looked_at": 3, "near": 2, "exact": 0, "share": 2 / 3}


def longest(a: Sequence, b: Sequence) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for x, i in enumerate(a):
        for y, j in enumerate(b):
            table[x + 1][y + 1] = table[x][y] + 1 if i == j else max(table[x][y + 1], table[x + 1][y])
    return table[-1][-1]


def jaccard(a: Sequence, b: Sequence) -> float:
    both = sum(min(a.count(i), b.count(i)) for i in set(a))
    return both / (len(a) + len(b) - both)


SEQUENCES = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=9), min_size=1, max_size=8)


@settings(max_examples=80, deadline=None)
@given(SEQUENCES, SEQUENCES)
def test_near_duplicates_are_those_of_all_pairs(train: list[Sequence], tested: list[Sequence]) -> None:
    """Nothing is lost by looking at rare items first: the numbers are those of comparing everything with everything."""
    found = sessions(train, [[*row, 0] for row in tested], num_items=6)[NEAR].details["refit/test"]
    tested = [[*row, 0] for row in tested]
    assert found["exact_of_any_length"] == sum(row in train for row in tested)
    long = [row for row in tested if len(row) >= 4]
    alike = [any(len(t) >= 4 and longest(row, t) >= 0.8 * max(len(row), len(t)) for t in train) for row in long]
    assert found.get("test", {"near": 0})["near"] == sum(alike)


@settings(max_examples=80, deadline=None)
@given(SEQUENCES)
def test_users_alike_are_those_of_all_pairs(train: list[Sequence]) -> None:
    queries = [(u, row, [0]) for u, row in enumerate(train)]
    found = audit(prepared(log(train, num_items=6), holdout(queries), keep_repeats=True))[NEAR].details["refit/test"]
    full = [(u, [*row, 0]) for u, row in enumerate(train) if len(row) >= 3]
    alike = [any(u != v and len(t) >= 4 and jaccard(row, t) >= 0.7 for v, t in enumerate(train)) for u, row in full]
    assert found.get("test", {"near": 0})["near"] == sum(alike)


@settings(max_examples=60, deadline=None)
@given(SEQUENCES, SEQUENCES)
def test_common_subsequences_and_items(a: list[Sequence], b: list[Sequence]) -> None:
    def rows(lists: list[Sequence]) -> Rows:
        return Rows(np.concatenate(lists).astype(np.int32), np.cumsum([0, *map(len, lists)]), np.full(len(lists), -1))

    left, right = (x.ravel() for x in np.meshgrid(np.arange(len(a)), np.arange(len(b)), indexing="ij"))
    assert common_subsequence(rows(a), left, rows(b), right).tolist() == [longest(x, y) for x in a for y in b]
    assert common_items(rows(a), left, rows(b), right, 6).tolist() == [sum(i in x for i in y) for x in a for y in b]
    words = hashes(rows(a + b))
    assert [[x == y for y in words] for x in words] == [[x == y for y in a + b] for x in a + b]


def test_large_logs_are_sampled_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "SAMPLE", 20)
    g = np.random.default_rng(0)
    train = [g.choice(200, 5, replace=False).tolist() for _ in range(60)]
    tested = [[-1, row] for row in (train[:30] + [g.choice(200, 5, replace=False).tolist() for _ in range(30)])]
    data = prepared(
        log(train, num_items=200, kind="session"), holdout([(-1, row[:-1], row[-1:]) for _, row in tested], kind="session"), "Predefined"
    )
    first, again, other = (audit(data, seed=seed)[NEAR] for seed in (0, 0, 1))
    assert first == again and first.details["refit/test"]["exact_long_enough"] == 30
    shares = [found.details["refit/test"]["test"] for found in (first, other)]
    assert all(share["looked_at"] == 20 and share["near"] == share["exact"] and 3 <= share["near"] <= 17 for share in shares)
    assert "of 20 looked at (of 60)" in first.text
    monkeypatch.setattr(near, "_WORK", 1)  # not even one row's worth of work: one is looked at all the same
    assert audit(data)[NEAR].details["refit/test"]["test"]["looked_at"] == 1


# ------------------------------------------------------------------------------------------------------------ drift


def drifting(shuffle: bool) -> Log:
    """300 users, one a day, who choose among ten items that move on slowly; or the same users on other days."""
    g = np.random.default_rng(0)
    rows = [(u // 3 + g.choice(10, 5, replace=False)).tolist() for u in range(300)]
    day = g.permutation(300) if shuffle else np.arange(300)
    return log(rows, [[int(day[u]) * DAY + n for n in range(5)] for u in range(300)], num_items=200)


def test_a_log_that_drifts_is_told_from_one_that_does_not() -> None:
    test = holdout([(0, [1, 2], [3])], [400 * DAY])
    drifts = audit(prepared(drifting(False), test))[DRIFT]
    assert drifts.status == "amber" and drifts.details["p"] == 1 / 200 and drifts.details["ks"] > 0.5
    assert drifts.details["mean_gap_of_neighbours"] < 20 < 100 < drifts.details["mean_gap_of_all"] < 101
    still = audit(prepared(drifting(True), test))[DRIFT]
    assert still.status == "green" and still.details["p"] > 0.05 and still.details["ks"] < 0.05
    assert audit(prepared(drifting(False), test), seed=3)[DRIFT].status == "amber"


def test_without_a_clock_the_order_of_ids_is_the_order_of_the_log() -> None:
    found = audit(prepared(replace(drifting(True), time=None), holdout([(0, [1, 2], [3])])))[DRIFT]
    assert found.details["order"] == "id" and found.status == "amber"


def test_the_statistic_is_that_of_two_samples() -> None:
    g = np.random.default_rng(0)
    rank = g.permutation(40)
    left, right = g.integers(40, size=(2, 100))
    left, right = left[left != right], right[left != right]
    everyone = [abs(i - j) for i in range(40) for j in range(i)]
    assert _ks(rank, left, right) == pytest.approx(ks_2samp(np.abs(rank[left] - rank[right]), everyone).statistic)


# ------------------------------------------------------------------------------------------------------------ the whole


@pytest.mark.parametrize(
    ("splitter", "owner"),
    [
        (LastN(), "user"),
        (UserFraction(), "user"),
        (GlobalTime(), "user"),
        (NewUsers(), "user"),
        (KFoldUsers(), "user"),
        (GlobalTime(), "session"),
        (SessionTime(by="start"), "session"),
        (SessionTime(by="end"), "session"),
        (LastN(), "session"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_our_splitters_keep_their_promises(splitter: Splitter, owner: str, tmp_path: Path) -> None:
    source = Simulated(users=200, items=100, clicks=6_000, owner=owner)
    data = prepare(source, splitter, clean=[KCore(owner=2, item=5, fit="all")], cache=tmp_path)
    found = audit(data)
    assert {check.name for check in found.checks if check.status == "red"} == set()
    ordered = splitter.__class__ in (GlobalTime, SessionTime)
    assert found[FIRST].status == ("green" if ordered else "amber")
    promised = ordered or type(splitter) is LastN or type(splitter) in (NewUsers, KFoldUsers)
    assert (found[OWN].status != "amber") == promised
    removed = sum(step["events"][0] - step["events"][1] for step in data.report["cleaning"])
    assert removed and f"KCore(owner=2, item=5, fit='all') (removed {removed:,} events)" in found[FITTED].text


def test_a_splitter_that_does_not_keep_its_promise(tmp_path: Path) -> None:
    """The same prepared data, said to come from a splitter that promises more."""
    data = prepare(Simulated(users=200, items=100, clicks=6_000), UserFraction(), cache=tmp_path)
    assert data.report["promise"] == "none"
    for promise, late in (("global", FIRST), ("owner", OWN), ("users", COLD)):
        assert audit(replace(data, report={**data.report, "promise": promise}))[late].status == "red"


@pytest.mark.data
def test_published_splits(data_root: Path, tmp_path: Path) -> None:
    gowalla = audit(prepare(Gowalla(root=data_root), Predefined(), cache=tmp_path))
    assert gowalla.status == "green" and gowalla[PAIRS].details["refit/test"]["pairs"] == 217_242
    diginetica = audit(prepare(Diginetica(root=data_root), Predefined(), cache=tmp_path))
    numbers = diginetica[NEAR].details["refit/test"]
    assert diginetica.status == "green" and numbers["sequences"] == 15_963
    train, test = (pl.read_parquet(data_root / "diginetica" / f"{part}.parquet") for part in ("train", "test"))
    whole = [part.sort("position").group_by("session_id").agg(pl.col("item_id"))["item_id"].to_list() for part in (train, test)]
    seen = {tuple(row) for row in whole[0]}
    twins = [row for row in whole[1] if tuple(row) in seen]
    assert numbers["exact_of_any_length"] == len(twins)
    assert numbers["exact_long_enough"] == sum(len(row) >= 4 for row in twins)


def test_the_report_is_plain_json() -> None:
    found = audit(prepared(drifting(False), holdout([(0, [1, 2], [3]), (-1, [4], [5])], [9 * DAY, 400 * DAY]), "GlobalTime"))
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["status"] == "red" and [c["name"] for c in read["checks"]] == [FIRST, OWN, PAIRS, COLD, FITTED, NEAR, DRIFT]
    assert read == found.to_json()
    assert [part.name for part in parts(prepared(log(ROWS), holdout(TESTED)))] == ["refit/test", "select/test", "select/valid"]


def test_percentages_never_hide_what_is_there() -> None:
    shown = [percent(x) for x in (0.0, 1e-9, 0.00012, 0.0213, 0.354, 0.9949, 0.99999, 1.0)]
    assert shown == ["0 %", "< 0.001 %", "0.012 %", "2.1 %", "35 %", "99 %", "99.99 %", "100 %"]
