from __future__ import annotations

import math

import torch
from torch import Tensor

from recsys.losses.loss import Loss
from recsys.step import Scored


class DebiasedContrastive(Loss):
    """Debiased contrastive loss: -log( e^{s+/t} / (e^{s+/t} + K g) ), g the mean of e^{s/t} over true negatives, estimated.

    Chuang et al. 2020 (arXiv 2007.00224, equations 7 and 8) with one positive: a share ``positive_share`` of the candidates is taken to be
    positives unobserved, so g = max( (mean_j e^{s_j/t} - share e^{s+/t}) / (1 - share), e^{-1/t} ). The floor is the least that a cosine
    can give, hence cosines. With share 0 this is the sampled softmax with temperature t. With the sampler
    :class:`recsys.sampling.SelfWeighted` and its alpha = beta / t it is the contrastive loss with hard negatives of Robinson et al. 2021
    (arXiv 2010.04592), of concentration beta.
    """

    def __init__(self, *, positive_share: float = 0.05, temperature: float = 0.2) -> None:
        super().__init__()
        if not 0 <= positive_share < 1:
            raise ValueError(f"positive_share is {positive_share}; a share of the candidates is at least 0 and below 1")
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; it must be above 0")
        self.positive_share, self.temperature = positive_share, temperature

    def needs(self) -> dict[str, str]:
        return {**super().needs(), "cosine": "its floor is the least a cosine can give"}

    def forward(self, scored: Scored) -> Tensor:
        positive, negative = scored.positive / self.temperature, scored.negative / self.temperature
        number = scored.number()
        top = torch.maximum(positive, scored.masked(negative).amax(1)).detach() if negative.shape[1] else positive.detach()
        own = (positive - top).exp()  # everything over e^top, so that nothing overflows
        mean = scored.mean((scored.masked(negative) - top[:, None]).exp())
        floor = (-1 / self.temperature - top).exp()
        others = torch.maximum((mean - self.positive_share * own) / (1 - self.positive_share), floor)
        total = own + number * others
        return total.clamp(min=math.ulp(0.0)).log() + top - positive
