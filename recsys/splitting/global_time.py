"""A cut in time for everybody."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import polars as pl

from recsys.data.events import PARTS, owner_of
from recsys.errors import ConfigError, DataError
from recsys.splitting.splitter import Splitter

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
Cut = datetime | timedelta | float


class GlobalTime(Splitter):
    """Whatever happens from one moment on is test, the stretch before it validation: no training event is later than a validation event, no
    validation event later than a test event, whoever they belong to.

    Sessions are not cut: a session goes where its last event goes.

    A moment is given as a date or time (``"2026-01-01"``, ``"2026-01-01T12:00"``), as a duration before the end (``"7d"``; units w, d, h,
    m, s), or as a share of events (``0.1``: the latest tenth, and whatever has the same stamp as the first of it). Validation counts back
    from the test cut: its duration or share is of the events before that.

    Args:
        test: where test begins.
        validation: where validation begins, before test.

    Raises:
        ConfigError: neither a date, a duration nor a share between 0 and 1.
    """

    def __init__(self, *, test: str | float = 0.1, validation: str | float = 0.1) -> None:
        self.test, self.validation = test, validation
        for name, given in (("test", test), ("validation", validation)):
            _parse(name, given)

    def needs(self) -> dict[str, str]:
        return {"time": "it cuts at a moment in time"}

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        owner = owner_of(events.columns)
        time = events["time"] if owner == "user" else events.select(pl.col("time").max().over("session"))["time"]
        first = _moment("test", self.test, time)
        before = time.filter(time < first)
        if not len(before):
            raise DataError(
                f"GlobalTime: no event is earlier than the test cut at {first}; the events run from {time.min()!s} to {time.max()!s}: "
                f"choose test={self.test!r} later"
            )
        second = _moment("validation", self.validation, before)
        if second > first:
            raise DataError(
                f"GlobalTime: validation={self.validation!r} begins at {second}, after the test cut at {first}; choose it earlier"
            )
        train, valid, test = (pl.lit(part, PARTS) for part in ("train", "valid", "test"))
        when = pl.when(pl.col("time") >= first).then(test).when(pl.col("time") >= second).then(valid).otherwise(train)
        return time.to_frame("time").select(when.alias("part"))["part"]


def _parse(name: str, given: str | float) -> Cut:
    if isinstance(given, int | float) and 0 < given < 1:
        return float(given)
    duration = re.fullmatch(r"(\d+)([wdhms])", str(given))
    if duration:
        try:
            return timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        except OverflowError:
            raise ConfigError(f"GlobalTime got {name}={given!r}; no log is that long, give a shorter duration") from None
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        raise ConfigError(
            f"GlobalTime got {name}={given!r}; give a date ('2026-01-01'), a duration ('7d') or a share between 0 and 1"
        ) from None
    if moment.tzinfo is not None:
        raise ConfigError(f"GlobalTime got {name}={given!r} with a time zone; times are in UTC, give the moment in UTC without a zone")
    return moment


def _moment(name: str, given: str | float, time: pl.Series) -> datetime:
    """The first moment that belongs to the later part, for ``time`` [E]."""
    cut = _parse(name, given)
    if isinstance(cut, datetime):
        return cut
    if isinstance(cut, timedelta):
        last = time.max()
        assert isinstance(last, datetime)
        return last - cut + timedelta(microseconds=1)
    at = time.sort()
    found = at[min(len(at) - 1, round(len(at) * (1 - cut)))]
    assert isinstance(found, datetime)
    return found
