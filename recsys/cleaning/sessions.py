"""From users to sessions."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from recsys.cleaning.step import OwnerStep
from recsys.data.moments import duration


class Sessionize(OwnerStep):
    """Cut each user's events into sessions wherever more than ``gap`` passes between two of them.

    From here on a session owns the events; sessions are numbered from 0, in the order of users' ids and of time. Who the user was is
    forgotten.

    Args:
        gap: the longest pause within a session: a number and a unit of w, d, h, m, s (``30m``).

    Raises:
        ConfigError: not a duration.
    """

    def __init__(self, gap: str = "30m") -> None:
        self.gap = gap
        self._pause()

    def _pause(self) -> timedelta:
        return duration("Sessionize", "gap", self.gap)

    def needs(self) -> dict[str, str]:
        return {"user": "it cuts the events of users into sessions", "time": "it looks for pauses"}

    def leaves(self, have: set[str]) -> set[str]:
        return (have - {"user"}) | {"session"}

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        """In the column ``session`` instead of ``user``: numbers from 0 within these events."""
        begins = (pl.col("user") != pl.col("user").shift(1)) | (pl.col("time") - pl.col("time").shift(1) > self._pause())
        session = (begins.fill_null(True).cum_sum() - 1).cast(pl.UInt32).alias("session")
        return events.select(session, *(name for name in events.columns if name != "user"))
