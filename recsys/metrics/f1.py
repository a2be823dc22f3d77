from __future__ import annotations

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, running


class F1(Metric):
    """2 x hits among the first k ranks / (k + number of relevant items): the harmonic mean of the query's precision and recall at k.

    0 without a hit. The mean over queries is that of their F1 (Yu and Qin 2020), not the F1 of mean precision and mean recall.
    """

    def measure(self, ranking: Ranking) -> Tensor:
        return defined(2 * running(self.cut(ranking.hits))[:, -1] / (self.k + ranking.relevant), ranking.relevant)
