from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.propensity import ItemPowerLaw, Propensity, check_clip, inverse
from recsys.step import Scored

Delta = Literal["log", "squared"]


class RelMF(Loss):
    """Unbiased learning from implicit feedback: (Y / theta) d1 + (1 - Y / theta) d0 for each pair, clicked (Y = 1) or not.

    Saito et al. 2020 (arXiv 1909.03601). A click needs exposure and relevance, P(Y = 1) = theta gamma, so the mean over all pairs is an
    unbiased estimate of the mean of gamma d1 + (1 - gamma) d0. d1 and d0 are the costs of a score s for a relevant and for an irrelevant
    pair, with p = sigmoid(s): ``delta="squared"``, (1 - p)^2 and p^2 (the authors' code for real data), or "log", -log p and -log(1 - p)
    (for semi-synthetic data).

    ``propensity``: theta. ``clip``: theta is at least so much (their clipped estimator), which bounds the weights and adds the bias
    mean(gamma (theta / max(theta, clip) - 1) (d1 - d0)); 0: none, and theta must then be above 0 for every clicked pair. The value of a
    clicked pair may be negative: 1 - Y / theta is. clip=1 is the naive estimator, :class:`WMF` with unclicked=1.

    Examples are :class:`recsys.examples.LabelledPairs`. With all of them (Shuffled) or uniform draws (Balanced, positives=None), a step
    estimates the mean over all pairs; half-and-half batches, as in the authors' code for real data, weigh clicked pairs more.
    """

    def __init__(self, *, propensity: Propensity | None = None, clip: float = 0.1, delta: Delta = "squared") -> None:
        super().__init__()
        check_clip(clip)
        check_delta(delta)
        self.propensity = ItemPowerLaw() if propensity is None else propensity
        self.clip = clip
        self.delta: Delta = delta

    def needs(self) -> dict[str, str]:
        return of_labels()

    def forward(self, scored: Scored) -> Tensor:
        batch = scored.batch
        assert batch.label is not None, "the examples promised labels"
        inverted = inverse(self.propensity, self.clip, batch.owner, batch.target).to(scored.positive.dtype)
        clicked = torch.where(batch.label > 0, inverted, 0.0)
        relevant, irrelevant = costs(scored.positive, self.delta)
        return clicked * relevant + (1 - clicked) * irrelevant


def of_labels() -> dict[str, str]:
    """What a loss needs that looks at every pair by itself."""
    why = "it learns from clicked and unclicked pairs, as LabelledPairs gives them"
    return {"labels": why, "alone": "it would ignore drawn candidates; the sampler Nothing draws none"}


def costs(score: Tensor, delta: Delta) -> tuple[Tensor, Tensor]:
    """[R] each: what the score costs for a relevant pair and for an irrelevant one."""
    if delta == "log":
        return F.softplus(-score), F.softplus(score)
    return torch.sigmoid(-score).square(), torch.sigmoid(score).square()


def check_delta(delta: str) -> None:
    if delta not in ("log", "squared"):
        raise ValueError(f"delta is {delta!r}; allowed are 'log' and 'squared'")
