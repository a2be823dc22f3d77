"""Implicit feedback with known relevance and known exposure: Y = O * R.

Saito et al. (WSDM 2020, "Unbiased Recommender Learning from Missing-Not-At-Random Implicit Feedback", section 2): user ``u`` clicks
item ``i`` if the item is exposed, ``O ~ Bernoulli(theta[u, i])``, and relevant, ``R ~ Bernoulli(gamma[u, i])``, independently, so
that ``P(Y = 1) = theta * gamma``. What that paper does not have is ``slip``: an exposed item that is not relevant is clicked all the
same with this probability (a false positive, flagged), so that ``P(Y = 1) = theta * (gamma + slip * (1 - gamma))``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from recsys.data.log import Log
from recsys.data.simulate.truth import Bools, Floats, check_probability, check_sizes, popularity, relevance
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator


@dataclass(frozen=True)
class Feedback:
    """One draw for every pair, and the truth behind it. U users, N items.

    ``gamma`` [U, N]: P(relevant). ``theta`` [U, N]: P(exposed), a read-only view if it depends on the item alone. ``slip``: P(clicked |
    exposed, not relevant). Drawn, bool [U, N]: ``exposed`` O, ``relevant`` R, ``clicked`` Y. ``users`` [U] and ``items`` [N]: ids.
    """

    gamma: Floats
    theta: Floats
    slip: float
    exposed: Bools
    relevant: Bools
    clicked: Bools
    users: pl.Series
    items: pl.Series

    @property
    def noisy(self) -> Bools:
        """bool [U, N]: clicks without relevance."""
        return np.asarray(self.clicked & ~self.relevant)

    def probability(self) -> Floats:
        """[U, N]: P(Y = 1)."""
        return np.asarray(self.theta * (self.gamma + self.slip * (1 - self.gamma)), dtype=np.float64)

    def redraw(self, seed: int) -> Feedback:
        """Another draw from the same truth."""
        return draw(self.gamma, self.theta, seed=seed, slip=self.slip, users=self.users, items=self.items)

    def pairs(self) -> pl.DataFrame:
        """All U * N pairs, user by user: ``user``, ``item``, ``clicked``, ``exposed``, ``relevant``, ``theta``, ``gamma``."""
        size, num = self.gamma.shape
        user = self.users.gather(np.arange(size, dtype=np.uint32).repeat(num)).alias("user")
        item = self.items.gather(np.tile(np.arange(num, dtype=np.uint32), size)).alias("item")
        drawn = {name: getattr(self, name).ravel() for name in ("clicked", "exposed", "relevant", "theta", "gamma")}
        return pl.DataFrame([user, item]).with_columns(pl.Series(name, values) for name, values in drawn.items())

    def split(self, valid: float = 0.1, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Training, validation and test pairs of Saito et al.: all pairs are for training, a share ``valid`` of them (rounded up, drawn
        uniformly) held out for the loss that stops it; tested is on all pairs without a click, with ``relevant`` as the label. Test
        pairs are therefore training pairs too.
        """
        if not 0 <= valid < 1:
            raise ConfigError(f"Feedback.split got valid={valid}; a share lies in [0, 1)")
        pairs = self.pairs()
        held = np.zeros(len(pairs), dtype=bool)
        order = numpy_generator(seed, "simulate", "feedback", "valid").permutation(len(pairs))
        held[order[: int(np.ceil(valid * len(pairs)))]] = True
        return pairs.filter(~pl.Series(held)), pairs.filter(pl.Series(held)), pairs.filter(~pl.col("clicked"))

    def events(self) -> pl.DataFrame:
        """The clicks in canonical columns ``user`` and ``item``: what a platform would have logged."""
        user, item = self.clicked.nonzero()
        ids = [self.users.gather(user.astype(np.uint32)).alias("user"), self.items.gather(item.astype(np.uint32)).alias("item")]
        return pl.DataFrame(ids)

    def log(self) -> Log:
        """The clicks as a training log of all U users and N items, those without a click included; codes are rows and columns."""
        _, item = self.clicked.nonzero()
        offsets = np.concatenate([[0], self.clicked.sum(1).cumsum()]).astype(np.int64)
        return Log(torch.from_numpy(item.astype(np.int32)), torch.from_numpy(offsets), self.clicked.shape[1])


def draw(
    gamma: Floats,
    theta: Floats,
    *,
    seed: int,
    slip: float = 0.0,
    users: pl.Series | None = None,
    items: pl.Series | None = None,
) -> Feedback:
    """Draw O, R and Y from given probabilities.

    Args:
        gamma: [U, N], P(relevant).
        theta: [U, N], or [N] for an exposure that is the same for all users; in (0, 1], so that an unbiased estimator exists.
        seed: of the draw.
        slip: P(clicked | exposed, not relevant).
        users, items: ids; default 0..U-1 and 0..N-1.

    Raises:
        ConfigError: a probability outside its interval, or shapes that do not fit.
    """
    if gamma.ndim != 2 or theta.shape not in (gamma.shape, gamma.shape[1:]):
        raise ConfigError(
            f"Feedback got gamma of shape {gamma.shape} and theta of shape {theta.shape}; allowed are [U, N] and [U, N] or [N]"
        )
    check_probability("Feedback", "gamma", gamma)
    check_probability("Feedback", "theta", theta, positive=True)
    check_probability("Feedback", "slip", np.asarray(slip))
    theta = np.broadcast_to(theta, gamma.shape)
    exposed = numpy_generator(seed, "simulate", "feedback", "exposed").random(gamma.shape) < theta
    relevant = numpy_generator(seed, "simulate", "feedback", "relevant").random(gamma.shape) < gamma
    clicked = exposed & relevant
    if slip:
        clicked |= exposed & (numpy_generator(seed, "simulate", "feedback", "slip").random(gamma.shape) < slip)
    users = pl.Series("user", np.arange(gamma.shape[0])) if users is None else users
    items = pl.Series("item", np.arange(gamma.shape[1])) if items is None else items
    return Feedback(gamma, theta, slip, exposed, relevant, clicked, users, items)


def feedback(
    *, users: int, items: int, seed: int = 0, zipf: float = 0.6, selection: float = 0.0, least: float = 0.01, slip: float = 0.0
) -> Feedback:
    """A world whose relevance comes from taste clusters and whose exposure from popularity and self-selection, and one draw from it.

        theta[u, i] = max(least, rank[i] ** -zipf * gamma[u, i] ** selection)

    Args:
        users, items: U and N.
        seed: of truth and draw.
        zipf: popularity bias; 0 shows all items alike.
        selection: how much users come across what they like; 0: exposure is independent of relevance.
        least: smallest exposure (1 / least bounds the weights of an unbiased estimator).
        slip: P(clicked | exposed, not relevant).

    Raises:
        ConfigError: a size below 1, a negative exponent, a probability outside its interval.
    """
    check_sizes("feedback", users=users, items=items)
    if min(zipf, selection) < 0:
        raise ConfigError(f"feedback got zipf={zipf}, selection={selection}; exponents are at least 0")
    check_probability("feedback", "least", np.asarray(least), positive=True)
    gamma, _ = relevance(users, items, numpy_generator(seed, "simulate", "feedback", "gamma"))
    theta: Floats = popularity(items, zipf, numpy_generator(seed, "simulate", "feedback", "theta"))
    if selection:
        theta = theta * gamma**selection
    return draw(gamma, np.maximum(theta, least), seed=seed, slip=slip)
