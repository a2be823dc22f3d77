from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from recsys.metrics.base import Metric, Ranking, defined, running


class MAPUnnormalized(Metric):
    """Sum over hits among the first k ranks of (hits up to that rank / rank), divided by nothing: up to k, not up to 1.

    For parity with the code of Rel-MF (Saito et al. 2020), which also counts a query with nothing relevant, as 0.
    """

    best: ClassVar[float | None] = None

    def measure(self, ranking: Ranking) -> Tensor:
        hits = self.cut(ranking.hits)
        precision = running(hits) / torch.arange(1, self.k + 1, dtype=torch.double)
        return defined(running(precision * hits)[:, -1], ranking.relevant)
