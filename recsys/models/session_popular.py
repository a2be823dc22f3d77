from __future__ import annotations

import torch
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.recommender import ClosedForm


class SessionPopular(ClosedForm):
    """The items of the session so far, those clicked most often first, then the most popular ones: S-POP (Hidasi et al. 2016).

    score(i) = clicks on i in the history + (training events of i) / (1 + the most of any item), so popularity orders what the session has
    equally often. Repeats must not be masked (``evaluation.mask_seen``), or this is :class:`recsys.models.Popular`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("popularity", torch.zeros(0))

    popularity: Tensor

    def solve(self, train: Log) -> None:
        self.popularity = (train.counts / (1 + train.counts.max())).float()

    def scores(self, histories: Histories) -> Tensor:
        item, query = (part.to(self.popularity.device) for part in histories.flat())
        clicks = torch.zeros(len(histories) * len(self.popularity), device=self.popularity.device)
        clicks.scatter_add_(0, query * len(self.popularity) + item, torch.ones_like(item, dtype=clicks.dtype))
        return clicks.view(len(histories), -1) + self.popularity
