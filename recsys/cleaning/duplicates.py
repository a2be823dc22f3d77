"""Events that repeat others."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import polars as pl

from recsys.cleaning.step import Fit, OwnerStep, check_fit
from recsys.data.blocks import codes, offsets_of
from recsys.data.events import clock_of, owner_of
from recsys.data.kernels import first_of_pair
from recsys.errors import ConfigError

Keep = Literal["first", "last", "sum"]
Same = Literal["pair", "event"]


class Duplicates(OwnerStep):
    """Keep one event of those that are the same. Without this step all are kept.

    Keeping the first is causal. ``last`` and ``sum`` look at later events, so they are fitted on training events alone unless
    ``fit: all`` is said.

    Args:
        keep: ``first`` or ``last`` of them, in the order of time; or ``sum``: the first, with the weights of all added up (an event without
            a weight counts 1).
        same: ``pair``: owner and item are equal; ``event``: owner, item and time (or order) are equal.
        fit: where ``last`` and ``sum`` look (see :mod:`recsys.cleaning.step`); None with ``first``. Default: ``train``.

    Raises:
        ConfigError: an unknown word, or ``fit`` together with ``first``.
    """

    def __init__(self, keep: Keep = "first", *, same: Same = "pair", fit: Fit | None = None) -> None:
        for name, given, allowed in (("keep", keep, get_args(Keep)), ("same", same, get_args(Same))):
            if given not in allowed:
                raise ConfigError(f"Duplicates got {name}={given!r}; allowed are {', '.join(allowed)}")
        if keep == "first" and fit is not None:
            raise ConfigError(f"Duplicates got fit={fit!r} with keep='first', which looks at no later event; leave fit out")
        self.keep, self.same = keep, same
        self.fit = "train" if keep != "first" and fit is None else fit
        if self.fit is not None:
            check_fit(self, self.fit)

    def leaves(self, have: set[str]) -> set[str]:
        return have | {"weight"} if self.keep == "sum" else have

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        owner, clock = owner_of(events.columns), clock_of(events.columns)
        if self.keep == "sum":
            same = [owner, "item", *([clock] if clock and self.same == "event" else [])]
            total = pl.col("weight").sum() if "weight" in events.columns else pl.len()
            events = events.with_columns(weight=total.over(same).cast(pl.Float32))
        if self.same == "event":
            owners, items = events[owner].to_numpy(), events["item"].to_numpy()
            differs = (owners[1:] != owners[:-1]) | (items[1:] != items[:-1])
            if clock:
                times = events[clock].to_physical().to_numpy()
                differs |= times[1:] != times[:-1]  # sorted by owner, time and item: the same events are neighbours
            edge = np.ones(min(1, len(events)), dtype=bool)
            return events.filter(pl.Series(np.concatenate([differs, edge] if self.keep == "last" else [edge, differs])))
        offsets, _ = offsets_of(events[owner])
        item = codes(events["item"])
        keep = first_of_pair(offsets, item, int(item.max(initial=-1)) + 1, last=self.keep == "last")
        return events.filter(pl.Series(keep))
