from __future__ import annotations

import torch
from torch import Tensor

from recsys.losses.bpr_max import log_shares
from recsys.losses.loss import Loss
from recsys.step import Scored


class Top1Max(Loss):
    """TOP1-max: sum_j w_j (sigmoid(s_j - s+) + sigmoid(s_j^2)), w the softmax of a row's candidate scores.

    Hidasi and Karatzoglou 2018 (arXiv 1706.03847, equation 8). The second term pulls candidate scores to 0. Bounded by 2.
    """

    def forward(self, scored: Scored) -> Tensor:
        terms = torch.sigmoid(scored.negative - scored.positive[:, None]) + torch.sigmoid(scored.negative.square())
        return torch.where(scored.number() > 0, (log_shares(scored, scored.negative).exp() * terms).sum(1), 0.0)
