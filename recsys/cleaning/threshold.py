"""A smallest rating."""

from __future__ import annotations

import math

import polars as pl

from recsys.cleaning.step import OwnerStep
from recsys.errors import ConfigError


class Threshold(OwnerStep):
    """Keep events whose weight (a rating, a play count) is at least ``weight``.

    Args:
        weight: the smallest that stays.
        forget: afterwards all events count alike (implicit feedback): the weights are dropped. Otherwise they stay as they are.

    Raises:
        ConfigError: not a finite number.
    """

    def __init__(self, weight: float, *, forget: bool = True) -> None:
        if not math.isfinite(weight):
            raise ConfigError(f"Threshold got weight={weight}; it is a finite number")
        self.weight, self.forget = weight, forget

    def needs(self) -> dict[str, str]:
        return {"weight": "it keeps events of at least some weight"}

    def leaves(self, have: set[str]) -> set[str]:
        return have - {"weight"} if self.forget else have

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        kept = events.filter(pl.col("weight") >= self.weight)
        return kept.drop("weight") if self.forget else kept
