"""Sessions as paths whose exact next-item distribution is known.

Each session has a hidden topic ``z``, drawn from ``prior`` and kept to its end. Its first item comes from ``emission[z]``. Then, with
probability ``follow``, the next item is one of the few successors of the last item (the same for all topics), else it comes from
``emission[z]`` again:

    P(j | i, z) = follow * S[i, j] + (1 - follow) * emission[z, j].

The number of events is 2 plus a geometric number and depends on nothing else. With one topic this is a first-order Markov chain on
items; with several the last item is not enough, and the best predictor weighs the topics by the whole session so far (Bayes' rule):

    P(next = j | history) = sum_z P(z | history) P(j | last, z).

No model that knows nothing but the log can be better in expected log-likelihood, or in expected hit rate at any k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from recsys.data.log import Histories
from recsys.data.simulate.truth import Floats, Ints, check_sizes, draw_rows, popularity
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator

START = 1_767_225_600  # 2026-01-01 in seconds since 1970
GAP_SECONDS = 45.0
TINY = 1e-300


@dataclass(frozen=True)
class Paths:
    """N items, Z topics, K successors an item, S sessions, E events in the order of session and position.

    ``prior`` [Z]. ``emission`` [Z, N], rows sum to 1. ``successor`` int64 [N, K] and ``step`` float64 [N, K]: the successors of each item,
    all different, and their probabilities, rows sum to 1. ``follow``. ``topic`` int64 [S]. ``session``, ``item``, ``time`` int64 [E]
    (microseconds since 1970); items are codes 0..N-1.
    """

    prior: Floats
    emission: Floats
    successor: Ints
    step: Floats
    follow: float
    topic: Ints
    session: Ints
    item: Ints
    time: Ints

    @property
    def num_items(self) -> int:
        return int(self.emission.shape[1])

    def events(self) -> pl.LazyFrame:
        """The log in canonical columns ``session``, ``item``, ``time``."""
        frame = pl.LazyFrame({"session": self.session, "item": self.item, "time": self.time})
        return frame.with_columns(pl.col("time").cast(pl.Datetime("us")))

    def posterior(self, histories: Histories) -> Floats:
        """[Q, Z]: P(topic | history); the prior for an empty history. Histories hold the world's own item codes."""
        items, query = (x.numpy() for x in histories.flat())
        if len(items) and not 0 <= items.min() <= items.max() < self.num_items:
            raise ConfigError(f"Paths got a history with item {items.max()}; the world has items 0 to {self.num_items - 1}")
        evidence = np.log(self.emission.T[items] + TINY)
        inner = np.flatnonzero(query[1:] == query[:-1]) + 1
        before, after = items[inner - 1], items[inner]
        jump = ((self.successor[before] == after[:, None]) * self.step[before]).sum(1)
        evidence[inner] = np.log(self.follow * jump[:, None] + (1 - self.follow) * self.emission.T[after] + TINY)
        added = np.concatenate([np.zeros((1, len(self.prior))), evidence.cumsum(0)])
        end = histories.lengths().cumsum(0).numpy()
        belief = np.log(self.prior + TINY) + added[end] - added[end - histories.lengths().numpy()]
        belief = np.exp(belief - belief.max(1, keepdims=True))
        return np.asarray(belief / belief.sum(1, keepdims=True), dtype=np.float64)

    def next_item(self, histories: Histories) -> Floats:
        """[Q, N]: the exact distribution of the item that follows each history, given that one follows. Histories as in :meth:`posterior`;
        they must begin at their session's first event."""
        spread = self.posterior(histories) @ self.emission
        some = (histories.lengths() > 0).numpy()
        last = histories.items[histories.stop[torch.from_numpy(some)] - 1].numpy().astype(np.int64)
        spread[some] *= 1 - self.follow
        row = np.flatnonzero(some)[:, None]
        spread[row, self.successor[last]] += self.follow * self.step[last]
        return spread


class Optimal:
    """The Bayes-optimal next-item predictor as a :class:`recsys.recommender.Recommender`: a ceiling for trained models.

    Args:
        world: the truth.
        ids: the fold's item ids (``fold.items``); code ``c`` of a history or of a column of scores is the world's item ``ids[c]``.
    """

    def __init__(self, world: Paths, ids: pl.Series) -> None:
        self.world, self.ids = world, ids
        self._code = torch.from_numpy(ids.cast(pl.Int64).to_numpy().copy())

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        return None

    def scores(self, histories: Histories) -> Tensor:
        """float64 [Q, len(ids)]: P(next item | history). An event that training does not know is in no history, and its evidence is
        lost: exact where every item occurs in training."""
        items, _ = histories.flat()
        stop = histories.lengths().cumsum(0)
        told = Histories(self._code[items].int(), stop - histories.lengths(), stop, histories.owner)
        return torch.from_numpy(self.world.next_item(told))[:, self._code]


