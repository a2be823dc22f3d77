"""Leave the last events out."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.data.labels import Promise
from recsys.data.log import OwnerKind
from recsys.errors import ConfigError
from recsys.splitting.splitter import Blockwise, Labeller, Log, place, series


class LastN(Blockwise):
    """Each owner's last ``n`` events are test, the ``validation`` events before them validation; nothing an owner did in training is later
    than what is asked of it. Across owners times may overlap: another user's training event may be later than a test event.

    Order is by time or order, ties by item id. An owner with no event left for training keeps all its events in training.

    Args:
        n: test events of each owner, at least 1.
        validation: validation events of each owner, at least 1.

    Raises:
        ConfigError: a number below 1.
    """

    def __init__(self, *, n: int = 1, validation: int = 1) -> None:
        if min(n, validation) < 1:
            raise ConfigError(f"LastN got n={n}, validation={validation}; both are at least 1")
        self.n, self.validation = n, validation

    def needs(self) -> dict[str, str]:
        return {"order": "it holds out the last events of each owner"}

    def promise(self, owner_kind: OwnerKind) -> Promise:
        return "owner"

    def labeller(self, log: Log, seed: int) -> Labeller:
        def of(block: pl.DataFrame) -> pl.Series:
            rank, size, _ = place(block)
            left, held = size - rank, self.n + self.validation
            return series(((left <= held).astype(np.int8) + (left <= self.n)) * (size > held).astype(np.int8))

        return of
