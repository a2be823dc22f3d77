from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined


class MRR(Metric):
    """1 / rank of the first hit within the first k ranks, 0 if there is none (reciprocal rank; its mean is the MRR)."""

    def measure(self, ranking: Ranking) -> Tensor:
        hits = self.cut(ranking.hits)
        first = hits.int().argmax(1)  # the first of equal maxima
        return defined(hits.any(1).double() / (first + 1), ranking.relevant)
