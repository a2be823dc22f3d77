from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class Hinge(Loss):
    """Pairwise hinge: the mean over candidates of max(0, ``margin`` - s+ + s_j).

    On squared distances, weighted by ranks, it is collaborative metric learning: :class:`CML`.
    """

    def __init__(self, *, margin: float = 1.0) -> None:
        super().__init__()
        if not margin > 0:
            raise ValueError(f"margin is {margin}; it is above 0")
        self.margin = margin

    def forward(self, scored: Scored) -> Tensor:
        return scored.mean(F.relu(self.margin - scored.positive[:, None] + scored.negative))
