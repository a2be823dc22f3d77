from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.catalog import Catalog
from recsys.losses.loss import Loss
from recsys.step import Scored


class WARP(Loss):
    """Weighted approximate-rank pairwise loss: Phi(rank) times the mean hinge max(0, ``margin`` - s+ + s_j) over the violators of a row.

    Weston, Bengio and Usunier 2011 (equations 3 to 6): Phi(k) = 1 + 1/2 + ... + 1/k. They draw candidates one at a time until one violates
    the margin and estimate the rank from the number of trials; here all candidates of a row are scored at once, and
    rank = floor((N - 1) violators / candidates), at least 1 where there is a violator: the same quantity without the luck of the order. No
    gradient passes through the rank.
    """

    monotone = False

    def __init__(self, *, margin: float = 1.0) -> None:
        super().__init__()
        if not margin > 0:
            raise ValueError(f"margin is {margin}; it is above 0")
        self.margin = margin

    harmonic: Tensor

    def setup(self, catalog: Catalog) -> None:
        numbers = torch.arange(catalog.num_items, dtype=torch.double, device=catalog.device).clamp(min=1).reciprocal()
        numbers[0] = 0
        self.register_buffer("harmonic", numbers.cumsum(0), persistent=False)

    def forward(self, scored: Scored) -> Tensor:
        gap = F.relu(self.margin - scored.positive[:, None] + scored.negative)
        valid = scored.valid()
        gap = gap if valid is None else gap * valid
        violators = (gap > 0).sum(1)
        rank = ((len(self.harmonic) - 1) * violators / scored.number().clamp(min=1)).long()
        weight = self.harmonic[torch.where(violators > 0, rank.clamp(min=1), 0)].to(gap.dtype)
        share = (gap > 0).to(gap.dtype) if scored.draw.share is None else (gap > 0) * scored.draw.share
        total = share.sum(1)
        return weight * (share * gap).sum(1) / torch.where(total > 0, total, 1.0)
