from __future__ import annotations

from torch import Tensor

from recsys.losses.loss import Loss
from recsys.step import Scored


class WeightedMSE(Loss):
    """Weighted least squares: (1 - s+)^2 + ``weight`` times the mean over candidates of s_j^2.

    The objective of implicit ALS by gradient steps on drawn pairs, for scores of any model. With candidates from all N items,
    ``All(exclude="nothing")`` or uniform draws with exclude="nothing", the rows of a user with n events sum to
    sum over its events of (1 - s)^2 + (weight n / N) times the sum over all items of s^2: that of Rendle et al. 2022 (arXiv 2110.14037,
    section 3) with a weight of unobserved pairs alpha_0 = weight n / N that grows with n. Up to a constant, it gives an observed pair the
    confidence 1 + alpha_0 and the target 1 / (1 + alpha_0), an unobserved one alpha_0 and 0; Hu, Koren and Volinsky 2008 have 1 + alpha, 1,
    1 and 0. With candidates that leave observed items out, targets are 1 and 0. :class:`WMF` squares probabilities, of labelled pairs.
    """

    monotone = False

    def __init__(self, *, weight: float = 10.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight is {weight}; it is at least 0")
        self.weight = weight

    def forward(self, scored: Scored) -> Tensor:
        return (1 - scored.positive).square() + self.weight * scored.mean(scored.negative.square())
