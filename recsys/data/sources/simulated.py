"""The embedded default: a simulated shop log that needs no file."""

from __future__ import annotations

import polars as pl

from recsys.data import simulate
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.errors import ConfigError
from recsys.part import fingerprint, spec


class Simulated(Source):
    """A simulated shop log with users, sessions, items and time stamps; see :mod:`recsys.data.simulate` for the world behind it.

    Args:
        users: number of users.
        items: number of items.
        clicks: number of events.
        seed: of the world and its log; apart from the experiment's own seed.
        noise: expected share of clicks that need no relevance.
        owner: whose rows the events are: ``user`` or ``session``.

    Raises:
        ConfigError: a size below 1, a world of more than 10^8 user-item pairs, a share outside [0, 1].
    """

    owner: OwnerKind = "user"
    timed = True
    ordered = True

    def __init__(
        self,
        *,
        users: int = 3_000,
        items: int = 1_200,
        clicks: int = 120_000,
        seed: int = 0,
        noise: float = 0.05,
        owner: OwnerKind = "user",
    ) -> None:
        if min(users, items, clicks) < 1 or users * items > 10**8:
            raise ConfigError(
                f"Simulated got users={users}, items={items}, clicks={clicks}; each must be at least 1 and users * items at most 10^8"
            )
        if not 0 <= noise <= 1:
            raise ConfigError(f"Simulated got noise={noise}; a share lies in [0, 1]")
        if owner not in ("user", "session"):
            raise ConfigError(f"Simulated got owner={owner!r}; allowed are 'user' and 'session'")
        self.users, self.items, self.clicks, self.seed, self.noise, self.owner = users, items, clicks, seed, noise, owner

    def world(self) -> simulate.World:
        """The whole truth: relevance, exposure, and which clicks are noise."""
        return simulate.simulate(users=self.users, items=self.items, clicks=self.clicks, seed=self.seed, noise=self.noise)

    def events(self) -> pl.LazyFrame:
        return self.world().events(self.owner)

    def fingerprint(self) -> str:
        return fingerprint({"source": spec(self), "simulator": simulate.VERSION})
