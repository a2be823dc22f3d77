from __future__ import annotations

import inspect
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recsys.splitting
from recsys.data.events import PARTS
from recsys.errors import ConfigError, DataError
from recsys.splitting import Blockwise, GlobalTime, KFoldUsers, LastN, NewUsers, Predefined, SessionTime, Splitter, UserFraction
from recsys.testing.splitters import check_splitter, tiny_log

CONFORMING = [
    (Predefined(), ["random"]),
    (LastN(), ["order"]),
    (LastN(n=2, validation=3), ["order"]),
    (UserFraction(), ["random"]),
    (NewUsers(), ["random", "new_users"]),
    (NewUsers(who="latest", test=0.2, given=0.5), ["new_users"]),
    (KFoldUsers(), ["random", "new_users"]),
    (KFoldUsers(folds=4, fold=3, given=0.3), ["random", "new_users"]),
    (SessionTime(), ["whole_sessions"]),
    (SessionTime(test="1h", validation="40m", by="end"), ["time", "order", "whole_sessions"]),
    (GlobalTime(), ["time", "order", "whole_sessions"]),
    (GlobalTime(test="1h", validation="40m"), ["time", "order", "whole_sessions"]),
    (GlobalTime(test="2026-01-01T02:30", validation="2026-01-01T01:40"), ["time", "order", "whole_sessions"]),
]


@pytest.mark.parametrize(("splitter", "guarantees"), CONFORMING)
def test_every_splitter_keeps_its_promises(splitter: Splitter, guarantees: list) -> None:
    check_splitter(splitter, guarantees=guarantees)


def test_every_public_splitter_is_in_the_conformance_list() -> None:
    public = {getattr(recsys.splitting, name) for name in recsys.splitting.__all__} - {Splitter, Blockwise}
    assert public == {type(splitter) for splitter, _ in CONFORMING}
    assert all(inspect.getdoc(cls) for cls in public)


class Broken(Splitter):
    """Labels by where a row stands."""

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        return pl.Series(["train", "valid", "test", "train"] * (len(events) // 4), dtype=PARTS)


class Leaking(Splitter):
    """Tests on the oldest."""

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        swapped = {"train": "test", "valid": "valid", "test": "train"}
        return LastN().label(events, seed).cast(pl.String).replace(swapped).cast(PARTS)


def test_the_suite_refuses_a_split_by_row_position() -> None:
    with pytest.raises(AssertionError, match="another order of rows"):
        check_splitter(Broken())


def test_the_suite_refuses_a_leak() -> None:
    with pytest.raises(AssertionError, match="later than those it holds out"):
        check_splitter(Leaking(), guarantees=["order"])


def log(**columns: list) -> pl.DataFrame:
    frame = pl.DataFrame(columns)
    if "time" in columns:
        frame = frame.with_columns(time=(pl.lit(datetime(2026, 1, 1)) + pl.col("time") * timedelta(days=1)).cast(pl.Datetime("us")))
    return frame.with_columns(pl.col("part").cast(PARTS)) if "part" in columns else frame


def test_last_n_by_hand() -> None:
    events = log(user=[1, 1, 1, 1, 2, 2], item=[5, 6, 7, 8, 5, 6], order=[3, 0, 2, 1, 0, 1])
    assert LastN().label(events, 0).to_list() == ["test", "train", "valid", "train", "train", "train"]  # user 2 is too short


def test_last_n_breaks_ties_by_item() -> None:
    events = log(user=[1, 1, 1], item=[9, 4, 6], time=[0, 0, 0])
    assert LastN().label(events, 0).to_list() == ["test", "train", "valid"]


def test_last_n_of_a_session_without_a_clock() -> None:
    events = log(session=["a", "a", "a", "b"], item=[1, 2, 3, 1], order=[0, 1, 2, 0])
    assert LastN().label(events, 0).to_list() == ["train", "valid", "test", "train"]


def test_global_time_by_hand() -> None:
    events = log(user=[1, 1, 2, 2, 3], item=[1, 2, 3, 4, 5], time=[0, 5, 2, 9, 7])
    by_date = GlobalTime(test="2026-01-08", validation="2026-01-06").label(events, 0)
    assert by_date.to_list() == ["train", "valid", "train", "test", "test"]
    assert GlobalTime(test="3d", validation="2d").label(events, 0).to_list() == by_date.to_list()  # (9 - 3, 9] and (5 - 2, 5]
    assert GlobalTime(test=0.4, validation=0.34).label(events, 0).to_list() == by_date.to_list()  # latest 2 of 5, then latest of 3


def test_global_time_puts_a_session_where_it_ends() -> None:
    events = log(session=[1, 1, 2, 3, 3], item=[1, 2, 3, 4, 5], time=[0, 1, 4, 6, 8])
    assert GlobalTime(test="2026-01-08", validation="2026-01-04").label(events, 0).to_list() == ["train", "train", "valid", "test", "test"]


def test_global_time_before_the_first_event_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no event is earlier than the test cut at 2025-01-01.*choose test='2025-01-01' later"):
        GlobalTime(test="2025-01-01").label(log(user=[1, 1], item=[1, 2], time=[0, 1]), 0)
    with pytest.raises(DataError, match="after the test cut"):
        GlobalTime(test="2026-01-02", validation="2026-02-02").label(log(user=[1, 1], item=[1, 2], time=[0, 1]), 0)


def test_predefined_keeps_a_validation_part_that_is_there() -> None:
    events = log(user=[1, 1, 1], item=[1, 2, 3], part=["valid", "train", "test"])
    assert Predefined(validation=0.5).label(events, 0).to_list() == ["valid", "train", "test"]


def test_predefined_never_moves_test_and_leaves_each_user_an_event() -> None:
    events = tiny_log()
    label = Predefined(validation=0.9).label(events, 1)
    assert ((label == "test") == (events["part"] == "test")).all()
    assert events.filter(label == "train")["user"].n_unique() == events["user"].n_unique()


def test_predefined_takes_the_latest_training_sessions() -> None:
    events = tiny_log("session")  # 40 sessions in order, the last 8 are test
    held = events.filter(Predefined(validation=0.25).label(events, 0) == "valid")["session"].unique().sort()
    assert held.to_list() == list(range(24, 32))
    no_clock = events.select("session", "item", "part", order=pl.int_range(pl.len()).over("session"))
    assert Predefined(validation=0.25).label(no_clock, 0).equals(Predefined(validation=0.25).label(events, 0))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25])
