from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, running


class DCGLog2Rank(Metric):
    """Sum over hits among the first k ranks of 1 / log2(max(rank, 2)): ranks 1 and 2 weigh the same, and no ideal list divides it.

    For parity with the code of Rel-MF (Saito et al. 2020), which also counts a query with nothing relevant, as 0, and gives an
    irrelevant item a relevance of 0.001. The first form of DCG (Järvelin and Kekäläinen 2002) with base 2.
    """

    best: ClassVar[float | None] = None

    def measure(self, ranking: Ranking) -> Tensor:
        discount = torch.arange(1, self.k + 1, dtype=torch.double).clamp(min=2).log2().reciprocal()
        return defined(running(self.cut(ranking.hits) * discount)[:, -1], ranking.relevant)
