from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class SelfAdversarial(Loss):
    """Self-adversarial negatives: -log sigmoid(margin + s+) - sum_j p_j log sigmoid(-s_j - margin), p = softmax(``sharpness`` s_j).

    Sun et al. 2019 (RotatE, arXiv 1902.10197, equations 4 and 5), with scores in place of negative distances. No gradient passes through p.
    ``sharpness`` 0 and ``margin`` 0 is BCE.
    """

    surrogate = True

    def __init__(self, *, sharpness: float = 1.0, margin: float = 0.0) -> None:
        super().__init__()
        if sharpness < 0:
            raise ValueError(f"sharpness is {sharpness}; it is at least 0 (0: all candidates weigh the same)")
        self.sharpness, self.margin = sharpness, margin

    def forward(self, scored: Scored) -> Tensor:
        lowest = torch.finfo(scored.negative.dtype).min
        valid = scored.valid()
        logit = self.sharpness * scored.negative.detach()
        share = (logit if valid is None else logit.masked_fill(valid == 0, lowest)).softmax(1)
        if scored.draw.share is not None:
            share = share * scored.draw.share * scored.number()[:, None]
        share = share if valid is None else share * valid
        return F.softplus(-scored.positive - self.margin) + (share * F.softplus(scored.negative + self.margin)).sum(1)
