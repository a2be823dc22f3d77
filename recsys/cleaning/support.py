"""Items that occur often enough."""

from __future__ import annotations

import numpy as np

from recsys.cleaning.step import Fit, LogStep, check_at_least, check_fit
from recsys.data.kernels import Codes, Ints, Mask


class MinSupport(LogStep):
    """Keep items with at least ``n`` events, counted once. Owners may have fewer events afterwards: :class:`recsys.cleaning.MinLength`
    looks after them, and then items may have fewer than ``n``; :class:`recsys.cleaning.KCore` holds both.

    Args:
        n: events of each item, at least 1.
        fit: where it counts; see :mod:`recsys.cleaning.step`.

    Raises:
        ConfigError: a number below 1, or an unknown ``fit``.
    """

    def __init__(self, n: int = 5, *, fit: Fit = "train") -> None:
        check_at_least(self, 1, n=n)
        check_fit(self, fit)
        self.n, self.fit = n, fit

    def keep(self, offsets: Ints, item: Codes, items: int) -> Mask:
        return np.asarray((np.bincount(item, minlength=items) >= self.n)[item])
