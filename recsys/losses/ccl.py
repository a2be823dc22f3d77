from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class CCL(Loss):
    """Cosine contrastive loss: max(0, 1 - s+) + ``weight`` times the mean over candidates of max(0, s_j - ``margin``).

    Mao et al. 2021 (SimpleX, arXiv 2109.12613, equation 3), with scores that are cosines. The paper writes 1 - s+; the hinge is that of the
    authors' code, and differs where dropout takes a positive above 1. A candidate below the margin costs nothing, in value and in time:
    hundreds to thousands of candidates a positive are meant.
    """

    def __init__(self, *, margin: float = 0.8, weight: float = 150.0) -> None:
        super().__init__()
        if not -1 <= margin < 1:
            raise ValueError(f"margin is {margin}; a cosine from which candidates are pushed away lies between -1 and 1")
        if weight < 0:
            raise ValueError(f"weight is {weight}; it is at least 0")
        self.margin, self.weight = margin, weight

    def needs(self) -> dict[str, str]:
        return {**super().needs(), "cosine": "its margin is one of cosines"}

    def forward(self, scored: Scored) -> Tensor:
        return F.relu(1 - scored.positive) + self.weight * scored.mean(F.relu(scored.negative - self.margin))
