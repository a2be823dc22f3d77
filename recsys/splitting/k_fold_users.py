"""Cross-validation over users."""

from __future__ import annotations

import numpy as np

from recsys.data.labels import TEST, VALID, Promise
from recsys.data.log import OwnerKind
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator
from recsys.splitting.new_users import given_and_asked, users_of
from recsys.splitting.splitter import Blockwise, Labeller, Log, check_share


class KFoldUsers(Blockwise):
    """Users are dealt at random into ``folds`` equal groups: one is test, the next one validation, the others training.

    Over all values of ``fold`` with one seed, every user with two events or more is a test user exactly once. What is given of a held-out
    user, and what is asked, is as in :class:`recsys.splitting.NewUsers`.

    Args:
        folds: number of groups, at least 3.
        fold: which group is test, from 0.
        given: share of a held-out user's events that is known when the user is asked, rounded down.

    Raises:
        ConfigError: numbers outside those bounds.
    """

    def __init__(self, *, folds: int = 5, fold: int = 0, given: float = 0.8) -> None:
        if folds < 3:
            raise ConfigError(f"KFoldUsers got folds={folds}; at least 3 are needed: for training, validation and test")
        if not 0 <= fold < folds:
            raise ConfigError(f"KFoldUsers got fold={fold} of {folds}; folds are numbered 0 to {folds - 1}")
        check_share(self, "given", given)
        self.folds, self.fold, self.given = folds, fold, given

    def needs(self) -> dict[str, str]:
        return {"user": "it deals users into groups"}

    def promise(self, owner_kind: OwnerKind) -> Promise:
        return "users"

    def labeller(self, log: Log, seed: int) -> Labeller:
        code, _ = users_of(log, timed=False)
        group = np.empty(len(code), dtype=np.int64)
        group[numpy_generator(seed, "split", "k-fold-users").permutation(len(code))] = np.arange(len(code)) % self.folds
        part = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int8)
        part[code[group == self.fold]] = TEST
        part[code[group == (self.fold + 1) % self.folds]] = VALID
        return given_and_asked(part, self.given, seed)
