from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class GBCE(Loss):
    """Generalised binary cross entropy: -beta log sigmoid(s+) - the sum over candidates of log sigmoid(-s_j).

    Petrov and Macdonald 2023 (gSASRec, arXiv 2308.07192, equations 12 and 13): alpha = K / (N - 1) is the share of negatives that a row
    meets, beta = alpha (t (1 - 1 / alpha) + 1 / alpha). ``calibration`` t = 0 is plain BCE summed over candidates; t = 1 undoes the
    overconfidence that comes from meeting few negatives. Written in closed form, sigmoid^beta is never computed.
    """

    def __init__(self, *, calibration: float = 0.75) -> None:
        super().__init__()
        if not 0 <= calibration <= 1:
            raise ValueError(f"calibration is {calibration}; it lies between 0 (plain BCE) and 1 (fully calibrated)")
        self.calibration = calibration

    def forward(self, scored: Scored) -> Tensor:
        number = scored.number()
        alpha = number / (scored.catalog.num_items - 1)
        beta = self.calibration * (alpha - 1) + 1
        return beta * F.softplus(-scored.positive) + number * scored.mean(F.softplus(scored.negative))
