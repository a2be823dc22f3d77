from __future__ import annotations

from dataclasses import replace
from typing import get_args

from recsys.data.log import Log
from recsys.data.simulate.noise import Law, add_positives
from recsys.errors import ConfigError
from recsys.noise.noise import Noise


class AddPositives(Noise):
    """False positives: of an owner with n distinct items in training, ``int(share * n)`` others are appended to its events.

    As in PLD (Zhang et al. 2025, arXiv 2502.00348): items are drawn at random among those that the owner does not have in training, each at
    most once; an item held out for it may be among them. Drawn as :func:`recsys.data.simulate.add_positives` says.

    Args:
        share: at least 0; added items for each distinct item of an owner.
        law: ``uniform``, or ``popular``: proportional to the number of training events.

    Raises:
        ConfigError: a share below 0 or not finite, or an unknown law.
    """

    def __init__(self, *, share: float = 0.2, law: Law = "uniform") -> None:
        if not 0 <= share < float("inf"):
            raise ConfigError(f"share is {share}; it is at least 0 and finite")
        if law not in get_args(Law):
            raise ConfigError(f"law is {law!r}; allowed are {', '.join(map(repr, get_args(Law)))}")
        self.share, self.law = share, law

    def apply(self, log: Log, *, seed: int) -> Log:
        noisy, added = add_positives(log, share=self.share, law=self.law, seed=seed)
        return replace(noisy, injected=added)
