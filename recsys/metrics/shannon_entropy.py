from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from recsys.metrics.base import ListMetric


class ShannonEntropy(ListMetric):
    """-sum p log2 p, in bits: p is the share of an item in all that stands among the first k ranks of the lists.

    Between 0, one item alone, and log2 of the number of items that the model may recommend, all equally often (Shani and Gunawardana
    2011, section 8.3). Others take the natural logarithm. Undefined where nothing was recommended.
    """

    higher_is_better: ClassVar[bool | None] = None
    best: ClassVar[float | None] = None

    def measure(self, exposure: Tensor, candidates: Tensor) -> float:
        shown = exposure[candidates & (exposure > 0)].sort().values.double()  # sorted: the sum depends on no code
        share = shown / shown.sum()
        return abs(float((share * share.log2()).sum())) if len(share) else float("nan")
