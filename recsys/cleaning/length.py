"""How many events an owner has."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import polars as pl

from recsys.cleaning.step import Fit, OwnerStep, check_at_least, check_fit
from recsys.data.blocks import offsets_of
from recsys.data.events import owner_of
from recsys.errors import ConfigError

End = Literal["first", "last"]


class MinLength(OwnerStep):
    """Keep owners (sessions or users) with at least ``n`` events.

    Args:
        n: at least 1.
        fit: where it counts; see :mod:`recsys.cleaning.step`.

    Raises:
        ConfigError: a number below 1, or an unknown ``fit``.
    """

    def __init__(self, n: int = 2, *, fit: Fit = "train") -> None:
        check_at_least(self, 1, n=n)
        check_fit(self, fit)
        self.n, self.fit = n, fit

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        offsets, _ = offsets_of(events[owner_of(events.columns)])
        size = np.diff(offsets)
        return events.filter(pl.Series(np.repeat(size >= self.n, size)))


class MaxLength(OwnerStep):
    """Keep at most ``n`` events of each owner.

    Args:
        n: at least 1.
        keep: the ``last`` of them, or the ``first``.
        fit: where it counts; see :mod:`recsys.cleaning.step`.

    Raises:
        ConfigError: a number below 1, or an unknown word.
    """

    def __init__(self, n: int, *, keep: End = "last", fit: Fit = "train") -> None:
        check_at_least(self, 1, n=n)
        if keep not in get_args(End):
            raise ConfigError(f"MaxLength got keep={keep!r}; allowed are 'last' and 'first'")
        check_fit(self, fit)
        self.n, self.keep, self.fit = n, keep, fit

    def needs(self) -> dict[str, str]:
        return {"order": f"it keeps the {self.keep} events of each owner"}

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        offsets, _ = offsets_of(events[owner_of(events.columns)])
        size = np.diff(offsets)
        rank = np.arange(len(events)) - np.repeat(offsets[:-1], size)
        left = np.repeat(size, size) - rank - 1
        return events.filter(pl.Series((left if self.keep == "last" else rank) < self.n))
