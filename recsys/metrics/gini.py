from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from recsys.metrics.base import ListMetric


class Gini(ListMetric):
    """Gini index of how often each item that the model may recommend is among the first k ranks: 0 if all equally often, 1 if one alone.

    With x_1 <= ... <= x_N the numbers of lists, sum_j (2 j - N - 1) x_j / ((N - 1) sum_j x_j) (Shani and Gunawardana 2011, section 8.3).
    Others divide by N instead of N - 1. Undefined for fewer than two items and where nothing was recommended.
    """

    higher_is_better: ClassVar[bool | None] = None

    def measure(self, exposure: Tensor, candidates: Tensor) -> float:
        shown = exposure[candidates].sort().values
        size, total = len(shown), int(shown.sum())
        if size < 2 or not total:
            return float("nan")
        return int(((2 * torch.arange(1, size + 1) - size - 1) * shown).sum()) / ((size - 1) * total)
