"""A window in time."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from recsys.cleaning.step import OwnerStep
from recsys.data.moments import date
from recsys.errors import ConfigError


class TimeWindow(OwnerStep):
    """Keep events from ``start`` on and before ``end``.

    Sessions may be cut; :class:`recsys.cleaning.MinLength` drops what becomes too short.

    Args:
        start: date or time in UTC (``2026-01-01`` or ``2026-01-01T12:00``), included; None: from the beginning.
        end: the first moment that is left out; None: to the end.

    Raises:
        ConfigError: no date, a time zone, neither bound, or an end that is not after the start.
    """

    def __init__(self, *, start: str | None = None, end: str | None = None) -> None:
        self.start, self.end = start, end
        first, last = self._moment("start"), self._moment("end")
        if first is None and last is None:
            raise ConfigError("TimeWindow got neither start nor end; give one of them, such as start: 2026-01-01")
        if first is not None and last is not None and first >= last:
            raise ConfigError(f"TimeWindow got start={start} and end={end}; the end is after the start")

    def _moment(self, name: str) -> datetime | None:
        given = getattr(self, name)
        return None if given is None else date("TimeWindow", name, given)

    def needs(self) -> dict[str, str]:
        return {"time": "it keeps a stretch of time"}

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        first, last = self._moment("start"), self._moment("end")
        if first is not None:
            events = events.filter(pl.col("time") >= first)
        return events if last is None else events.filter(pl.col("time") < last)
