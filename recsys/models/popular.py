from __future__ import annotations

import torch
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.recommender import ClosedForm


class Popular(ClosedForm):
    """Every query gets the items with the most training events: the baseline that any model must beat."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("popularity", torch.zeros(0))

    popularity: Tensor

    def solve(self, train: Log) -> None:
        """Counts events. float32 counts are exact below 2**24 events of one item; above, neighbours in the ranking may tie."""
        self.popularity = train.counts.float()

    def scores(self, histories: Histories) -> Tensor:
        return self.popularity.expand(len(histories), -1)
