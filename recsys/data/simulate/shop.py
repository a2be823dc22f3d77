"""A simulated shop: who would like what, who was shown what, and which clicks were slips are all known.

The world. Items belong to taste clusters and have vectors near their cluster's centre; a user's vector mixes a few centres. Item
``i`` is relevant to user ``u`` with probability ``gamma[u, i]``, a logistic function of their vectors. An item is noticed with relative
probability ``theta[i]``: a Zipf law of its popularity rank times the examination of its slot on the page, ``slot ** -0.5``. A click
happens on what is noticed and relevant, so that a true click of user ``u`` falls on item ``i`` with probability

    theta[i] * gamma[u, i] / sum_j theta[j] * gamma[u, j],

and a share ``noise`` of all clicks falls on what was merely noticed: ``theta[i] / sum_j theta[j]``. Users come back in sessions; with
probability ``focus`` a click stays in the cluster that the session is about. That cluster is drawn so that the formula above still
holds for every single click. Clicks may repeat a pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from recsys.data.log import OwnerKind
from recsys.data.simulate.truth import Bools, Floats, Ints, exposure, relevance
from recsys.randomness import numpy_generator

VERSION = 1  # raised when the same settings give another log
START = datetime(2026, 1, 1)
SESSION_LENGTH, GAP_SECONDS = 4.0, 45.0


@dataclass(frozen=True)
class World:
    """A simulated log and the truth behind it. U users, N items, E clicks in the order of time within each session.

    ``gamma`` [U, N]: probability of relevance. ``theta`` [N]: relative exposure, largest 1. ``cluster`` [N]. Of each click: ``user``,
    ``item``, ``session`` int64 [E], ``time`` int64 [E] (microseconds since 1970), ``noise`` bool [E] (a click without relevance).
    """

    gamma: Floats
    theta: Floats
    cluster: Ints
    user: Ints
    item: Ints
    session: Ints
    time: Ints
    noise: Bools

    def events(self, owner: OwnerKind = "user") -> pl.LazyFrame:
        """The log alone, in canonical columns, owned by users or by sessions; oldest first."""
        frame = pl.LazyFrame({owner: getattr(self, owner), "item": self.item, "time": self.time})
        return frame.with_columns(pl.col("time").cast(pl.Datetime("us"))).sort("time", owner, "item")

    def choice(self, users: Ints) -> Floats:
        """[len(users), N] probability that a true click of each user falls on each item."""
        weight = self.gamma[users] * self.theta
        return np.asarray(weight / weight.sum(1, keepdims=True), dtype=np.float64)


def simulate(
    *, users: int, items: int, clicks: int, seed: int = 0, noise: float = 0.05, zipf: float = 0.6, focus: float = 0.6, days: float = 90.0
) -> World:
    """Draw a world and its log; the same arguments give the same world.

    Args:
        users: number of users.
        items: number of items.
        clicks: number of events, noise included.
        seed: of everything.
        noise: expected share of clicks that need no relevance.
        zipf: exponent of the popularity law; 0 shows all items alike.
        focus: probability that a click stays with its session's cluster.
        days: length of the period, from 2026-01-01.
    """
    gamma, cluster = relevance(users, items, numpy_generator(seed, "simulate", "relevance"))
    theta = exposure(items, zipf, numpy_generator(seed, "simulate", "exposure"))
    g = numpy_generator(seed, "simulate", "sessions")
    first = g.random(clicks) < 1 / SESSION_LENGTH
    first[0] = True
    session = first.cumsum() - 1
    activity = g.gamma(2.0, size=users) + 0.2
    session_user = np.searchsorted(activity.cumsum() / activity.sum(), g.random(session[-1] + 1), side="right").clip(max=users - 1)
    start = g.random(session[-1] + 1) * days * 86_400
    gap = np.where(first, 0.0, g.exponential(GAP_SECONDS, size=clicks) + 1)
    since = gap.cumsum()
    since -= since[first][session]
    epoch = (START - datetime(1970, 1, 1)).total_seconds()
    time = ((epoch + start[session] + since) * 1e6).astype(np.int64)
    g = numpy_generator(seed, "simulate", "clicks")
    slip = g.random(clicks) < noise
    item = _true_items(gamma * theta, cluster, session_user, session, focus, g)
    shown = np.searchsorted(theta.cumsum() / theta.sum(), g.random(clicks), side="right").clip(max=items - 1)
    return World(gamma, theta, cluster, session_user[session], np.where(slip, shown, item), session, time, slip)


def _true_items(weight: Floats, cluster: Ints, session_user: Ints, session: Ints, focus: float, g: np.random.Generator) -> Ints:
    """One item per click, [E], from ``weight`` [U, N]: by inverse distribution functions, with the items of a cluster side by side."""
    order = np.argsort(cluster, kind="stable")
    edge = np.searchsorted(cluster[order], np.arange(cluster.max() + 2))  # cluster c is order[edge[c]:edge[c + 1]]
    below = np.zeros((len(weight), len(order) + 1))
    np.cumsum(weight[:, order], axis=1, out=below[:, 1:])
    below /= below[:, -1:]
    flat = (below[:, 1:] + np.arange(len(weight))[:, None]).ravel()  # user u's function lies in [u, u + 1]

    def draw(user: Ints, at: Floats) -> Ints:
        found = np.searchsorted(flat, user + at, side="right") - user * len(order)
        return np.asarray(found.clip(0, len(order) - 1), dtype=np.int64)

    about = np.searchsorted(edge, draw(session_user, g.random(len(session_user))), side="right") - 1
    low, high = below[session_user, edge[about]], below[session_user, edge[about + 1]]
    at = g.random(len(session))
    stays = g.random(len(session)) < focus
    at = np.where(stays, low[session] + at * (high - low)[session], at)
    return np.asarray(order[draw(session_user[session], at)], dtype=np.int64)
