from __future__ import annotations

import torch
from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, running


class MAP(Metric):
    """Sum over hits among the first k ranks of (hits up to that rank / rank), / min(relevant, k): average precision, its mean is MAP.

    The normaliser makes a perfect list score 1. Rel-MF and others leave it out; ranx and trec_eval divide by the number of relevant
    items without the cap.
    """

    def measure(self, ranking: Ranking) -> Tensor:
        hits = self.cut(ranking.hits)
        precision = running(hits) / torch.arange(1, self.k + 1, dtype=torch.double)
        return defined(running(precision * hits)[:, -1] / ranking.relevant.clamp(max=self.k), ranking.relevant)
