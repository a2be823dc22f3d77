from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import check, describe
from recsys.data.describe import cleaning_table, describe_tables, survey
from recsys.errors import DataError

DAYS = [datetime(2026, 1, day) for day in (1, 2, 3, 4)]


def test_a_log_by_hand() -> None:
    frame = pl.DataFrame({"user": [1, 1, 1, 2], "item": ["a", "b", "a", "a"], "time": DAYS, "part": ["train", "train", "test", "train"]})
    assert describe(frame) == {
        "events": 4,
        "owner": "user",
        "owners": 2,
        "items": 2,
        "density": pytest.approx(3 / 4),
        "repeats": pytest.approx(1 / 4),
        "length_median": 2.0,
        "length_mean": 2.0,
        "length_max": 3,
        "top_1_percent": pytest.approx(3 / 4),
        "top_20_percent": pytest.approx(3 / 4),
        "gini": pytest.approx(1 / 4),  # of 1 and 3
        "items_once": 1 / 2,
        "items_below_5": 1.0,
        "duplicates": 0,
        "consecutive_repeats": 0,
        "same_moment": 0.0,
        "first": "2026-01-01T00:00:00",
        "last": "2026-01-04T00:00:00",
        "days": 3.0,
        "empty_days": 0,
        "longest_gap": 0,
        "parts": {"train": 3, "test": 1},
    }


def test_repeats_duplicates_and_ties_by_hand() -> None:
    rows = [  # user, item, minute, weight
        (1, "a", 0, 1.0),
        (1, "a", 0, 1.0),  # a duplicate, consecutive, tied
        (1, "a", 0, 2.0),  # another weight: no duplicate, but consecutive and tied
        (1, "b", 5, 1.0),
        (1, "a", 9, 1.0),  # a repeat, not consecutive
        (2, "a", 9, 1.0),  # another user at the same moment: no tie
        (2, "c", 9, 3.0),  # tied with the one before
    ]
    frame = pl.DataFrame(rows, schema=["user", "item", "minute", "weight"], orient="row")
    frame = frame.with_columns(time=pl.lit(DAYS[0]) + pl.duration(minutes="minute"))
    found = describe(frame.sample(fraction=1, shuffle=True, seed=1))
    assert (found["duplicates"], found["consecutive_repeats"], found["same_moment"]) == (1, 2, pytest.approx(5 / 7))
    assert found["repeats"] == pytest.approx(3 / 7)  # 4 distinct pairs: 1a 1b 2a 2c
    assert (found["weight_min"], found["weight_mean"], found["weight_max"]) == (1.0, pytest.approx(10 / 7), 3.0)
    ordered = describe(frame.with_columns(order=pl.col("minute")).drop("time"))
    assert ordered["consecutive_repeats"] == 2 and not {"same_moment", "first", "empty_days"} & set(ordered)
    assert "consecutive_repeats" not in describe(frame.drop("time"))  # without an order nothing is just before


def test_the_calendar() -> None:
    stamps = [datetime(2026, 1, 5, 23, 59), datetime(2026, 1, 6, 0, 0), datetime(2026, 1, 9, 13), datetime(2026, 1, 20, 13)]
    facts, tables = (found := survey(pl.DataFrame({"user": [1, 2, 3, 4], "item": [1, 1, 1, 1], "time": stamps}))).facts, found.tables
    assert (facts["empty_days"], facts["longest_gap"]) == (2 + 10, 10)
    days = tables["days"]
    assert days["date"].to_list() == [date(2026, 1, 5) + timedelta(days=d) for d in range(16)]
    assert [d for d, n in days.iter_rows() if n] == [t.date() for t in stamps] and days["events"].sum() == 4
    hours = {(w, h): n for w, h, n in tables["hours"].iter_rows() if n}
    assert hours == {(0, 23): 1, (1, 0): 1, (4, 13): 1, (1, 13): 1} and len(tables["hours"]) == 168  # 2026-01-05 was a Monday
    one = survey(pl.DataFrame({"user": [1], "item": [1], "time": [datetime(1970, 1, 1)]}))
    assert one.facts["days"] == 0.0 and one.tables["days"].rows() == [(date(1970, 1, 1), 1)]
    assert [row[:2] for row in one.tables["hours"].iter_rows() if row[2]] == [(3, 0)]  # a Thursday


def test_histories_fall_into_bins_that_double() -> None:
    lengths = [1, 1, 2, 3, 4, 5, 8, 9]
    frame = pl.DataFrame({"user": np.repeat(np.arange(8), lengths), "item": np.arange(sum(lengths))})
    assert describe_tables(frame)["lengths"].rows() == [(1, 1, 2, 2), (2, 2, 1, 2), (3, 4, 2, 7), (5, 8, 2, 13), (9, 16, 1, 9)]
    only = pl.DataFrame({"user": [1, 2], "item": [1, 2]})
    assert describe_tables(only)["lengths"].rows() == [(1, 1, 2, 2)]


def test_the_popularity_curve() -> None:
    counts = [50, 20, 10, 10, 5, 5]
    frame = pl.DataFrame({"user": np.arange(100), "item": np.repeat(np.arange(6), counts)})
    assert describe_tables(frame)["popularity"].rows() == [
        (1, 50, 0.5),
        (2, 20, 0.7),
        (3, 10, 0.8),
        (4, 10, 0.9),
        (5, 5, 0.95),
        (6, 5, 1.0),
    ]
    long = describe_tables(pl.DataFrame({"user": np.arange(5_000), "item": np.arange(5_000)}))["popularity"]
    assert len(long) <= 200 and long.row(-1) == (5_000, 1, 1.0) and long["rank"].is_sorted()
    found = describe(frame)
    assert found["top_20_percent"] == 0.5 and found["items_below_5"] == 0.0
    assert found["gini"] == pytest.approx(sum(abs(a - b) for a in counts for b in counts) / (2 * 6 * 100))


