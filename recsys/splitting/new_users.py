"""Users whom training has never seen."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import polars as pl

from recsys.data.blocks import offsets_of
from recsys.data.events import clock_of
from recsys.data.kernels import Ints
from recsys.data.labels import LABELS, TEST, TEST_GIVEN, VALID, VALID_GIVEN, Promise
from recsys.data.log import OwnerKind
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator
from recsys.splitting.splitter import Blockwise, Labeller, Log, Shuffle, check_share, place, series

Who = Literal["random", "latest"]


class NewUsers(Blockwise):
    """A ``test`` share of the users is test, another share validation: no event of them is trained on (strong generalization).

    Of each such user the ``given`` share of the events is known when the user is asked, the rest is to be found: the earliest where the
    log has time or order, else random ones. At least one event is given and at least one asked; a user with a single event is left in
    training. In refitting, validation users are trained on.

    Marlin, "Collaborative Filtering: A Machine Learning Perspective", 2004; Liang et al., "Variational Autoencoders for Collaborative
    Filtering", WWW 2018 (80 % given, at random).

    Args:
        test: share of users, between 0 and 1.
        validation: share of users; the two together less than 1.
        given: share of a held-out user's events that is known, rounded down.
        who: which users: ``random`` ones, or the ``latest``: those whose first event is last (ties by user id).

    Raises:
        ConfigError: shares outside those bounds, or an unknown word.
    """

    def __init__(self, *, test: float = 0.1, validation: float = 0.1, given: float = 0.8, who: Who = "random") -> None:
        for name, share in (("test", test), ("validation", validation), ("given", given)):
            check_share(self, name, share)
        if test + validation >= 1:
            raise ConfigError(f"NewUsers got test={test} and validation={validation}; together they must be less than 1")
        if who not in get_args(Who):
            raise ConfigError(f"NewUsers got who={who!r}; allowed are 'random' and 'latest'")
        self.test, self.validation, self.given, self.who = test, validation, given, who

    def needs(self) -> dict[str, str]:
        latest = {"time": "it looks for the users who come last"} if self.who == "latest" else {}
        return {"user": "it holds out users", **latest}

    def promise(self, owner_kind: OwnerKind) -> Promise:
        return "users"

    def labeller(self, log: Log, seed: int) -> Labeller:
        code, moment = users_of(log, timed=self.who == "latest")
        if self.who == "random":
            moment = numpy_generator(seed, "split", "new-users").permutation(len(code))
        order = code[np.lexsort([code, moment])]
        test, valid = (max(1, math.floor(share * len(order))) for share in (self.test, self.validation))
        part = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int8)
        part[order[len(order) - test :]] = TEST
        part[order[max(0, len(order) - test - valid) : len(order) - test]] = VALID
        return given_and_asked(part, self.given, seed)


def users_of(log: Log, *, timed: bool) -> tuple[Ints, Ints]:
    """Codes of the users with two events or more, int64 [U], and when the first event of each is (0 unless ``timed``)."""
    code, first = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for block in log:
        offsets, users = offsets_of(block["user"])
        enough = np.diff(offsets) > 1
        time = block["time"].to_physical().to_numpy()[offsets[:-1]] if timed else np.zeros_like(users)
        code.append(users[enough])
        first.append(time[enough])
    return np.concatenate(code), np.concatenate(first)


def given_and_asked(part: np.ndarray[tuple[int], np.dtype[np.int8]], share: float, seed: int) -> Labeller:
    """Labels by what users are for.

    Args:
        part: int8 [U], by user code: train, valid or test; users beyond its end are for training.
        share: of a held-out user's events that is given.
        seed: of which events are given where they have no order.
    """
    shuffle = Shuffle(seed, "split", "given")

    def of(block: pl.DataFrame) -> pl.Series:
        rank, size, owner = place(block)
        if clock_of(block.columns) is None:
            rank = shuffle(owner)
        code = block["user"].to_numpy().astype(np.int64)
        held = np.append(part, np.int8(0))[np.minimum(code, len(part))]
        known = rank < np.clip(np.floor(size * share), 1, size - 1)
        given = np.asarray([0, VALID_GIVEN, TEST_GIVEN], dtype=np.int8)[held]
        return series(np.where(known, given, held), LABELS)

    return of
