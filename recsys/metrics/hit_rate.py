from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined


class HitRate(Metric):
    """1 if any of the first k ranks is a hit, else 0."""

    def measure(self, ranking: Ranking) -> Tensor:
        return defined(self.cut(ranking.hits).any(1).double(), ranking.relevant)
