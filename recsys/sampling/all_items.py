from __future__ import annotations

import torch
from torch import Tensor

from recsys.pool import Pool
from recsys.sampling.sampler import Proposal
from recsys.step import View


class All(Proposal):
    """The whole catalogue for every row, each item once: no sampling. With Softmax this is the full cross entropy.

    Memory is R x N scores, and every row of the item table gets a gradient.
    """

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        return Pool(torch.arange(view.catalog.num_items, device=view.batch.target.device)), None

    def masked(self, view: View, ids: Tensor) -> Tensor | None:
        if self.exclude != "positive":
            return super().masked(view, ids)
        target = view.batch.target[:, None]  # an item's column is its code
        return torch.zeros(len(target), ids.shape[1], dtype=torch.bool, device=ids.device).scatter_(1, target, True)

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        return torch.zeros(1, ids.shape[1], device=ids.device)
