"""A cut in time for everybody."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.data.events import owner_of
from recsys.data.kernels import Ints
from recsys.data.labels import Promise
from recsys.data.log import OwnerKind
from recsys.data.moments import cuts, labels, parse
from recsys.splitting.splitter import Blockwise, Labeller, Log, place, series


class GlobalTime(Blockwise):
    """Whatever happens from one moment on is test, the stretch before it validation: no training event is later than a validation event, no
    validation event later than a test event, whoever they belong to.

    Sessions are not cut: a session goes where its last event goes (:class:`recsys.splitting.SessionTime` can go by the first).

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
            parse("GlobalTime", name, given)

    def needs(self) -> dict[str, str]:
        return {"time": "it cuts at a moment in time"}

    def promise(self, owner_kind: OwnerKind) -> Promise:
        return "global" if owner_kind == "user" else "end"

    def labeller(self, log: Log, seed: int) -> Labeller:
        late, early = cuts("GlobalTime", self.test, self.validation, np.concatenate([_times(block) for block in log]))
        return lambda block: series(labels(_times(block), late, early))


def _times(block: pl.DataFrame) -> Ints:
    """int64 [E]: of users, when each event happens; of sessions, when its session ends."""
    time: Ints = block["time"].to_physical().to_numpy()
    if owner_of(block.columns) == "user":
        return time
    rank, size, _ = place(block)
    return np.asarray(time[np.arange(len(time)) + size - rank - 1])
