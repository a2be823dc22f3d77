from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, running


class Recall(Metric):
    """Hits among the first k ranks / number of relevant items.

    With more than k relevant items the best list scores below 1; :class:`RecallCapped` divides by min(relevant, k) instead.
    """

    def measure(self, ranking: Ranking) -> Tensor:
        return defined(running(self.cut(ranking.hits))[:, -1] / ranking.relevant, ranking.relevant)
