from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class BPO(Loss):
    """Bayesian point-wise optimisation: -K log sigmoid(s_positive) - sum over K candidates of log sigmoid(-s_negative).

    NBPO (Yu and Qin 2020, arXiv 2007.07204) without noise. It is K times :class:`BCE`: candidates are summed, and the positive is taken
    once with each of them, as the authors' code does. K is the number of valid candidates, and 1 for a row without any, which is left
    with its positive. Their step is a sum over rows too: ``fit.denominator: sum``.
    """

    def forward(self, scored: Scored) -> Tensor:
        positive, negative = self.costs(scored)
        return scored.number().clamp(min=1) * (positive + scored.mean(negative))

    def costs(self, scored: Scored) -> tuple[Tensor, Tensor]:
        """What each positive [R] and each candidate [R, K] costs."""
        return F.softplus(-scored.positive), F.softplus(scored.negative)
