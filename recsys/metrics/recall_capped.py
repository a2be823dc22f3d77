from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, running


class RecallCapped(Metric):
    """Hits among the first k ranks / min(number of relevant items, k).

    Some libraries call this recall, or precision.
    """

    def measure(self, ranking: Ranking) -> Tensor:
        return defined(running(self.cut(ranking.hits))[:, -1] / ranking.relevant.clamp(max=self.k), ranking.relevant)