def paths(
    *,
    sessions: int,
    items: int,
    seed: int = 0,
    topics: int = 1,
    follow: float = 0.7,
    successors: int = 3,
    length: float = 8.0,
    zipf: float = 0.8,
    focus: float = 0.9,
) -> Paths:
    """Draw a world and its sessions.

    Args:
        sessions, items: S and N.
        seed: of everything.
        topics: Z; 1 is a first-order Markov chain.
        follow: probability of going to a successor of the last item.
        successors: K, of each item; drawn uniformly without the item itself, with random probabilities.
        length: mean number of events of a session, at least 2.
        zipf: exponent of the popularity of items inside a topic.
        focus: share of a topic's emissions on the topic's own items (item ``i`` belongs to topic ``i % topics``).

    Raises:
        ConfigError: a size below 1, too many topics or successors for the items, a share outside [0, 1], a mean length below 2.
    """
    check_sizes("paths", sessions=sessions, items=items, topics=topics, successors=successors)
    if topics > items or successors >= items:
        raise ConfigError(f"paths got topics={topics}, successors={successors} for {items} items; topics <= items and successors < items")
    if not (0 <= follow <= 1 and 0 <= focus <= 1 and length >= 2 and zipf >= 0):
        given = f"follow={follow}, focus={focus}, length={length}, zipf={zipf}"
        raise ConfigError(f"paths got {given}; follow and focus lie in [0, 1], length is at least 2 and zipf at least 0")
    g = numpy_generator(seed, "simulate", "paths", "truth")
    weight = popularity(items, zipf, g)
    own = np.arange(items) % topics == np.arange(topics)[:, None]
    emission = focus * own * weight / (own * weight).sum(1, keepdims=True) + (1 - focus) * weight / weight.sum()
    successor = _successors(items, successors, g)
    step = g.dirichlet(np.ones(successors), size=items)
    prior = g.dirichlet(np.full(topics, 5.0))
    g = numpy_generator(seed, "simulate", "paths", "sessions")
    topic = draw_rows(prior[None], np.zeros(sessions, dtype=np.int64), g)
    number = 1 + g.geometric(1 / (length - 1), size=sessions)
    item = _walk(emission, successor, step, follow, topic, number, g)
    session = np.arange(sessions).repeat(number)
    begin = number.cumsum() - number
    gap = (g.exponential(GAP_SECONDS, size=len(item)) + 1).cumsum()
    start = START + 3600.0 * np.arange(sessions)
    time = ((start - gap[begin]).repeat(number) + gap) * 1e6
    return Paths(prior, emission, successor, step, follow, topic, session, item, time.astype(np.int64))


def _successors(items: int, number: int, g: np.random.Generator) -> Ints:
    """[items, number]: different items for each item, uniformly, itself excluded; a draw skips what its row has already."""
    taken = np.arange(items)[:, None]
    for _ in range(number):
        drawn = g.integers(items - taken.shape[1], size=(items, 1))
        for column in np.sort(taken, axis=1).T:
            drawn += drawn >= column[:, None]
        taken = np.concatenate([taken, drawn], axis=1)
    return np.asarray(taken[:, 1:], dtype=np.int64)


def _walk(emission: Floats, successor: Ints, step: Floats, follow: float, topic: Ints, number: Ints, g: np.random.Generator) -> Ints:
    """All sessions' items, [E]; all sessions take their n-th step together."""
    begin = number.cumsum() - number
    item = np.empty(number.sum(), dtype=np.int64)
    for position in range(int(number.max())):
        going = np.flatnonzero(number > position)
        at = begin[going] + position
        item[at] = draw_rows(emission, topic[going], g)
        if position:
            follows = g.random(len(going)) < follow
            at, last = at[follows], item[at[follows] - 1]
            choice = (step[last].cumsum(1) < g.random(len(at))[:, None]).sum(1).clip(max=step.shape[1] - 1)
            item[at] = successor[last, choice]
    return item
