"""Ratings of all pairs, and which of them users chose to give: missing not at random, with known propensities.

Schnabel et al. (ICML 2016, "Recommendations as Treatments", section 6.1): ratings 1 to 5 have the shares 0.526, 0.242, 0.144, 0.062,
0.026 (Marlin and Zemel, RecSys 2009), and a rating ``r`` is observed with probability

    P(O = 1) = k * alpha ** max(0, 4 - r),

with ``k`` such that the expected share of observed ratings is the one asked for; 0.05 and ``alpha = 0.25`` in the paper. ``alpha = 1``
observes all ratings alike. Where we differ: the complete ratings are not those of a factorisation of MovieLens but ranks of the
logistic taste model of :mod:`recsys.data.simulate.truth`, so that no file is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys.data.simulate.truth import Bools, Floats, Ints, check_sizes, relevance
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator

SHARES = (0.526, 0.242, 0.144, 0.062, 0.026)
"""Of ratings 1 to 5."""


@dataclass(frozen=True)
class Ratings:
    """U users, N items. ``rating`` int64 [U, N], all of them; ``propensity`` float64 [U, N]: P(observed); ``observed`` bool [U, N]."""

    rating: Ints
    propensity: Floats
    observed: Bools

    def events(self) -> pl.DataFrame:
        """The observed ratings in canonical columns: ``user``, ``item``, ``weight``."""
        user, item = self.observed.nonzero()
        return pl.DataFrame({"user": user, "item": item, "weight": self.rating[user, item].astype(np.float32)})

    def redraw(self, seed: int) -> Ratings:
        """The same ratings and propensities, observed anew."""
        return _observe(self.rating, self.propensity, seed)

    def uniform(self, size: int, seed: int = 0) -> pl.DataFrame:
        """A test set that is missing completely at random: ``size`` random items of each user, ``user``, ``item``, ``weight``."""
        users, items = self.rating.shape
        if not 1 <= size <= items:
            raise ConfigError(f"Ratings.uniform got size={size}; allowed is 1 to the number of items, {items}")
        item = numpy_generator(seed, "simulate", "ratings", "uniform").random((users, items)).argsort(1)[:, :size]
        item.sort(1)
        user = np.arange(users).repeat(size)
        return pl.DataFrame({"user": user, "item": item.ravel(), "weight": self.rating[user, item.ravel()].astype(np.float32)})


def ratings(*, users: int, items: int, share: float = 0.05, alpha: float = 0.25, seed: int = 0) -> Ratings:
    """Rate all pairs, and observe a share of them by self-selection.

    Args:
        users, items: U and N.
        share: expected share of observed ratings.
        alpha: in (0, 1]; how much rarer a rating is observed for each step below 4.
        seed: of everything.

    Raises:
        ConfigError: a size below 1, an alpha or share outside (0, 1], or a share that would need propensities above 1.
    """
    check_sizes("ratings", users=users, items=items)
    if not (0 < share <= 1 and 0 < alpha <= 1):
        raise ConfigError(f"ratings got share={share}, alpha={alpha}; both lie in (0, 1]")
    g = numpy_generator(seed, "simulate", "ratings")
    gamma, _ = relevance(users, items, g)
    rank = (gamma.ravel() + g.normal(scale=1e-9, size=gamma.size)).argsort().argsort()
    rating = 1 + np.searchsorted(np.cumsum(SHARES)[:-1] * gamma.size, rank, side="right").reshape(gamma.shape)
    shape = alpha ** np.maximum(0, 4 - rating)
    k = share * shape.size / shape.sum()
    if k * shape.max() > 1:
        most = shape.sum() / shape.size / shape.max()
        raise ConfigError(f"ratings got share={share} with alpha={alpha}; propensities would pass 1: share is at most {most:.4g} here")
    return _observe(rating.astype(np.int64), np.asarray(k * shape, dtype=np.float64), seed)


def _observe(rating: Ints, propensity: Floats, seed: int) -> Ratings:
    observed = numpy_generator(seed, "simulate", "ratings", "observed").random(rating.shape) < propensity
    return Ratings(rating, propensity, observed)
