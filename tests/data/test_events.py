from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from recsys.data import check
from recsys.data.events import PARTS
from recsys.data.reading.quarantine import Quarantine
from recsys.data.sources import Frame, Source
from recsys.errors import DataError

GOOD = {"user": [1, 2], "item": [3, 4]}


def test_types_after_the_check() -> None:
    stamps = [datetime(2026, 1, 1, 12), datetime(2026, 1, 2)]
    frame = pl.DataFrame({"user": [1, 2], "item": ["a", "b"], "time": stamps, "weight": [1, 2], "part": ["train", "test"], "other": [0, 0]})
    frame = frame.with_columns(pl.col("user").cast(pl.UInt8), pl.col("item").cast(pl.Categorical), pl.col("time").cast(pl.Datetime("ms")))
    checked = check(frame)
    assert checked.schema == {"user": pl.Int64, "item": pl.String, "time": pl.Datetime("us"), "weight": pl.Float32, "part": PARTS}
    assert checked["time"].to_list() == stamps


def test_stamps_with_a_zone_become_utc() -> None:
    stamp = pl.Series([datetime(2026, 7, 1, 12)] * 2).dt.replace_time_zone("Europe/Paris")
    assert check(pl.DataFrame(GOOD).with_columns(time=stamp))["time"][0] == datetime(2026, 7, 1, 10)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [1]}, "neither 'user' nor 'session' among 'item'"),
        ({"user": [1], "session": [1], "item": [1]}, "found both 'user' and 'session': map one of them"),
        ({"user": [1], "items": [1]}, r"no column 'item' among 'user', 'items' \(did you mean 'items'\?\)"),
        ({"user": [1.0], "item": [1]}, "column 'user' is Float64; ids through floats change silently"),
        ({"user": [1], "item": [datetime(2026, 1, 1)]}, "column 'item' is Datetime.*ids are integers or strings"),
        ({"user": [1, None], "item": [1, 2]}, r"column 'user', row 1 \(counting from 0\) has no value; drop or fill this row first"),
        ({"user": [1, 2, 3], "item": ["a", " ", ""]}, "column 'item', row 1 .* is ' ', as in 2 rows; an id is not an empty text"),
        ({**GOOD, "time": [5, 6]}, "column 'time' is Int64, not a date or time; say its unit"),
        (
            {**GOOD, "time": [datetime(2026, 1, 1), datetime(1901, 1, 1)]},
            "column 'time', row 1 .*1901.*between 1970 and 2200: check time_unit",
        ),
        ({**GOOD, "time": [datetime(2026, 1, 1), None]}, "column 'time', row 1 .* has no value"),
        ({**GOOD, "time": [datetime(2026, 1, 1)] * 2, "order": [0, 1]}, "both 'time' and 'order' are given"),
        ({**GOOD, "order": [0.5, 1.0]}, "column 'order' is Float64; positions are integers"),
        ({**GOOD, "weight": [1.0, float("nan")]}, "column 'weight', row 1 .* is nan; weights are finite and >= 0"),
        ({**GOOD, "weight": [-1.0, 1.0]}, "column 'weight', row 0 .* is -1.0"),
        ({**GOOD, "weight": ["a", "b"]}, "column 'weight' is String; weights are numbers"),
        ({**GOOD, "part": ["train", "dev"]}, "column 'part', row 1 .* is 'dev'.*parts are 'train', 'valid' and 'test'"),
        ({f"column {n} {'x' * 60}": [1] for n in range(20)}, r"among 'column 0 x+\.\.\.', .*'column 11 x+\.\.\.', \.\.\. \(20 columns\)"),
        ({**GOOD, "part": [0, 1]}, "column 'part' is Int64; it holds 'train', 'valid' or 'test'"),
    ],
)
def test_what_is_refused(columns: dict[str, list], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        check(pl.DataFrame(columns), origin="shop.csv")
    assert str(caught.value).startswith("shop.csv: ")
    assert "\n" not in str(caught.value)


def test_no_rows_and_too_large_ids() -> None:
    with pytest.raises(DataError, match=r"there are no events \(0 rows\)"):
        check(pl.DataFrame(GOOD).clear())
    with pytest.raises(DataError, match="do not fit 64-bit integers"):
        check(pl.DataFrame({"user": pl.Series([2**63 + 1], dtype=pl.UInt64), "item": [1]}))


def test_large_integer_ids_survive() -> None:
    ids = [2**24 + 1, 2**53 + 1]
    assert check(pl.DataFrame({"user": ids, "item": ids}))["item"].to_list() == ids


def test_a_kind_is_kept_and_checked() -> None:
    frame = pl.DataFrame({**GOOD, "weight": [1.0, 2.0], "kind": ["clicks", "orders"]})
    assert check(frame)["kind"].to_list() == ["clicks", "orders"] and check(frame).columns == ["user", "item", "weight", "kind"]
    enum = frame.with_columns(pl.col("kind").cast(pl.Enum(["clicks", "orders"])))
    assert check(enum)["kind"].to_list() == ["clicks", "orders"]
    with pytest.raises(DataError, match=r"column 'kind', row 1 .* is ' '; a kind is not an empty text"):
        check(frame.with_columns(kind=pl.Series(["clicks", " "])))
    with pytest.raises(DataError, match="column 'kind' is Int64; it holds texts"):
        check(frame.with_columns(kind=pl.Series([1, 2])))


def test_events_of_the_future_are_suspicious(caplog: pytest.LogCaptureFixture) -> None:
    stamps = [datetime(2150, 1, 1), datetime(2001, 1, 1)]
    check(pl.DataFrame(GOOD).with_columns(time=pl.Series(stamps)), origin="shop.csv")
    assert caplog.text.count("shop.csv: 1 of 2 events are later than tomorrow, the last at 2150-01-01 00:00:00; check time_unit") == 1
    caplog.clear()
    check(Frame(pl.DataFrame(GOOD).with_columns(time=pl.Series(stamps)), user="user", time="time").events())
    assert caplog.text.count("later than tomorrow") == 1


def test_a_lazy_source_without_events() -> None:
    class Nothing(Source):
        owner = "user"

        def events(self) -> pl.LazyFrame:
            return pl.LazyFrame(GOOD).head(0)

    with pytest.raises(DataError, match=r"^Nothing: there are no events \(0 rows\)"):
        list(Nothing().batches())


def test_a_lazy_source_counts_rows_over_its_chunks() -> None:
    class Long(Source):
        owner = "user"

        def events(self) -> pl.LazyFrame:
            rows = pl.int_range(2_500_000, eager=True)
            return pl.LazyFrame({"user": rows, "item": rows}).with_columns(item=pl.when(pl.col("user") != 2_200_000).then("item"))

    with pytest.raises(DataError, match=r"^Long: column 'item', row 2200000 \(counting from 0\) has no value; drop or fill this row first"):
        list(Long().batches())
    quarantine = Quarantine()
    chunks = list(Long().batches(quarantine))
    assert sum(map(len, chunks)) == 2_499_999 and max(map(len, chunks)) <= 2_000_000
    assert quarantine.frame().select("file", "line", "column").rows() == [("Long", 2_200_000, "item")]
