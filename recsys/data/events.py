"""The events schema and its one check.

Events are rows of a :class:`polars.LazyFrame` with these columns and no others that matter:

========================  ==========================  ==============================================================
``user`` or ``session``   Int64 or String             exactly one of the two: the owner of the event
``item``                  Int64 or String
``time``                  Datetime("us"), optional    a real time stamp (UTC when the data says nothing else)
``order``                 Int64, optional             a position inside the owner, for data without a clock; not with ``time``
``weight``                Float32, optional           how much the event counts, >= 0
``kind``                  String, optional            what the event was: "clicks", "carts", ... (may stay an Enum or Categorical)
``part``                  String, optional            "train", "valid" or "test": a split that came with the data
========================  ==========================  ==============================================================
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast, get_args

import polars as pl

from recsys.data.log import OwnerKind
from recsys.errors import DataError

log = logging.getLogger(__name__)

PARTS = pl.Enum(["train", "valid", "test"])
COLUMNS = ("user", "session", "item", "time", "order", "weight", "kind", "part")
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
        check_schema(schema, origin)
        chosen = [name for name in COLUMNS if name in schema]
        frame = lazy.select(chosen).collect(engine="streaming")
    except pl.exceptions.NoDataError:
        raise DataError(f"{origin}: the file is empty; give a file with a header and at least one event") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{origin}: cannot be read as events: {reason(error)}") from None
    if not len(frame):
        raise DataError(no_events(origin))
    for fault in faults(frame):
        raise DataError(f"{origin}: {fault.text(fault.first)}")
    frame = cast_events(frame, origin)
    times = Times()
    times.see(frame)
    times.warn(origin)
    return frame


def no_events(origin: str) -> str:
    return f"{origin}: there are no events (0 rows); check the file"


def check_schema(schema: pl.Schema, origin: str) -> None:
    """Raises DataError if the canonical columns are not there, or have types that cannot be right."""
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
    if "kind" in names and schema["kind"] not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(f"{origin}: column 'kind' is {schema['kind']}; it holds texts such as 'clicks': cast the column")
    if "part" in names and schema["part"] not in (pl.String, pl.Categorical, pl.Enum):
        raise DataError(f"{origin}: column 'part' is {schema['part']}; it holds 'train', 'valid' or 'test'")


@dataclass(frozen=True)
class Fault:
    """Rows of a frame of events whose value in one column cannot be used."""

    column: str
    bad: pl.Series  # bool [rows]
    values: pl.Series | None  # what stands there; None: nothing does
    why: str  # what is allowed, or what to do

    @property
    def first(self) -> int:
        return int(self.bad.arg_max() or 0)

    def value(self, row: int) -> str | None:
        """The value in words."""
        if self.values is None:
            return None
        return _moment(self.values, row) if self.values.dtype.is_temporal() else repr(self.values[row])

    def text(self, row: int) -> str:
        """A message about one row."""
        count = int(self.bad.sum())
        where = f"column {self.column!r}, row {row} (counting from 0)"
        if self.values is None:
            return f"{where} has no value" + ("; drop or fill this row first" if count == 1 else f", as in {count:,} rows; {self.why}")
        return f"{where} is {self.value(row)}{'' if count == 1 else f', as in {count:,} rows'}; {self.why}"


NO_VALUE = "drop or fill them first"


def faults(frame: pl.DataFrame) -> Iterator[Fault]:
    """The columns with values that cannot be used, by the rules of the schema; columns and rows in order."""
    for column in frame.iter_columns():
        if column.null_count():
            yield Fault(column.name, column.is_null(), None, NO_VALUE)
        bad, allowed = _outside(column)
        if bad is not None and bad.any():
            yield Fault(column.name, bad.fill_null(False), column, allowed)


def _outside(column: pl.Series) -> tuple[pl.Series | None, str]:
    """Which values are outside what the schema allows (null for null), and what it allows."""
    name = column.name
    if name == "kind" or (name in _IDS and not column.dtype.is_integer()):
        return column.cast(pl.String).str.strip_chars() == "", f"{'a kind' if name == 'kind' else 'an id'} is not an empty text"
    if name == "time":
        frame = column.to_frame()
        plain = pl.col(name).dt.replace_time_zone(None) if getattr(column.dtype, "time_zone", None) else pl.col(name)
        outside = frame.select(plain.is_between(_EARLIEST, _LATEST).not_()).to_series()
        return outside, "times lie between 1970 and 2200: check time_unit"
    if name == "weight":
        return ~(column.cast(pl.Float64).is_finite() & (column >= 0)), "weights are finite and >= 0"
    if name == "part":
        return ~column.cast(pl.String).is_in(PARTS.categories.to_list()), "parts are 'train', 'valid' and 'test'"
    return None, ""


class Times:
    """The times of a log, seen piece by piece, and a warning where their unit is probably not the one that was said."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.future = 0
        self.count = 0
        self._limit = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)

    def see(self, frame: pl.DataFrame) -> None:
        """Count canonical events."""
        if "time" not in frame.columns or not len(frame):
            return
        time = frame["time"]
        first, last = cast(datetime, time.min()), cast(datetime, time.max())
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)
        self.count += len(time)
        if last > self._limit:
            self.future += int((time > self._limit).sum())

    def warn(self, origin: str) -> None:
        """Warn of a log that ends before 1971, or has events later than tomorrow."""
        if self.last is not None and self.last < datetime(1971, 1, 1):
            words = "%s: times run from %s to %s, as when numbers are read in too small a unit; check time_unit"
            log.warning(words, origin, self.first, self.last)
        if self.future:
            words = "%s: %s of %s events are later than tomorrow, the last at %s; check time_unit"
            log.warning(words, origin, f"{self.future:,}", f"{self.count:,}", self.last)


def cast_events(frame: pl.DataFrame, origin: str) -> pl.DataFrame:
    """Checked events with the types of the schema; times with a zone become UTC.

    Raises:
        DataError: an integer does not fit 64 bits.
    """
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
