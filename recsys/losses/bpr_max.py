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
    ``elu`` (GRU4Rec+: 0.5) is the alpha of an ELU that all scores pass through first, so that none counts less than -alpha. It changes no
    order, so that it is part of the loss here and not of the model. With one candidate, penalty 0 and no ELU this is BPR.
    """

    def __init__(self, *, penalty: float = 0.0, elu: float | None = None) -> None:
        super().__init__()
        if penalty < 0:
            raise ValueError(f"penalty is {penalty}; the weight of the squared scores is at least 0")
        if elu is not None and not elu > 0:
            raise ValueError(f"elu is {elu}; its alpha is above 0, and None leaves scores as they are")
        self.penalty, self.elu = penalty, elu

    def forward(self, scored: Scored) -> Tensor:
        positive, negative = scored.positive, scored.negative
        if self.elu is not None:
            positive, negative = F.elu(positive, self.elu), F.elu(negative, self.elu)
        log_weight = log_shares(scored, negative)
        value = -(log_weight + F.logsigmoid(positive[:, None] - negative)).logsumexp(1)
        if self.penalty:
            value = value + self.penalty * (log_weight.exp() * negative.square()).sum(1)
        return torch.where(scored.number() > 0, value, 0.0)


def log_shares(scored: Scored, logit: Tensor) -> Tensor:
    """[R, K]: the logarithm of the softmax of a row's logits [R, K] over its candidates, each counted as often as the draw's share says if
    it has any, so that the weights of a row sum to 1; -inf where a candidate is not valid, but in a row without any valid one, whose value
    means nothing."""
    if scored.draw.share is not None:
        logit = logit + scored.draw.share.clamp(min=1e-30).log()
    return torch.where((scored.number() > 0)[:, None], scored.masked(logit), 0.0).log_softmax(1)
