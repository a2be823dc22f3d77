from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class Asymmetric(Loss):
    """Asymmetric loss: -(1 - p+)^gamma_positive log p+ - the mean over candidates of q_j^gamma_negative log(1 - q_j), p = sigmoid(s).

    Ridnik et al. 2021 (ASL, arXiv 2009.14119), for labels that are many and mostly negative. q = max(p - ``margin``, 0):
    an easy candidate, of probability below the margin, counts for nothing, and the power leaves little of those that are fairly easy. They
    sum over labels; the mean keeps the balance whatever the number of candidates. With both powers and the margin 0 this is :class:`BCE`.
    """

    def __init__(self, *, gamma_positive: float = 0.0, gamma_negative: float = 4.0, margin: float = 0.05) -> None:
        super().__init__()
        for name, gamma in (("gamma_positive", gamma_positive), ("gamma_negative", gamma_negative)):
            if gamma < 0:
                raise ValueError(f"{name} is {gamma}; a power of a probability is at least 0 (0: all count alike)")
        if not 0 <= margin < 1:
            raise ValueError(f"margin is {margin}; a probability below which candidates count for nothing is at least 0 and below 1")
        self.gamma_positive, self.gamma_negative, self.margin = gamma_positive, gamma_negative, margin

    def forward(self, scored: Scored) -> Tensor:
        observed = (self.gamma_positive * F.logsigmoid(-scored.positive)).exp() * F.softplus(-scored.positive)
        return observed + scored.mean(self._unobserved(scored.negative))

    def _unobserved(self, score: Tensor) -> Tensor:
        shifted = torch.sigmoid(score) - self.margin
        counts = shifted > 0
        power = torch.where(counts, shifted, 1.0) ** self.gamma_negative  # the slope of 0^gamma is infinite for gamma below 1
        margin = score.new_full((), math.log(self.margin) if self.margin else -math.inf)
        return torch.where(counts, -power * torch.logaddexp(F.logsigmoid(-score), margin), 0.0)  # 1 - q = sigmoid(-s) + margin
