"""A random share of every user's events."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.errors import ConfigError
from recsys.splitting.splitter import Blockwise, Labeller, Log, Rounded, Shuffle, check_share, place, series


class UserFraction(Blockwise):
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

    def labeller(self, log: Log, seed: int) -> Labeller:
        shuffle = Shuffle(seed, "split", "user-fraction")
        tested = Rounded(self.test, seed, "split", "user-fraction", "test")
        validated = Rounded(self.validation, seed, "split", "user-fraction", "valid")

        def of(block: pl.DataFrame) -> pl.Series:
            _, size, owner = place(block)
            rank = shuffle(owner)
            test = np.minimum(tested(size, owner), size - 1)
            until = np.minimum(test + validated(size, owner), size - 1)
            return series((rank < until).astype(np.int8) + (rank < test))

        return of
