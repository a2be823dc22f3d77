"""Moments in time, as options give them: a date, a duration before the end, or a share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from recsys.data.kernels import Ints
from recsys.errors import ConfigError, DataError

_DURATION = r"(\d+)([wdhms])"
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
Cut = datetime | timedelta | float
_EPOCH = datetime(1970, 1, 1)


def parse(who: str, name: str, given: str | float) -> Cut:
    """What an option says.

    Raises:
        ConfigError: neither a date, a duration nor a share between 0 and 1.
    """
    if isinstance(given, int | float) and 0 < given < 1:
        return float(given)
    if re.fullmatch(_DURATION, str(given)):
        return duration(who, name, str(given))
    return date(who, name, given, "give a date ('2026-01-01'), a duration ('7d') or a share between 0 and 1")


def duration(who: str, name: str, given: str) -> timedelta:
    """A number and a unit of w, d, h, m, s.

    Raises:
        ConfigError: anything else, or longer than any log.
    """
    found = re.fullmatch(_DURATION, given)
    if not found:
        raise ConfigError(f"{who} got {name}={given!r}; give a number and a unit of w, d, h, m, s, such as '30m'")
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise ConfigError(f"{who} got {name}={given!r}; no log is that long, give a shorter duration") from None


def date(
    who: str, name: str, given: str | float, advice: str = "give a date or time such as '2026-01-01' or '2026-01-01T12:00'"
) -> datetime:
    """A date or time in UTC.

    Raises:
        ConfigError: anything else, or one with a time zone.
    """
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        raise ConfigError(f"{who} got {name}={given!r}; {advice}") from None
    if moment.tzinfo is not None:
        raise ConfigError(f"{who} got {name}={given!r} with a time zone; times are in UTC, give the moment in UTC without a zone")
    return moment


def first_of(cut: Cut, time: Ints) -> int:
    """The first moment of the later part, in microseconds since 1970, for ``time`` int64 [E]; it is written to (its order changes)."""
    if isinstance(cut, datetime):
        return (cut - _EPOCH) // timedelta(microseconds=1)
    if isinstance(cut, timedelta):
        return int(time.max()) - cut // timedelta(microseconds=1) + 1
    at = min(len(time) - 1, round(len(time) * (1 - cut)))
    time.partition(at)
    return int(time[at])


def shown(moment: int) -> str:
    """A moment for messages."""
    return str(datetime.fromtimestamp(0, UTC).replace(tzinfo=None) + timedelta(microseconds=int(moment)))


def cuts(who: str, test: str | float, validation: str | float, time: Ints) -> tuple[int, int]:
    """The first moment of test and that of validation, for the times of all that is split, int64 [E] (written to).

    Raises:
        DataError: nothing is before the test cut, or the validation cut is after it.
    """
    first, last = int(time.min()), int(time.max())
    late = first_of(parse(who, "test", test), time)
    before = time[time < late]
    if not len(before):
        raise DataError(
            f"{who}: no event is earlier than the test cut at {shown(late)}; the events run from {shown(first)} to {shown(last)}: "
            f"choose test={test!r} later"
        )
    early = first_of(parse(who, "validation", validation), before)
    if early > late:
        raise DataError(
            f"{who}: validation={validation!r} begins at {shown(early)}, after the test cut at {shown(late)}; choose it earlier"
        )
    return late, early


def labels(time: Ints, late: int, early: int) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """0 before ``early``, 2 from ``late`` on, 1 between."""
    return ((time >= early).astype(np.int8) + (time >= late)).astype(np.int8)
