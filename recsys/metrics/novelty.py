from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from recsys.metrics.base import Metric, Ranking, running


class Novelty(Metric):
    """Mean self-information of the items among the first k ranks, -log2(share of the training events that are the item's), in bits.

    Mean self-information of Zhou et al. (2010), whose share is of users. An item without training events counts as if it had one, the
    most that a known item can have. Nan for an empty list. No direction is better by itself: random lists are novel.
    """

    higher_is_better: ClassVar[bool | None] = None
    best: ClassVar[float | None] = None

    def measure(self, ranking: Ranking) -> Tensor:
        items = self.cut(ranking.items)
        known = items >= 0
        information = (ranking.counts.sum().double() / ranking.counts.clamp(min=1)).log2()
        return running(information[items.clamp(min=0)].where(known, 0))[:, -1] / known.sum(1)  # 0 / 0 is nan
