"""The events schema and its one check.

Events are rows of a :class:`polars.LazyFrame` with these columns and no others that matter:

========================  ==========================  ==============================================================
``user`` or ``session``   Int64 or String             exactly one of the two: the owner of the event
``item``                  Int64 or String
``time``                  Datetime("us"), optional    a real time stamp (UTC when the data says nothing else)
``order``                 Int64, optional             a position inside the owner, for data without a clock; not with ``time``
``weight``                Float32, optional           how much the event counts, >= 0
``part``                  String, optional            "train", "valid" or "test": a split that came with the data
========================  ==========================  ==============================================================
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import get_args

import polars as pl

from recsys.data.log import OwnerKind
from recsys.errors import DataError

log = logging.getLogger(__name__)

PARTS = pl.Enum(["train", "valid", "test"])
COLUMNS = ("user", "session", "item", "time", "order", "weight", "part")
_IDS = ("user", "session", "item")
_EARLIEST, _LATEST = pl.datetime(1970, 1, 1), pl.datetime(2200, 1, 1)
_ADVICE = {  # part of a message of the reader -> what to do
    "found more fields": "a line has more columns than the header: mend the line, or name the right separator=",
    "could not parse": "the first rows of the column look like numbers and a later one does not: mend that row, or save the table as "
    "Parquet with the column as text",
    "utf-8": "the text is not UTF-8: convert it, for instance with iconv -f latin1 -t utf-8",
    "appropriate format to parse dates": "times that are texts are written like 2026-01-31 or 2026-01-31T12:00:00",
    "`datetime[": "times that are texts are written like 2026-01-31 or 2026-01-31T12:00:00, all of them alike",
    "in column 'time'": "times are finite numbers in time_unit=s, ms, us or ns since 1970",
}


def suggestion(name: str, among: list[str]) -> str:
    """``" (did you mean 'x'?)"`` when a close name exists, else an empty string."""
    close = difflib.get_close_matches(name.lower(), [a.lower() for a in among], n=1, cutoff=0.6)
    return f" (did you mean {next(a for a in among if a.lower() == close[0])!r}?)" if close else ""


def listed(names: Sequence[str]) -> str:
    """Names of columns for a message: at most twelve, long or unprintable ones cut."""
    shown = [repr(name if len(name) <= 40 else name[:37] + "...") for name in names[:12]]
    return ", ".join(shown) + (f", ... ({len(names)} columns)" if len(names) > 12 else "")


def owner_of(columns: list[str]) -> OwnerKind:
    """Which of ``user`` and ``session`` owns the events.

    Raises:
        DataError: none of the two, or both.
    """
    kinds: tuple[OwnerKind, ...] = get_args(OwnerKind)
    found = [kind for kind in kinds if kind in columns]
    if len(found) != 1:
        given = "both 'user' and 'session'" if found else f"neither 'user' nor 'session' among {listed(columns)}"
        raise DataError(f"events need exactly one owner column, 'user' or 'session'; found {given}: map one of them")
    return found[0]


def clock_of(columns: list[str]) -> str | None:
    """The column that orders an owner's events: ``"time"``, ``"order"`` or None."""
    return next((name for name in ("time", "order") if name in columns), None)


def check(events: pl.LazyFrame | pl.DataFrame, *, origin: str = "events") -> pl.DataFrame:
    """Read the events and check them: the one door through which data enters.

    Args:
        events: canonical columns as in the table above; other columns are left behind.
        origin: where the events come from, for messages.

    Returns:
        The canonical columns with ids as Int64 or String, ``time`` as Datetime("us"), ``weight`` as Float32, ``part`` as Enum.

    Raises:
        DataError: a missing column, a wrong type, a missing or empty id, an impossible time or weight, no rows.
    """
    lazy = events.lazy()
    try:
        schema = lazy.collect_schema()
        _check_schema(schema, origin)
        chosen = [name for name in COLUMNS if name in schema]
        frame = lazy.select(chosen).collect(engine="streaming")
    except pl.exceptions.NoDataError:
        raise DataError(f"{origin}: the file is empty; give a file with a header and at least one event") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{origin}: cannot be read as events: {reason(error)}") from None
    if not len(frame):
        raise DataError(f"{origin}: there are no events (0 rows); check the file and any filter such as min_weight")
    for name in chosen:
        _check_values(frame[name], origin)
    frame = _cast(frame, origin)
    if "time" in frame.columns and frame.select((pl.col("time") < pl.datetime(1971, 1, 1)).all()).item():
        first, last = frame["time"].min(), frame["time"].max()
        log.warning("%s: times run from %s to %s, as when numbers are read in too small a unit; check time_unit", origin, first, last)
    return frame


