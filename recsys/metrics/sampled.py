from __future__ import annotations

from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.catalog import contains
from recsys.metrics.base import AtK, Metric
from recsys.randomness import generator

Law = Literal["uniform", "popularity"]

DRAWN = 4096
"""Queries whose candidates are drawn together. The draws depend on it."""

CELLS = 1 << 22
"""Keys of a draw from the whole catalogue in memory at once."""


class Sampled(AtK):
    """A metric of lists of the relevant items and ``num`` other candidates of each query. It has no better direction, by intent.

    Its expectation is another function of the exact ranks than the metric, and may order two models the other way round (Krichene and
    Rendle 2020, "On sampled metrics for item recommendation"; :func:`recsys.metrics.expected_sampled` computes it). For parity with
    publications that report it: it selects nothing, and its name, ``ndcg@10~uniform99``, is not that of the metric.

    The others are drawn without replacement from what the evaluation ranks for the query (the whole catalogue, less its own items where
    these are masked) and is not relevant to it. Draws depend on the seed and the place of the query in the holdout, not on the model.

    Args:
        metric: measured on those lists; one with a better direction.
        num: drawn candidates of a query; all, where there are fewer.
        law: "uniform", or "popularity": one after the other, in proportion to training events among those left.
        seed: of the draws.
    """

    higher_is_better: ClassVar[bool | None] = None
    best: ClassVar[float | None] = None

    def __init__(self, metric: Metric, *, num: int = 99, law: Law = "uniform", seed: int = 0) -> None:
        if not isinstance(metric, Metric) or not metric.higher_is_better:
            raise ValueError(f"{metric!r} has no sampled variant; only metrics of each query that say how good it is have one")
        if num < 1:
            raise ValueError(f"{num} sampled candidates are asked for; at least 1 is needed")
        if law not in get_args(Law):
            raise ValueError(f"candidates are sampled by one of the laws {', '.join(get_args(Law))}, got {law!r}")
        super().__init__(metric.k)
        self.metric, self.num, self.law, self.seed = metric, num, law, seed

    @property
    def scheme(self) -> str:
        """What follows ``~`` in the name. Metrics with the same one are measured on the same lists."""
        return f"{self.law}{self.num}" + (f"-seed{self.seed}" if self.seed else "")

    @property
    def name(self) -> str:
        return f"{self.metric.name}~{self.scheme}"

    @property
    def definition(self) -> str:
        return (
            f"Among the relevant items and {self.num} others only, drawn by {self.law} for each query (seed {self.seed}): "
            f"{self.metric.definition}"
        )

    def __repr__(self) -> str:
        return f"Sampled({self.metric!r}, num={self.num}, law={self.law!r}, seed={self.seed})"

    def candidates(
        self, relevant: Tensor, masked: Tensor, counts: Tensor, allowed: Tensor, *, first: int, size: int
    ) -> tuple[Tensor, Tensor]:
        """What is ranked for the queries ``first`` ... ``first + size - 1`` of a holdout: items int64, ascending inside a query, and
        offsets int64 [size + 1].

        ``relevant``, ``masked`` int64: pairs as query * N + item, queries counted from ``first``, the relevant ones distinct; ``counts``
        int64 [N] training events, ``allowed`` bool [N] what may be recommended.
        """
        weight = allowed.double() if self.law == "uniform" else counts.double() * allowed
        stream = generator(self.seed, "sampled candidates", self.law, self.num, first)
        taken: Tensor = torch.unique(torch.cat([relevant, masked]))
        drawn = _distinct(taken, weight, size, self.num, stream)
        pair = torch.cat([relevant, drawn]).sort().values
        return pair % len(weight), F.pad(torch.bincount(pair // len(weight), minlength=size).cumsum(0), (1, 0))


def _distinct(taken: Tensor, weight: Tensor, rows: int, num: int, stream: torch.Generator) -> Tensor:
    """Pairs, int64, of ``num`` distinct items for each row, none of them among ``taken`` (pairs, ascending); all that have a weight, where
    there are fewer. Items come one after the other, each with probability proportional to ``weight`` [N] among those left.

    Draws with replacement whose repetitions are left out have that law. The few rows for which some draws do not suffice (nearly all
    items wanted or taken, or few with most of the weight) draw the rest from the whole catalogue at once.
    """
    items, total = len(weight), weight.cumsum(0)
    possible = weight > 0
    free = possible.sum() - torch.bincount(taken // items, weights=possible[taken % items].double(), minlength=rows).long()
    wanted = free.clamp(max=num)
    if not bool((wanted > 0).any()):
        return taken[:0]
    u = torch.rand((rows, 2 * num + 16), generator=stream, dtype=torch.double) * total[-1]
    item = torch.searchsorted(total, u, right=True).clamp(max=int(possible.nonzero()[-1]))
    pair = (torch.arange(rows)[:, None] * items + item).flatten()
    pair = pair[~contains(taken, pair)]
    pair = pair[torch.from_numpy(np.sort(np.unique(pair.numpy(), return_index=True)[1]))]
    row = pair // items
    number = torch.bincount(row, minlength=rows)
    drawn = pair[torch.arange(len(pair)) - (number.cumsum(0) - number)[row] < num]
    missing = wanted - number.clamp(max=num)
    short, found = missing.nonzero()[:, 0], [drawn]
    for at in range(0, len(short), size := max(1, CELLS // items)):
        some = short[at : at + size]
        found.append(_race(some, missing[some], torch.cat([taken, drawn]), weight, stream))
    return torch.cat(found)


def _race(rows: Tensor, number: Tensor, taken: Tensor, weight: Tensor, stream: torch.Generator) -> Tensor:
    """Pairs of the next ``number`` [R] items for each of ``rows`` [R], ascending, by the same law: those with the smallest of exponential
    arrival times of rate ``weight`` (Efraimidis and Spirakis 2006)."""
    items = len(weight)
    arrival = torch.rand((len(rows), items), generator=stream, dtype=torch.double).log_().neg_() / weight
    taken = taken[torch.isin(taken // items, rows)]
    arrival[torch.searchsorted(rows, taken // items), taken % items] = torch.inf
    first = arrival.topk(int(number.max()), dim=1, largest=False).indices
    return (rows[:, None] * items + first)[torch.arange(first.shape[1]) < number[:, None]]
