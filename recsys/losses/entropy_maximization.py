from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class EntropyMaximization(Loss):
    """Candidates as unknown, not as negative: -log p+ - ``weight`` times the mean over candidates of the entropy of p_j, p = sigmoid(s).

    Zhou et al. 2022 (arXiv 2203.16219), for data with a single observed label of many. H(p) = -p log p - (1 - p) log(1 - p) is largest at
    p = 1/2: a candidate is pulled to the score 0, by weight s p (1 - p), which lets go of one that scores high and may be a positive not
    observed. They sum over labels: their alpha is weight / K for K candidates. Their pseudo-labels, set epoch by epoch for the lowest
    probabilities, are left out.
    """

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight is {weight}; it is at least 0 (0: positives alone)")
        self.weight = weight

    def forward(self, scored: Scored) -> Tensor:
        score = scored.negative
        entropy = torch.sigmoid(score) * F.softplus(-score) + torch.sigmoid(-score) * F.softplus(score)
        return F.softplus(-scored.positive) - self.weight * scored.mean(entropy)