def _check_schema(schema: pl.Schema, origin: str) -> None:
    names = schema.names()
    try:
        owner = owner_of(names)
    except DataError as error:
        raise DataError(f"{origin}: {error}") from None
    if "item" not in names:
        there = f"{listed(names)}{suggestion('item', names)}"
        raise DataError(f"{origin}: no column 'item' among {there}: map the column that holds the item id")
    if "time" in names and "order" in names:
        raise DataError(f"{origin}: both 'time' and 'order' are given; keep 'time' if the stamps are real, else 'order'")
    for name in (owner, "item"):
        dtype = schema[name]
        if dtype.is_float():
            raise DataError(
                f"{origin}: column {name!r} is {dtype}; ids through floats change silently above 2^24 (Float32) or 2^53 (Float64): "
                "read them as integers or strings"
            )
        if not (dtype.is_integer() or dtype in (pl.String, pl.Categorical, pl.Enum)):
            raise DataError(f"{origin}: column {name!r} is {dtype}; ids are integers or strings: cast the column")
    if "time" in names and not isinstance(schema["time"], pl.Datetime | pl.Date):
        raise DataError(
            f"{origin}: column 'time' is {schema['time']}, not a date or time; say its unit (time_unit='s', 'ms' or 'us'), "
            "or use order= for positions"
        )
    if "order" in names and not schema["order"].is_integer():
        raise DataError(f"{origin}: column 'order' is {schema['order']}; positions are integers: cast the column")
    if "weight" in names and not schema["weight"].is_numeric():
        raise DataError(f"{origin}: column 'weight' is {schema['weight']}; weights are numbers: cast the column")
    if "part" in names and schema["part"] not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(f"{origin}: column 'part' is {schema['part']}; it holds 'train', 'valid' or 'test'")


def _check_values(column: pl.Series, origin: str) -> None:
    name = column.name
    if missing := column.null_count():
        others = "; drop or fill this row first" if missing == 1 else f", as in {missing:,} rows; drop or fill them first"
        raise DataError(f"{origin}: {_where(column.is_null(), name)} has no value{others}")
    bad: pl.Series | None = None
    allowed = ""
    if name in _IDS and not column.dtype.is_integer():
        bad, allowed = column.cast(pl.String).str.strip_chars() == "", "an id is not an empty text"
    elif name == "time":
        frame = column.to_frame()
        bad = frame.select(
            (pl.col(name).dt.replace_time_zone(None) if getattr(column.dtype, "time_zone", None) else pl.col(name))
            .is_between(_EARLIEST, _LATEST)
            .not_()
        ).to_series()
        allowed = "times lie between 1970 and 2200: check time_unit"
    elif name == "weight":
        bad, allowed = ~(column.cast(pl.Float64).is_finite() & (column >= 0)), "weights are finite and >= 0"
    elif name == "part":
        bad, allowed = ~column.cast(pl.String).is_in(PARTS.categories.to_list()), "parts are 'train', 'valid' and 'test'"
    if bad is not None and bad.any():
        first = int(bad.arg_max() or 0)
        shown = _moment(column, first) if name == "time" else repr(column[first])
        others = "" if bad.sum() == 1 else f", as in {int(bad.sum()):,} rows"
        raise DataError(f"{origin}: {_where(bad, name)} is {shown}{others}; {allowed}")


def _cast(frame: pl.DataFrame, origin: str) -> pl.DataFrame:
    schema = frame.schema
    into: dict[str, pl.DataType | type[pl.DataType]] = {
        name: (pl.Int64 if schema[name].is_integer() else pl.String) for name in _IDS if name in schema
    }
    into |= {"time": pl.Datetime("us"), "order": pl.Int64, "weight": pl.Float32, "part": PARTS}
    zone = getattr(schema.get("time"), "time_zone", None)
    if zone:
        frame = frame.with_columns(pl.col("time").dt.convert_time_zone("UTC").dt.replace_time_zone(None))
    try:
        return frame.cast({name: dtype for name, dtype in into.items() if name in schema})
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{origin}: ids or positions do not fit 64-bit integers: {reason(error)}") from None


def _where(bad: pl.Series, name: str) -> str:
    return f"column {name!r}, row {int(bad.arg_max() or 0)} (counting from 0)"


def _moment(times: pl.Series, row: int) -> str:
    """A time for a message; Python has no dates before year 1 or after 9999."""
    microseconds = int(times.slice(row, 1).dt.timestamp("us").item())
    year = 1970 + microseconds // 31_556_952_000_000
    return str(datetime(1970, 1, 1) + timedelta(microseconds=microseconds)) if 1 < year < 9999 else f"in the year {year}"


def reason(error: Exception) -> str:
    """The first line of what the reader says, and what to do about it where that is known."""
    text = str(error).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    advice = next((advice for part, advice in _ADVICE.items() if part in text), "")
    return f"{first if len(first) <= 200 else first[:197] + '...'}{'; ' if advice else ''}{advice}"
