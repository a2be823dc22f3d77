"""From a table with any column names to the canonical ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import get_args

import polars as pl

from recsys.cleaning.step import Step
from recsys.cleaning.threshold import Threshold
from recsys.data.log import OwnerKind
from recsys.data.reading.deliver import Chunk, deliver
from recsys.data.reading.plan import Head, IdType, Plan, TimeUnit
from recsys.data.reading.quarantine import Quarantine
from recsys.data.source import OnError, Source, streamed
from recsys.errors import ConfigError

__all__ = ["IdType", "Mapped", "OnError", "TimeUnit"]
log = logging.getLogger(__name__)


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
    kind: str | None
    part: str | None
    ids: IdType = "auto"
    _advice = "cast the column"  # about ids that are not alike

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
        for knob, allowed in (("time_unit", TimeUnit), ("ids", IdType), ("on_error", OnError)):
            if getattr(self, knob) not in get_args(allowed):
                raise ConfigError(f"{name} got {knob}={getattr(self, knob)!r}; allowed are {', '.join(get_args(allowed))}")
        if self.min_weight is not None and self.weight is None:
            raise ConfigError(f"{name} got min_weight={self.min_weight} without weight; name the column it compares")
        used = list(self.mapping().values())
        twice = {column for column in used if used.count(column) > 1}
        if twice:
            raise ConfigError(f"{name} maps column {min(twice)!r} twice; each column has one role")

    def mapping(self) -> dict[str, str]:
        """Canonical name -> column of the table."""
        roles = ("user", "session", "item", "time", "order", "weight", "kind", "part")
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

    @property
    def weighted(self) -> bool:
        return self.weight is not None

    @property
    def kinds(self) -> bool:
        return self.kind is not None

    def steps(self) -> list[Step]:
        return [] if self.min_weight is None else [Threshold(self.min_weight, forget=False)]

    def heads(self) -> list[Head]:
        """The first rows of each file, under the canonical names."""
        raise NotImplementedError

    def chunks(self, plan: Plan) -> Iterator[Chunk]:
        """All rows of all files, under the canonical names, as they are."""
        raise NotImplementedError

    def plan(self) -> Plan:
        """The types of the columns, from the first rows.

        Raises:
            DataError: a file is missing, empty or unreadable, a named column is not there or holds what it cannot.
        """
        return Plan.of(self.mapping(), self.heads(), ids=self.ids, time_unit=self.time_unit, advice=self._advice)

    def batches(self, quarantine: Quarantine | None = None) -> Iterator[pl.DataFrame]:
        return self._delivered(quarantine, warn=True)

    def events(self) -> pl.LazyFrame:
        return streamed(self._kept, self.plan().schema)

    def _delivered(self, quarantine: Quarantine | None, *, warn: bool) -> Iterator[pl.DataFrame]:
        plan = self.plan()
        yield from deliver(self.chunks(plan), plan, quarantine, origin=self.origin, warn=warn)

    def _kept(self) -> Iterator[pl.DataFrame]:
        """For :meth:`events`, whose times are judged by who checks them."""
        quarantine = Quarantine() if self.on_error == "quarantine" else None
        yield from self._delivered(quarantine, warn=False)
        if quarantine is not None and quarantine.rows:
            log.warning("%s: %s rows were set aside", self.origin, f"{quarantine.rows:,}")
