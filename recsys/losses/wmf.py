from __future__ import annotations

import torch
from torch import Tensor

from recsys.losses.loss import Loss
from recsys.losses.rel_mf import Delta, check_delta, costs, of_labels
from recsys.step import Scored


class WMF(Loss):
    """Weighted pointwise loss: d1 for a clicked pair, ``unclicked`` d0 for any other.

    Weighted matrix factorisation (Hu, Koren and Volinsky 2008) with the costs of :class:`RelMF`: ``delta="squared"``, (1 - p)^2 and p^2
    with p = sigmoid(s), or "log". unclicked=1 is the naive estimator, which takes what was not clicked for irrelevant. The code of Saito et
    al. 2020 divides by the sum of these weights over the batch, a constant factor where all batches have equally many clicked pairs.
    """

    def __init__(self, *, unclicked: float = 1.0, delta: Delta = "squared") -> None:
        super().__init__()
        if not 0 <= unclicked < float("inf"):
            raise ValueError(f"unclicked is {unclicked}; the weight of a pair without a click is at least 0 and finite")
        check_delta(delta)
        self.unclicked = unclicked
        self.delta: Delta = delta

    def needs(self) -> dict[str, str]:
        return of_labels()

    def forward(self, scored: Scored) -> Tensor:
        assert scored.batch.label is not None, "the examples promised labels"
        relevant, irrelevant = costs(scored.positive, self.delta)
        return torch.where(scored.batch.label > 0, relevant, self.unclicked * irrelevant)
