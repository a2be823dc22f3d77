from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.step import Scored


class CML(Loss):
    """Collaborative metric learning: log(1 + rank) max(0, ``margin`` + d+ - min_j d_j), d = |u - i|^2 the squared distance.

    Hsieh et al. 2017 (section 3.1). As in the authors' code the closest candidate makes the hinge, and rank = N violators / candidates, of
    the candidates within the margin. They keep vectors within the unit ball; here they have length 1, so that d = 2 - 2 s for cosines s,
    and the nearest items are those with the highest scores. Their penalty on covariances and their features are left out. No gradient
    passes through the rank.
    """

    def __init__(self, *, margin: float = 0.5) -> None:
        super().__init__()
        if not 0 < margin <= 4:
            raise ValueError(f"margin is {margin}; a margin of squared distances between vectors of length 1 is above 0 and at most 4")
        self.margin = margin

    def needs(self) -> dict[str, str]:
        return {**super().needs(), "cosine": "its distances are those of vectors of length 1"}

    def forward(self, scored: Scored) -> Tensor:
        gap = F.relu(self.margin + 2 * (scored.negative - scored.positive[:, None]))
        valid = scored.valid()
        gap = gap if valid is None else gap * valid
        rank = scored.catalog.num_items * (gap > 0).sum(1) / scored.number().clamp(min=1)
        return rank.log1p() * gap.amax(1) if gap.shape[1] else gap.sum(1)
