from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, discounts, running


class NDCGUncapped(Metric):
    """Sum over hits among the first k ranks of 1 / log2(rank + 1), / the same sum for a list of all relevant items, also beyond rank k.

    For parity with PLD (Zhang et al. 2025), whose code has this ideal. Below ndcg for queries with more than k relevant items, whose
    best list scores below 1; equal to it for others.
    """

    def measure(self, ranking: Ranking) -> Tensor:
        relevant = ranking.relevant.clamp(min=1)
        deepest = max(self.k, int(relevant.max())) if len(relevant) else self.k
        ideal = running(discounts(deepest)[None])[0]
        gained = running(self.cut(ranking.hits) * discounts(self.k))[:, -1]
        return defined(gained / ideal[relevant - 1], ranking.relevant)
