from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class BCE(Loss):
    """Binary cross entropy: -log sigmoid(s_positive) - mean over candidates of log sigmoid(-s_negative).

    He et al. 2017 (NCF, equation 7) sum over candidates; the mean here keeps positive and negatives in balance whatever their number.
    """

    def forward(self, scored: Scored) -> Tensor:
        return F.softplus(-scored.positive) + scored.mean(F.softplus(scored.negative))