def test_user_shares_are_exact_in_the_mean(share: float) -> None:
    events = tiny_log(owners=2000, items=12, length=7)
    label = UserFraction(test=share, validation=share).label(events, 0)
    for part in ("test", "valid"):
        mean = (label == part).mean()
        assert abs(mean - share) < 4 * 0.5 / 7 / 2000**0.5  # a user's rounding has a deviation of at most half an event
        per_user = events.filter(label == part).group_by("user").len()["len"]
        assert per_user.max() <= int(7 * share) + 1


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=40), st.integers(0, 2**31))
def test_every_user_keeps_a_training_event(pairs: list[tuple[int, int]], seed: int) -> None:
    events = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    label = UserFraction(test=0.5, validation=0.45).label(events, seed)
    assert events.filter(label == "train")["user"].n_unique() == events["user"].n_unique()
    assert label.null_count() == 0


def test_predefined_is_random_for_users_and_not_for_sessions() -> None:
    users, sessions = tiny_log(), tiny_log("session")
    assert not Predefined().label(users, 0).equals(Predefined().label(users, 1))
    assert Predefined().label(sessions, 0).equals(Predefined().label(sessions, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Predefined(validation=1.0), "Predefined got validation=1.0; a share lies between 0 and 1"),
        (lambda: LastN(n=0), "LastN got n=0, validation=1; both are at least 1"),
        (lambda: UserFraction(test=0.6, validation=0.5), "together they must be less than 1"),
        (lambda: GlobalTime(test="soon"), r"GlobalTime got test='soon'; give a date \('2026-01-01'\), a duration \('7d'\) or a share"),
        (lambda: GlobalTime(test="2026-01-01T00:00+02:00"), "give the moment in UTC without a zone"),
        (lambda: GlobalTime(validation=1.5), "validation=1.5"),
    ],
)
def test_wrong_knobs(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_sessions_are_whole_by_start_or_by_end() -> None:
    events = log(session=[1, 1, 2, 2, 3, 3, 4, 4], item=[1, 2, 3, 4, 5, 6, 7, 8], time=[0, 1, 4, 9, 6, 7, 8, 10])
    start = SessionTime(test="2026-01-07", validation="2026-01-03").label(events, 0)  # from day 6 on, from day 2 on
    assert start.to_list() == ["train"] * 2 + ["valid"] * 2 + ["test"] * 4  # session 2 is still going on at the cut
    end = SessionTime(test="2026-01-10", validation="2026-01-08", by="end").label(events, 0)
    assert end.to_list() == ["train"] * 2 + ["test"] * 2 + ["valid"] * 2 + ["test"] * 2
    shares = SessionTime(test=0.5, validation=0.5).label(events, 0)  # of four sessions, then of two
    assert shares.to_list() == start.to_list()


def test_new_users_are_given_their_earliest_events() -> None:
    events = log(
        user=[1] * 4 + [2] * 4 + [3] * 5 + [4], item=[1, 2, 3, 4] * 2 + [1, 2, 3, 4, 5, 1], time=[0, 1, 2, 3, 3, 2, 1, 4, 9, 8, 7, 6, 5, 6]
    )
    label = NewUsers(test=0.34, validation=0.34, given=0.5, who="latest").label(events, 0)
    assert label.to_list()[:4] == ["train"] * 4  # came first
    assert label.to_list()[4:8] == ["valid", "valid_given", "valid_given", "valid"]
    assert label.to_list()[8:13] == ["test", "test", "test", "test_given", "test_given"]  # half of five, rounded down
    assert label[13] == "train"  # a single event cannot be both given and asked


@pytest.mark.parametrize("seed", [0, 1])
def test_every_user_is_tested_in_one_fold(seed: int) -> None:
    events = tiny_log()
    tested, validated = [], []
    for fold in range(5):
        label = KFoldUsers(fold=fold).label(events, seed)
        tested.append(set(events.filter(label == "test")["user"]))
        validated.append(set(events.filter(label == "valid")["user"]))
        assert events.filter(label.cast(pl.String) == "test_given").group_by("user").len()["len"].unique().to_list() == [
            6
        ]  # 0.8 of 8, down
    assert sorted(user for fold in tested for user in fold) == list(range(40)) and {len(fold) for fold in tested} == {8}
    assert validated == tested[1:] + tested[:1]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: KFoldUsers(folds=2), "folds=2; at least 3"),
        (lambda: KFoldUsers(fold=5), "fold=5 of 5; folds are numbered 0 to 4"),
        (lambda: NewUsers(test=0.6, validation=0.5), "together they must be less than 1"),
        (lambda: NewUsers(given=1.0), "given=1.0; a share lies between 0 and 1"),
        (lambda: NewUsers(who="first"), "who='first'; allowed are 'random' and 'latest'"),
        (lambda: SessionTime(by="middle"), "by='middle'; allowed are 'start' and 'end'"),
        (lambda: SessionTime(test="soon"), "SessionTime got test='soon'; give a date"),
    ],
)
def test_what_cannot_be_is_refused(make, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make()
