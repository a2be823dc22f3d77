from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, running


class AveragePopularity(Metric):
    """Mean number of training events of the items among the first k ranks; nan for an empty list.

    Also called ARP (average recommendation popularity). No direction is better by itself.
    """

    higher_is_better: ClassVar[bool | None] = None
    best: ClassVar[float | None] = None

    def measure(self, ranking: Ranking) -> Tensor:
        items = self.cut(ranking.items)
        known = items >= 0
        counts = ranking.counts[items.clamp(min=0)] * known
        return running(counts)[:, -1] / known.sum(1)  # 0 / 0 is nan
