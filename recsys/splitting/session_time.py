"""Whole sessions before and after a moment."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import polars as pl

from recsys.data.blocks import offsets_of
from recsys.data.kernels import Ints
from recsys.data.labels import Promise
from recsys.data.log import OwnerKind
from recsys.data.moments import cuts, labels, parse
from recsys.errors import ConfigError
from recsys.splitting.splitter import Blockwise, Labeller, Log, series

By = Literal["start", "end"]


class SessionTime(Blockwise):
    """Sessions that start (or end) from one moment on are test, those in the stretch before it validation; no session is cut.

    By ``start``, a training session may still be going on when the first test session begins; its last events are then later than the cut.
    By ``end``, no training event is later than the cut, and a test session may have begun before it. Diginetica is published by start,
    Yoochoose by end.

    A moment is given as a date or time (``"2026-01-01"``), as a duration before the latest start or end (``"7d"``), or as a share of
    sessions (``0.1``, and whatever starts or ends at the same moment as the first of them).

    Args:
        test: where test begins.
        validation: where validation begins, counted back from the test cut.
        by: what is compared with the cut: the ``start`` or the ``end`` of a session.

    Raises:
        ConfigError: neither a date, a duration nor a share between 0 and 1; an unknown word.
    """

    def __init__(self, *, test: str | float = 0.1, validation: str | float = 0.1, by: By = "start") -> None:
        self.test, self.validation, self.by = test, validation, by
        for name, given in (("test", test), ("validation", validation)):
            parse("SessionTime", name, given)
        if by not in get_args(By):
            raise ConfigError(f"SessionTime got by={by!r}; allowed are 'start' and 'end'")

    def needs(self) -> dict[str, str]:
        return {"session": "it holds out whole sessions", "time": "it cuts at a moment in time"}

    def promise(self, owner_kind: OwnerKind) -> Promise:
        return self.by

    def labeller(self, log: Log, seed: int) -> Labeller:
        late, early = cuts("SessionTime", self.test, self.validation, np.concatenate([self._moments(block)[0] for block in log]))

        def of(block: pl.DataFrame) -> pl.Series:
            moment, size = self._moments(block)
            return series(np.repeat(labels(moment, late, early), size))

        return of

    def _moments(self, block: pl.DataFrame) -> tuple[Ints, Ints]:
        """int64 [S] when each session of a block starts or ends, and its events."""
        offsets, _ = offsets_of(block["session"])
        time = block["time"].to_physical().to_numpy()
        return time[offsets[:-1] if self.by == "start" else offsets[1:] - 1], np.diff(offsets)
