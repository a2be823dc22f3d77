from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class Hinge(Loss):
    """Pairwise hinge: the mean over candidates of max(0, ``margin`` - s+ + s_j).

    Collaborative metric learning (Hsieh et al. 2017, equation 1) is this loss on distances: of vectors of length 1, |u - i|^2 = 2 - 2 cos, so
    that a model of cosines with half the margin has the same gradients up to a factor.
    """

    def __init__(self, *, margin: float = 1.0) -> None:
        super().__init__()
        if not margin > 0:
            raise ValueError(f"margin is {margin}; it is above 0")
        self.margin = margin

    def forward(self, scored: Scored) -> Tensor:
        return scored.mean(F.relu(self.margin - scored.positive[:, None] + scored.negative))
