from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.data.log import Holdout
from recsys.errors import RecsysError
from recsys.evaluation import mean
from recsys.metrics import Ranking
from recsys.metrics.base import running


@dataclass(frozen=True)
class Given:
    """What a library is asked to measure: a ranking of Q queries, and ``unknown`` int64 [Q]: how many of a query's relevant items
    training does not know (they are part of ``ranking.relevant``)."""

    ranking: Ranking
    unknown: Tensor

    def __post_init__(self) -> None:
        relevant = self.ranking.relevant
        if self.unknown.shape != relevant.shape or bool((self.unknown > relevant).any()):
            raise ValueError(
                f"unknown counts some of the relevant items of each of {len(relevant)} queries, got shape {tuple(self.unknown.shape)} "
                "or more than are relevant"
            )

    @classmethod
    def of(cls, lists: Tensor, holdout: Holdout, counts: Tensor) -> Given:
        """From the stored ``lists`` of an evaluation ([Q, K], -1 past the end), the holdout that it measured and the training events of
        each item. Scores, which are not stored, fall by rank.

        Raises:
            RecsysError: the lists are not those of this holdout.
        """
        if len(lists) != len(holdout):
            raise RecsysError(f"{len(lists)} lists for a holdout of {len(holdout)} queries; give the holdout that they were made for")
        items, row, size = lists.long(), torch.arange(len(lists)), len(counts)
        answers = row.repeat_interleave(holdout.offsets.diff()) * size + holdout.items.long()
        hits = torch.isin(row[:, None] * size + items, answers) & (items >= 0)
        scores = -torch.arange(items.shape[1]).double().expand(items.shape).masked_fill(items < 0, torch.inf)
        return cls(Ranking(items, scores, hits, holdout.relevant(), counts.cpu().long()), holdout.unknown.long())

    @property
    def counted(self) -> Tensor:
        """bool [Q]: queries with something relevant, our population."""
        return self.ranking.relevant > 0

    @property
    def listed(self) -> Tensor:
        """bool [Q]: queries with at least one recommended item."""
        return (self.ranking.items[:, :1] >= 0).any(1)

    @property
    def trained(self) -> int:
        """How many items have training events."""
        return int((self.ranking.counts > 0).sum())

    def hits(self, k: int) -> Tensor:
        """float64 [Q]: hits among the first k ranks."""
        return self.ranking.hits[:, :k].double().sum(1)

    def precisions(self, k: int) -> Tensor:
        """float64 [Q, k]: hits among the first r ranks / r, for r = 1 to k."""
        return running(self.ranking.hits[:, :k]) / torch.arange(1, k + 1, dtype=torch.double)

    def precision_at_hits(self, k: int) -> Tensor:
        """float64 [Q]: the sum over hits among the first k ranks of (hits up to that rank / rank)."""
        return (self.precisions(k) * self.ranking.hits[:, :k]).sum(1)

    def ndcg(self, weight: Tensor) -> Tensor:
        """float64 [Q]: weights of the ranks that hit, / those of the first min(relevant, k) ranks, for weights [k] of the ranks."""
        k = len(weight)
        ideal = weight.cumsum(0)[self.ranking.relevant.clamp(1, k) - 1]
        return running(self.ranking.hits[:, :k] * weight)[:, -1] / ideal

    def distinct(self, k: int, among: Tensor | None = None) -> int:
        """How many items are among the first k ranks of at least one list, of those queries only where ``among`` bool [Q] is True."""
        items = self.ranking.items[:, :k] if among is None else self.ranking.items[among, :k]
        return int(torch.unique(items[items >= 0]).numel())


def mean_of(values: Tensor, among: Tensor) -> float:
    """The mean of values [Q] over the queries where ``among`` bool [Q] is True; nan if there are none."""
    return mean(values[among])


def original_discounts(k: int) -> Tensor:
    """float64 [k]: 1 / log2(max(rank, 2)) (Järvelin and Kekäläinen 2002), so that ranks 1 and 2 weigh the same."""
    return torch.arange(1, k + 1, dtype=torch.double).clamp(min=2).log2().reciprocal()
