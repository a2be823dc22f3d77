from __future__ import annotations

import math

import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.pool import Pool
from recsys.sampling.sampler import Exclude, Per, Proposal, check_num, check_per
from recsys.step import View


class Popularity(Proposal):
    """``num`` items with probability proportional to (training count) ** ``power``, with replacement.

    ``power`` 0.75 is word2vec's unigram distribution (Mikolov et al. 2013); 1 is the empirical distribution; 0 is uniform over the
    items seen in training. Drawn per row, per group, or once for the whole batch.
    """

    def __init__(self, num: int = 1, *, power: float = 0.75, per: Per = "row", exclude: Exclude = "positive") -> None:
        super().__init__(exclude=exclude)
        check_num(num)
        check_per(per)
        self.num, self.power = num, power
        self.per: Per = per

    probability: Tensor
    cumulative: Tensor

    def setup(self, catalog: Catalog) -> None:
        counts = catalog.counts.cpu().double()  # on the CPU, where a cumulative sum is the same every time
        weight = torch.where(counts > 0, counts**self.power, 0.0)
        self.register_buffer("probability", weight / weight.sum(), persistent=False)
        self.register_buffer("cumulative", self.probability.cumsum(0), persistent=False)

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        batch = view.batch
        lists = {"batch": (), "group": (batch.groups,), "row": (len(batch),)}[self.per]
        u = torch.rand((*lists, self.num), generator=view.generator, dtype=torch.float64, device=batch.target.device)
        items = torch.searchsorted(self.cumulative, u * self.cumulative[-1], right=True).clamp_(max=len(self.cumulative) - 1)
        return Pool(items, batch.group if self.per == "group" else None), None

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        return (self.probability[ids].clamp(min=1e-300).log() + math.log(self.num)).float()
