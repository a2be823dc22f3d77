"""Leave the last events out."""

from __future__ import annotations

import polars as pl

from recsys.data.events import PARTS
from recsys.errors import ConfigError
from recsys.splitting.splitter import Splitter, labels, ranked


class LastN(Splitter):
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

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        frame = ranked(events)
        left = pl.col("size") - pl.col("rank")
        short = pl.col("size") <= self.n + self.validation
        train, valid, test = (pl.lit(part, PARTS) for part in ("train", "valid", "test"))
        return labels(
            frame,
            pl.when(short).then(train).when(left <= self.n).then(test).when(left <= self.n + self.validation).then(valid).otherwise(train),
        )
