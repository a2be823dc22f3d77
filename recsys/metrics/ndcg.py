from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, discounts, running


class NDCG(Metric):
    """Sum over hits among the first k ranks of 1 / log2(rank + 1), / the same sum for a list that starts with min(relevant, k) hits.

    Binary gain (Järvelin and Kekäläinen 2002, with the usual log2(rank + 1)). Other ideals are in use: a sum over all k ranks
    whatever the number of relevant items, or one that weighs ranks 1 and 2 the same.
    """

    def measure(self, ranking: Ranking) -> Tensor:
        discount = discounts(self.k)
        ideal = running(discount[None])[0]
        best = ideal[ranking.relevant.clamp(1, self.k) - 1]
        return defined(running(self.cut(ranking.hits) * discount)[:, -1] / best, ranking.relevant)
