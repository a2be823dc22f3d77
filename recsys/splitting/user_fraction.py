"""A random share of every user's events."""

from __future__ import annotations

import polars as pl

from recsys.data.events import PARTS
from recsys.errors import ConfigError
from recsys.splitting.splitter import Splitter, check_share, counts, labels, shuffled


class UserFraction(Splitter):
    """A random ``test`` share of every user's events is test, a random ``validation`` share of all of them validation, the rest training.

    Numbers that are not whole are rounded at random, so that the mean is exact; at least one event of every user is in training. Time is
    not looked at: training events may be later than test events, of the same user too.

    Args:
        test: share of each user's events, between 0 and 1.
        validation: share of each user's events, between 0 and 1; the two together less than 1.

    Raises:
        ConfigError: shares outside those bounds.
    """

    def __init__(self, *, test: float = 0.2, validation: float = 0.1) -> None:
        check_share(self, "test", test)
        check_share(self, "validation", validation)
        if test + validation >= 1:
            raise ConfigError(f"UserFraction got test={test} and validation={validation}; together they must be less than 1")
        self.test, self.validation = test, validation

    def needs(self) -> dict[str, str]:
        return {"user": "it takes a share of every user's events"}

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        frame = shuffled(events, seed, "split", "user-fraction")
        held = counts(frame["size"], frame["user"], self.test, seed, "split", "user-fraction", "test").alias("test")
        more = counts(frame["size"], frame["user"], self.validation, seed, "split", "user-fraction", "valid").alias("more")
        frame = frame.with_columns(held, more).with_columns(pl.min_horizontal("test", pl.col("size") - 1))
        until = pl.min_horizontal(pl.col("test") + pl.col("more"), pl.col("size") - 1)
        train, valid, test = (pl.lit(part, PARTS) for part in ("train", "valid", "test"))
        return labels(frame, pl.when(pl.col("rank") < pl.col("test")).then(test).when(pl.col("rank") < until).then(valid).otherwise(train))
