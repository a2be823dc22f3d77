from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class BPR(Loss):
    """Bayesian personalised ranking: -log sigmoid(s_positive - s_negative), the mean over a row's candidates.

    Rendle et al. 2009 (arXiv 1205.2618), BPR-Opt without the regulariser: see ``recsys.penalties`` for that. With several
    candidates per row the mean is taken, so that their number does not scale the step.
    """

    def forward(self, scored: Scored) -> Tensor:
        return scored.mean(F.softplus(scored.negative - scored.positive[:, None]))