def test_weights_and_kinds() -> None:
    columns = {"weight": [4.0, 0.5, 4.0, 1.0], "kind": ["view", "buy", "view", "view"]}
    frame = pl.DataFrame({"user": [1, 2, 3, 4], "item": [1, 1, 1, 1], **columns})
    found = survey(frame)
    assert found.tables["weights"].rows() == [(0.5, 0.5, 1), (1.0, 1.0, 1), (4.0, 4.0, 2)]
    assert found.facts["kinds"] == {"view": 3, "buy": 1} and found.tables["kinds"].rows() == [("view", 3), ("buy", 1)]
    many = survey(pl.DataFrame({"user": np.arange(101), "item": np.arange(101), "weight": np.arange(101.0)})).tables["weights"]
    assert len(many) == 20 and many["events"].sum() == 101 and (many["from"][0], many["to"][-1]) == (0.0, 100.0)
    assert many["events"].to_list() == [5] * 19 + [6]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_reading_in_pieces_changes_nothing(data: st.DataObject) -> None:
    """Blocks of a few events, one block, and plain counting agree."""
    size = data.draw(st.integers(1, 40))
    column = st.lists(st.integers(0, 6), min_size=size, max_size=size)
    user, item, hour = data.draw(column), data.draw(column), data.draw(column)
    frame = pl.DataFrame({"user": user, "item": [f"i{i}" for i in item], "time": [DAYS[0] + timedelta(hours=9 * h) for h in hour]})
    whole = survey(frame)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["recsys.data.describe"], "ROWS", 4)  # the package has a function of that name
        chunk = data.draw(st.integers(1, size))
        pieces = survey(check(frame).slice(at, chunk) for at in range(0, size, chunk))
    assert pieces.facts == whole.facts and all(pieces.tables[name].equals(table) for name, table in whole.tables.items())
    facts = whole.facts
    assert facts["events"] == size and facts["owners"] == len(set(user)) and facts["items"] == len(set(item))
    assert facts["length_median"] == np.median(list(Counter(user).values()))
    assert facts["density"] == pytest.approx(len(set(zip(user, item, strict=True))) / (facts["owners"] * facts["items"]))
    assert facts["duplicates"] == size - len(set(zip(user, item, hour, strict=True)))
    moments = Counter(zip(user, hour, strict=True))
    assert facts["same_moment"] == pytest.approx(sum(n for n in moments.values() if n > 1) / size)
    events = sorted(zip(user, hour, item, strict=True))
    assert facts["consecutive_repeats"] == sum(a[0] == b[0] and a[2] == b[2] for a, b in pairwise(events))


def test_a_lazy_frame_and_sessions() -> None:
    frame = pl.LazyFrame({"session": ["x", "x", "y"], "item": [1, 1, 2], "order": [0, 1, 0]})
    found = describe(frame)
    assert (found["owner"], found["owners"], found["consecutive_repeats"]) == ("session", 2, 1)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"user": [1, None], "item": [1, 2]}), "shop.csv: column 'user', row 1 (counting from 0) has no value"),
        (pl.DataFrame({"user": [1.5], "item": [1]}), "shop.csv: column 'user' is Float64"),
    ],
)
def test_bad_events_are_refused(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=r"\A" + message.replace("(", r"\(").replace(")", r"\)").replace(".", r"\.")):
        describe(frame, origin="shop.csv")
    for nothing in (pl.DataFrame({"user": [1], "item": [1]}).clear(), iter([])):
        with pytest.raises(DataError, match=r"there are no events \(0 rows\)"):
            describe(nothing)


def test_the_cleaning_table() -> None:
    steps = [
        {"step": "Duplicates()", "fit": None, "fold": None, "events": [10, 8], "owners": [3, 3], "items": [5, 5]},
        {"step": "KCore(owner=2)", "fit": "train", "fold": "refit", "events": [6, 4], "owners": [3, 2], "items": [5, 2]},
    ]
    table = cleaning_table(steps)
    counts = [f"{what}_{when}" for what in ("events", "owners", "items") for when in ("before", "after")]
    assert table.columns == ["step", "fit", "fold", *counts]
    assert table.rows() == [("Duplicates()", None, None, 10, 8, 3, 3, 5, 5), ("KCore(owner=2)", "train", "refit", 6, 4, 3, 2, 5, 2)]
    assert cleaning_table([]).columns == table.columns


@pytest.mark.data
def test_movielens(data_root) -> None:
    from recsys.data.sources import MovieLens

    found = survey(MovieLens(min_rating=None, root=data_root).events())
    facts = found.facts
    assert (facts["events"], facts["owners"], facts["items"], facts["duplicates"]) == (100_004, 671, 9_066, 0)
    assert (facts["length_median"], facts["length_max"], facts["first"][:10]) == (71.0, 2_391, "1995-01-09")
    ratings = pl.read_csv(data_root / "movielens-small" / "ratings.csv")
    days = (ratings["timestamp"] // 86_400).unique().sort()
    assert facts["empty_days"] == days[-1] - days[0] + 1 - len(days) and facts["longest_gap"] == days.diff().max() - 1
    assert (found.tables["days"]["events"] > 0).sum() == len(days)
    tied = ratings.select(pl.struct("userId", "timestamp").is_duplicated().mean()).item()
    assert facts["same_moment"] == pytest.approx(tied)
