from __future__ import annotations

from recsys.data.log import Log
from recsys.data.simulate.noise import drop_positives
from recsys.errors import ConfigError
from recsys.noise.noise import Noise


class DropPositives(Noise):
    """Missing positives: of an owner with n distinct items in training, ``int(share * n)`` lose all their events, drawn uniformly.

    The opposite error of :class:`AddPositives`: what is lost becomes a negative that is none. Owners and items stay as they were, so an
    item may have no event left; an owner keeps at least one. Drawn as :func:`recsys.data.simulate.drop_positives` says.

    Args:
        share: at least 0 and below 1.

    Raises:
        ConfigError: a share outside those bounds.
    """

    def __init__(self, *, share: float = 0.2) -> None:
        if not 0 <= share < 1:
            raise ConfigError(f"share is {share}; it is at least 0 and below 1")
        self.share = share

    def apply(self, log: Log, *, seed: int) -> Log:
        return drop_positives(log, share=self.share, seed=seed)[0]
