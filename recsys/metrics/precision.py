from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, running


class Precision(Metric):
    """Hits among the first k ranks / k.

    The denominator is k also for a list shorter than k, and for a query with fewer than k relevant items.
    """

    def measure(self, ranking: Ranking) -> Tensor:
        return defined(running(self.cut(ranking.hits))[:, -1] / self.k, ranking.relevant)
