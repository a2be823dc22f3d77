"""From a table with any column names to the canonical ones."""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from recsys.data.events import listed, suggestion
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.errors import ConfigError, DataError

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


class Mapped(Source):
    """A source whose columns are named by the user: the base of :class:`Table` and :class:`Frame`."""

    item: str
    user: str | None
    session: str | None
    time: str | None
    time_unit: TimeUnit
    order: str | None
    weight: str | None
    min_weight: float | None
    part: str | None

    def _check_knobs(self) -> None:
        """Refuse a mapping that contradicts itself.

        Raises:
            ConfigError: not exactly one owner, time and order together, one column in two roles, a minimum without a weight.
        """
        name = type(self).__name__
        if (self.user is None) == (self.session is None):
            given = "neither" if self.user is None else "both"
            raise ConfigError(f"{name} got {given} of user and session; give exactly one: the column that owns the events")
        if self.time is not None and self.order is not None:
            raise ConfigError(
                f"{name} got time={self.time!r} and order={self.order!r}; give time for real stamps, else order for positions"
            )
        if self.time_unit not in get_args(TimeUnit):
            raise ConfigError(f"{name} got time_unit={self.time_unit!r}; allowed are {', '.join(get_args(TimeUnit))}")
        if self.min_weight is not None and self.weight is None:
            raise ConfigError(f"{name} got min_weight={self.min_weight} without weight; name the column it compares")
        used = list(self.mapping().values())
        twice = {column for column in used if used.count(column) > 1}
        if twice:
            raise ConfigError(f"{name} maps column {min(twice)!r} twice; each column has one role")

    def mapping(self) -> dict[str, str]:
        """Canonical name -> column of the table."""
        roles = ("user", "session", "item", "time", "order", "weight", "part")
        return {role: column for role in roles if (column := getattr(self, role)) is not None}

    @property
    def owner(self) -> OwnerKind:
        return "user" if self.user is not None else "session"

    @property
    def timed(self) -> bool:
        return self.time is not None

    @property
    def ordered(self) -> bool:
        return self.time is not None or self.order is not None

    @property
    def predefined(self) -> bool:
        return self.part is not None

    def canonical(self, table: pl.LazyFrame, origin: str) -> pl.LazyFrame:
        """The mapped columns under their canonical names, with times as Datetime and rows below ``min_weight`` left out.

        Raises:
            DataError: a named column is not in the table, or times cannot be understood.
        """
        schema = table.collect_schema()
        for role, column in self.mapping().items():
            if column not in schema:
                names = schema.names()
                raise DataError(
                    f"{origin}: no column {column!r} (named for {role}) among {listed(names)}"
                    f"{suggestion(column, names) or f'; say which one it is with {role}='}"
                )
        chosen = table.select(pl.col(column).alias(role) for role, column in self.mapping().items())
        if self.time is not None:
            chosen = chosen.with_columns(self._stamp(schema[self.time], origin))
        if self.weight is not None and schema[self.weight].is_numeric():
            if self.min_weight is not None:
                chosen = chosen.filter(pl.col("weight").is_null() | (pl.col("weight") >= self.min_weight))
            chosen = chosen.with_columns(pl.col("weight").cast(pl.Float32))
        return chosen

    def _stamp(self, dtype: pl.DataType, origin: str) -> pl.Expr:
        time = pl.col("time")
        if isinstance(dtype, pl.Date | pl.Datetime):
            return time if getattr(dtype, "time_zone", None) else time.cast(pl.Datetime("us"))
        if dtype == pl.String and self.time_unit == "auto":
            return time.str.to_datetime(time_unit="us", strict=True, time_zone=None)
        if dtype.is_numeric() and self.time_unit != "auto":
            wide = time.cast(pl.Int64) if dtype.is_integer() else time.cast(pl.Float64)
            factor = _MICROSECONDS.get(self.time_unit, 1)
            limit = (2**63 - 1) // factor  # what is beyond stays beyond, instead of coming round
            stamp = wide // 1_000 if self.time_unit == "ns" else (wide.clip(-limit, limit) if dtype.is_integer() else wide) * factor
            return stamp.cast(pl.Int64).cast(pl.Datetime("us"))
        if dtype.is_numeric():
            raise DataError(
                f"{origin}: time column {self.time!r} holds numbers; say their unit with time_unit=s, ms, us or ns (since 1970), "
                "or use order= for positions"
            )
        raise DataError(
            f"{origin}: time column {self.time!r} is {dtype} and time_unit={self.time_unit}; "
            "use dates or ISO texts with auto, numbers with s, ms, us or ns"
        )
