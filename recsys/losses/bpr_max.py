from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class BPRMax(Loss):
    """BPR-max: -log sum_j w_j sigmoid(s+ - s_j) + ``penalty`` times sum_j w_j s_j^2, w the softmax of a row's candidate scores.

    Hidasi and Karatzoglou 2018 (arXiv 1706.03847, equation 12, with the score regularisation of section 3.3): candidates that score near or
    above the positive carry the gradient, so that more candidates do not dilute it. Computed as a logsumexp, finite for scores of any size.
    Where GRU4Rec passes scores through an ELU, that is the model's output, not the loss. With one candidate and penalty 0 this is BPR.
    """

    def __init__(self, *, penalty: float = 0.0) -> None:
        super().__init__()
        if penalty < 0:
            raise ValueError(f"penalty is {penalty}; the weight of the squared scores is at least 0")
        self.penalty = penalty

    def forward(self, scored: Scored) -> Tensor:
        weight = shares(scored)
        log_weight = weight.clamp(min=torch.finfo(weight.dtype).tiny).log()
        terms = scored.masked(log_weight + F.logsigmoid(scored.positive[:, None] - scored.negative))
        some = scored.number() > 0
        value = -torch.where(some[:, None], terms, 0.0).logsumexp(1)
        value = torch.where(some, value, 0.0)
        return value + self.penalty * (weight * scored.negative.square()).sum(1) if self.penalty else value


def shares(scored: Scored) -> Tensor:
    """[R, K]: the softmax of a row's candidate scores, 0 where a candidate is not valid (and everywhere in a row without any)."""
    lowest = torch.finfo(scored.negative.dtype).min
    valid = scored.draw.valid
    masked = scored.negative if valid is None else scored.negative.masked_fill(~valid, lowest)
    weight = masked.softmax(1)
    return weight if valid is None else weight * valid
