"""Which type each mapped column has, decided once from the first rows, and the way from raw rows to canonical ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl

from recsys.data.events import NO_VALUE, PARTS, Fault, check_schema, faults
from recsys.errors import DataError

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
IdType = Literal["auto", "integer", "text"]
IDS = ("user", "session", "item")
SAMPLE = 10_000  # rows of a file that say what its columns hold
NUMBER_UNITS = "s, ms, us or ns"
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_NOTHING = ("NaN", "nan", "NAN", "null", "NULL", "Null", "None", "<NA>", "NaT")
_DAY = ("%Y-%m-%d", "%Y/%m/%d")
_CLOCK = ("%H:%M:%S", "%H:%M:%S%.f", "%H:%M")
_FORMS = (
    *_DAY,
    *(f"{day}{gap}{clock}{zone}" for zone in ("", "%#z", " UTC") for day in _DAY for gap in ("T", " ") for clock in _CLOCK),
)
_ISO = "times that are texts are written like 2026-01-31 or 2026-01-31T12:00:00, all of them alike"
_KEEPS = "ids through floats change silently"


@dataclass(frozen=True)
class Head:
    """The first rows of a file under the canonical names. ``text``: every column is text whatever it holds, as in CSV."""

    origin: str
    frame: pl.DataFrame
    text: bool = False


@dataclass(frozen=True)
class Plan:
    """How raw columns become canonical ones.

    Attributes:
        names: canonical name -> column of the file.
        raw: types to ask of a parser, by canonical name.
        want: types after conversion; without ``time``.
        why: what a value must be, by canonical name.
        time_unit: of numbers in ``time``.
        form: how times that are texts are written; None where they are none.
        literal: whether text ids such as ``NaN`` are ids.
        text: whether the files are text with a header.
        schema: of the events.
    """

    names: Mapping[str, str]
    raw: Mapping[str, pl.DataType]
    want: Mapping[str, pl.DataType]
    why: Mapping[str, str]
    time_unit: TimeUnit = "auto"
    form: str | None = None
    literal: bool = False
    text: bool = False
    schema: pl.Schema = field(default_factory=pl.Schema)

    @staticmethod
    def of(names: Mapping[str, str], heads: list[Head], *, ids: IdType, time_unit: TimeUnit, advice: str = "cast the column") -> Plan:
        """The plan for files with these first rows.

        Args:
            names: canonical name -> column.
            heads: of each file.
            ids: whether ids are integers or texts; ``auto``: as the first rows say.
            time_unit: of numbers in the time column.
            advice: what to do about ids that are not alike.

        Raises:
            DataError: a column holds what its role does not allow.
        """
        raw: dict[str, pl.DataType] = {}
        heads = [head for head in heads if len(head.frame) or not head.text] or heads  # a header alone says nothing of types
        for head in heads:
            found = {role: _type(role, head.frame[role], head.text, ids, time_unit) for role in names}
            check_schema(pl.Schema({**found, **({"time": pl.Datetime("us")} if "time" in found else {})}), head.origin)
            if "time" in found:
                _check_time(found["time"], time_unit, names["time"], head.origin)
            for role, dtype in found.items():
                raw[role] = _joined(role, raw.get(role, dtype), dtype, head, heads[0].origin, names, advice)
        want: dict[str, pl.DataType] = {}
        why: dict[str, str] = {}
        for role in names:
            text = role in IDS and (ids == "text" or (ids == "auto" and not raw[role].is_integer()))
            want[role] = {"order": pl.Int64(), "weight": pl.Float64(), "part": PARTS, "kind": pl.String()}.get(
                role, pl.String() if text else pl.Int64()
            )
            why[role] = _why(role, text, raw[role], time_unit, advice)
        if "kind" in raw and all(head.frame["kind"].dtype == raw["kind"] for head in heads):
            want["kind"] = raw["kind"]  # an Enum or Categorical stays one if all files have it
        form = _form(heads, names["time"]) if raw.get("time") == pl.String else None
        final = {**want, "time": pl.Datetime("us"), "weight": pl.Float32()}
        schema = pl.Schema({role: final[role] for role in names})
        return Plan(names, raw, want, why, time_unit, form, ids == "text", any(head.text for head in heads), schema)

    def settle(self, raw: pl.DataFrame, text: pl.DataFrame | None) -> tuple[pl.DataFrame, list[Fault]]:
        """Rows with final types (``weight`` still Float64), and what is wrong with them.

        Args:
            raw: canonical names, types of the file; null where a parser could not read a value.
            text: the same values as texts, if some could not be read.
        """
        given = raw.schema
        frame = raw.select(
            self._stamp(given[role]) if role == "time" else pl.col(role).cast(self.want[role], strict=False) for role in raw.columns
        )
        found: list[Fault] = []
        for role in frame.columns:
            source = raw[role] if text is None else text[role]
            if frame[role].null_count():
                lost = frame[role].is_null() & source.is_not_null()
                if lost.any():
                    found.append(Fault(role, lost, source, self.why[role]))
                if source.null_count():
                    found.append(Fault(role, source.is_null(), None, NO_VALUE))
            if role in IDS and frame[role].dtype == pl.String:
                found.extend(self._nothing(frame[role]))
        outside = [fault for fault in faults(frame) if fault.values is not None]
        return frame, found + outside

    def _nothing(self, ids: pl.Series) -> list[Fault]:
        """Texts that are no ids."""
        zero = ids.str.contains("\0", literal=True).fill_null(False)
        found = [Fault(ids.name, zero, ids, "an id holds no zero byte")] if zero.any() else []
        if not self.literal and (bad := ids.is_in(_NOTHING).fill_null(False)).any():
            found.append(Fault(ids.name, bad, ids, "that stands for no id: drop the row (or say ids='text' if it is one)"))
        return found

    def _stamp(self, dtype: pl.DataType) -> pl.Expr:
        time = pl.col("time")
        if dtype == pl.String and self.form is not None:
            stamp = time.str.to_datetime(self.form, time_unit="us", strict=False)
            return stamp.dt.replace_time_zone(None) if "%#z" in self.form else stamp
        if isinstance(dtype, pl.Date | pl.Datetime):
            if getattr(dtype, "time_zone", None):
                time = time.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            return time.cast(pl.Datetime("us"), strict=False)
        wide = time.cast(pl.Int64, strict=False) if dtype.is_integer() else time.cast(pl.Float64)
        factor = _MICROSECONDS.get(self.time_unit, 1)
        limit = (2**63 - 1) // factor  # what is beyond stays beyond, instead of coming round
        stamp = wide // 1_000 if self.time_unit == "ns" else (wide.clip(-limit, limit) if dtype.is_integer() else wide) * factor
        return stamp.cast(pl.Int64, strict=False).cast(pl.Datetime("us"))


def _counts(values: pl.Series) -> tuple[int, int, int]:
    """How many texts are integers, how many other numbers, how many anything else; missing ones are not counted."""
    values = values.drop_nulls()
    values = values.filter(~values.is_in(_NOTHING) & (values.str.strip_chars() != ""))
    whole = values.str.contains(r"^-?(0|[1-9][0-9]*)$")
    number = values.str.contains(r"^[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?$|^[-+]?[0-9]+\.$") & ~whole
    return int(whole.sum()), int(number.sum()), len(values) - int(whole.sum()) - int(number.sum())


def _type(role: str, values: pl.Series, text: bool, ids: IdType, time_unit: TimeUnit) -> pl.DataType:
    """What a column holds."""
    dtype = values.dtype
    if role in IDS and text:
        if ids == "auto":
            whole, other, rest = _counts(values)
            dotted = int(values.drop_nulls().str.contains(r"^[-+]?[0-9]+\.[0-9]*$").sum())
            floats = dotted == other and not rest and other
            return pl.Float64() if floats and other > whole else pl.Int64() if whole and not rest and dotted == other else pl.String()
        return pl.String() if ids == "text" else pl.Int64()
    if not text or role in ("part", "kind"):
        return dtype
    whole, other, rest = _counts(values)
    if role == "time" and not whole + other + rest:
        return pl.String() if time_unit == "auto" else pl.Int64()
    if whole + other < rest:
        return pl.String()
    if role == "weight" or (other > whole if role == "order" else other):
        return pl.Float64()
    return pl.Int64()


def _check_time(dtype: pl.DataType, unit: TimeUnit, name: str, origin: str) -> None:
    if dtype.is_numeric() and unit == "auto":
        raise DataError(
            f"{origin}: time column {name!r} holds numbers; say their unit with time_unit={NUMBER_UNITS} (since 1970), "
            "or use order= for positions"
        )
    fits = dtype.is_numeric() if unit != "auto" else dtype == pl.String
    if not fits and not isinstance(dtype, pl.Date | pl.Datetime):
        raise DataError(
            f"{origin}: time column {name!r} is {dtype} and time_unit={unit}; use dates or ISO texts with auto, numbers with {NUMBER_UNITS}"
        )


def _joined(role: str, had: pl.DataType, dtype: pl.DataType, head: Head, first: str, names: Mapping[str, str], advice: str) -> pl.DataType:
    """The type of a column over files."""
    if had == dtype or role not in ("time", *IDS):
        return had
    if role in IDS and had.is_integer() and dtype.is_integer():
        return had
    if role in IDS and not had.is_integer() and not dtype.is_integer():
        return had
    if role in IDS and head.text:
        return pl.String()
    if role == "time" and had.is_numeric() and dtype.is_numeric():
        return pl.Float64()
    if role == "time" and had.is_temporal() and dtype.is_temporal():
        return had
    raise DataError(f"{head.origin}: column {names[role]!r} is {dtype}, and {had} in {first}; make them alike, or {advice}")


def _why(role: str, text: bool, raw: pl.DataType, unit: TimeUnit, advice: str) -> str:
    if role in IDS:
        return "an id is a text" if text else f"ids are 64-bit integers, as the first rows are: mend the row, or {advice}"
    if role == "time":
        return _ISO if raw == pl.String else f"times are finite numbers in time_unit={unit} since 1970: mend the row"
    return {
        "order": "positions are 64-bit integers: mend the row",
        "weight": "weights are finite numbers >= 0: mend the row",
        "part": "parts are 'train', 'valid' and 'test'",
    }.get(role, "a kind is a text")


def _form(heads: list[Head], name: str) -> str:
    """How times that are texts are written: the way that reads most of the first rows, the same in all files."""
    values = pl.concat([head.frame["time"].cast(pl.String) for head in heads]).drop_nulls()
    most, best = 0, ""
    for form in _FORMS:
        read = values.len() - values.str.to_datetime(form, time_unit="us", strict=False).null_count()
        if read > most:
            most, best = read, form
        if most == values.len():
            break
    if not best and values.len():
        raise DataError(f"{heads[0].origin}: time column {name!r} holds {values[0]!r}, which cannot be read as a time; {_ISO}")
    return best or _FORMS[0]


def number_type(values: list[object]) -> pl.Series:
    """Values of a JSON column as a series: integers, floats or texts, whichever most are; the others are null."""
    whole = [value if type(value) is int and abs(value) < 2**63 else None for value in values]
    floats = [value if type(value) is float else None for value in values]
    texts = [value if type(value) is str else None for value in values]
    counts = [len(kind) - kind.count(None) for kind in (whole, floats, texts)]
    if np.argmax(counts) == 2:
        return pl.Series(texts, dtype=pl.String)
    return pl.Series(whole if np.argmax(counts) == 0 else floats, dtype=pl.Int64 if np.argmax(counts) == 0 else pl.Float64)
