"""The same item again and again."""

from __future__ import annotations

import polars as pl

from recsys.cleaning.step import OwnerStep
from recsys.data.events import owner_of


class ConsecutiveRepeats(OwnerStep):
    """Of events of one owner that follow each other with the same item (a page loaded again), keep the first."""

    def needs(self) -> dict[str, str]:
        return {"order": "it compares each event with the one before it"}

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in (owner_of(events.columns), "item"))
        return events.filter(~same.fill_null(False))
