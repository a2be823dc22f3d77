from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.cleaning import (
    ConsecutiveRepeats,
    Duplicates,
    KCore,
    Kinds,
    MaxLength,
    MinLength,
    MinSupport,
    OwnerStep,
    Sessionize,
    Step,
    Threshold,
    TimeWindow,
)
from recsys.errors import ConfigError, DataError
from recsys.testing.cleaning import check_step, tiny_block


class LooksAhead(OwnerStep):
    """Drops an event that is repeated later, and does not say that it looks ahead."""

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        return Duplicates("last").clean(events)


class Neighbours(OwnerStep):
    """Compares with the event before without looking whose it is."""

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        return events.filter((pl.col("item") != pl.col("item").shift(1)).fill_null(True))


class Forgets(OwnerStep):
    """Loses columns it does not know."""

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        return events.select("user", "item", "time").unique(maintain_order=True)


@pytest.mark.parametrize(
    ("step", "match"), [(LooksAhead(), "looks at later events"), (Neighbours(), "other owners"), (Forgets(), "lost a column")]
)
def test_the_suite_refuses_steps_that_break_a_promise(step: Step, match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        check_step(step)


def block(**columns: list) -> pl.DataFrame:
    """Codes, and minutes as times."""
    frame = pl.DataFrame(columns).with_columns(pl.col("user", "item").cast(pl.UInt32))
    if "time" in columns:
        frame = frame.with_columns(time=(pl.lit(datetime(2026, 1, 1)) + pl.col("time") * timedelta(minutes=1)).cast(pl.Datetime("us")))
    if "weight" in columns:
        frame = frame.with_columns(pl.col("weight").cast(pl.Float32))
    if "kind" in columns:
        frame = frame.with_columns(pl.col("kind").cast(pl.Enum(["click", "order", "view"])))
    return frame.with_row_index("at")


EVENTS = {"user": [0, 0, 0, 0, 0, 1, 1], "item": [5, 5, 7, 5, 5, 7, 5], "time": [0, 1, 1, 2, 2, 0, 0], "weight": [1, 2, 3, 4, 5, 6, 7]}


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        (Duplicates(), [0, 2, 5, 6]),
        (Duplicates("last"), [2, 4, 5, 6]),
        (Duplicates(same="event"), [0, 1, 2, 3, 5, 6]),
        (Duplicates("last", same="event"), [0, 1, 2, 4, 5, 6]),
        (ConsecutiveRepeats(), [0, 2, 3, 5, 6]),
        (Threshold(4), [3, 4, 5, 6]),
        (TimeWindow(start="2026-01-01T00:01", end="2026-01-01T00:02"), [1, 2]),
        (TimeWindow(end="2026-01-01T00:01"), [0, 5, 6]),
        (MinLength(3), [0, 1, 2, 3, 4]),
        (MaxLength(2), [3, 4, 5, 6]),
        (MaxLength(2, keep="first"), [0, 1, 5, 6]),
    ],
)
def test_what_stays_by_hand(step: OwnerStep, kept: list[int]) -> None:
    assert step.clean(block(**EVENTS))["at"].to_list() == kept


def test_weights_are_added_up() -> None:
    of_pairs = Duplicates("sum").clean(block(**EVENTS))
    assert of_pairs.select("item", "weight").rows() == [(5, 12.0), (7, 3.0), (7, 6.0), (5, 7.0)]
    without = {name: values for name, values in EVENTS.items() if name != "weight"}
    assert Duplicates("sum", same="event").clean(block(**without))["weight"].to_list() == [1, 1, 1, 2, 1, 1]


def test_kinds_are_chosen_and_weighted() -> None:
    events = block(**EVENTS, kind=["click", "order", "view", "click", "order", "order", "view"])
    clicks = Kinds(["click"]).clean(events)
    assert clicks["at"].to_list() == [0, 3] and "kind" not in clicks.columns and clicks["weight"].to_list() == [1, 4]
    weighted = Kinds({"click": 1, "order": 10}).clean(events)
    assert weighted["weight"].to_list() == [1, 20, 4, 50, 60]
    assert Kinds({"view": 3.0}).clean(events.drop("weight"))["weight"].to_list() == [3.0, 3.0]
    with pytest.raises(DataError, match=r"Kinds: no event is of kind 'clicks'; the log has 'click', 'order', 'view'"):
        Kinds(["clicks"]).clean(events)


def test_sessions_end_where_a_pause_is_longer_than_the_gap() -> None:
    events = block(user=[0, 0, 0, 0, 1, 1, 2], item=[1, 2, 3, 4, 1, 2, 1], time=[0, 10, 21, 31, 31, 32, 400])
    made = Sessionize("10m").clean(events)
    assert made["session"].to_list() == [0, 0, 1, 1, 2, 2, 3] and "user" not in made.columns and made["session"].dtype == pl.UInt32


def test_a_threshold_may_forget_the_weights() -> None:
    assert "weight" not in Threshold(2).clean(block(**EVENTS)).columns
    assert Threshold(6, forget=False).clean(block(**EVENTS))["weight"].to_list() == [6, 7]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_a_core_is_its_own_core(seed: int, of_owner: int, of_item: int) -> None:
    frame = tiny_block(seed)
    step = KCore(owner=of_owner, item=of_item)
    from recsys.data.blocks import codes, offsets_of

    offsets, _ = offsets_of(frame["user"])
    left = frame.filter(pl.Series(step.keep(offsets, codes(frame["item"]), 9))).rechunk()
    if len(left):
        assert left.group_by("user").len()["len"].min() >= of_owner and left.group_by("item").len()["len"].min() >= of_item
        offsets, _ = offsets_of(left["user"])
        assert step.keep(offsets, codes(left["item"]), 9).all()


def test_support_is_counted_once() -> None:
    offsets, item = np.array([0, 2, 5]), np.array([0, 1, 1, 1, 2], dtype=np.int32)
    assert MinSupport(2).keep(offsets, item, 3).tolist() == [False, True, True, True, False]
    assert KCore(owner=2, item=2).keep(offsets, item, 3).tolist() == [False, False, True, True, False]  # user 0 is left with one event


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: KCore(owner=0, item=5), "owner=0; it is at least 1"),
        (lambda: KCore(fit="test"), r"fit='test'; allowed are 'train' \(training events alone\) and 'all'"),
        (lambda: MinLength(0), "n=0; it is at least 1"),
        (lambda: MaxLength(3, keep="middle"), "keep='middle'; allowed are 'last' and 'first'"),
        (lambda: Duplicates("all"), "keep='all'; allowed are first, last, sum"),
        (lambda: Duplicates("first", fit="all"), "which looks at no later event; leave fit out"),
        (lambda: Duplicates(same="user"), "same='user'; allowed are pair, event"),
        (lambda: Kinds([]), "give a list such as"),
        (lambda: Kinds("clicks"), "give a list such as"),
        (lambda: Kinds({"clicks": -1.0}), "weights are finite and >= 0"),
        (lambda: Threshold(float("nan")), "it is a finite number"),
        (lambda: TimeWindow(), "neither start nor end"),
        (lambda: TimeWindow(start="2026-02-01", end="2026-01-01"), "the end is after the start"),
        (lambda: TimeWindow(start="January"), "give a date or time"),
        (lambda: TimeWindow(start="2026-01-01T00:00+02:00"), "in UTC without a zone"),
        (lambda: Sessionize("half an hour"), "give a number and a unit"),
    ],
)
def test_what_cannot_be_is_refused(make, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make()
