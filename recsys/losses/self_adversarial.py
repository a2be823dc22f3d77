from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.bpr_max import log_shares
from recsys.losses.loss import Loss
from recsys.step import Scored


class SelfAdversarial(Loss):
    """Self-adversarial negatives: -log sigmoid(margin + s+) - sum_j p_j log sigmoid(-s_j - margin), p = softmax(``sharpness`` s_j).

    Sun et al. 2019 (RotatE, arXiv 1902.10197, equations 4 and 5), with scores in place of negative distances. No gradient passes through p.
    ``sharpness`` 0 and ``margin`` 0 is BCE. Shares that the draw has set are factors inside the softmax, so that p sums to 1: with
    :class:`recsys.sampling.SelfWeighted` the two sharpnesses add.
    """

    surrogate = True

    def __init__(self, *, sharpness: float = 1.0, margin: float = 0.0) -> None:
        super().__init__()
        if sharpness < 0:
            raise ValueError(f"sharpness is {sharpness}; it is at least 0 (0: all candidates weigh the same)")
        self.sharpness, self.margin = sharpness, margin

    def forward(self, scored: Scored) -> Tensor:
        share = log_shares(scored, self.sharpness * scored.negative.detach()).exp()
        push = (share * F.softplus(scored.negative + self.margin)).sum(1)
        return F.softplus(-scored.positive - self.margin) + torch.where(scored.number() > 0, push, 0.0)
