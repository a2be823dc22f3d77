from __future__ import annotations

import math

import torch

from recsys.pool import Draw
from recsys.sampling.choice import check_k, with_replacement
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class LocallyTypical(Refine):
    """``k`` candidates of the base, with replacement, from those whose surprisal is near the entropy of the row's scores.

    Locally typical sampling (Meister et al. 2023, arXiv 2202.00666), adapted to negatives: with p = softmax(s / ``temperature``)
    over the row's candidates and H its entropy, candidates are ordered by |-log p_j - H|, the fewest with a mass of at least ``mass`` are
    kept, and one is drawn with probability proportional to p_j among them. Candidates far less likely than typical are trivial;
    one far more likely, where the scores are otherwise flat, is likely to be a false negative.

    With mass = 1 this is :class:`recsys.sampling.Soft`; with a small mass the one candidate nearest to the entropy. Equal scores are all
    equally typical: the first candidates are then kept. Computed in float64.
    """

    def __init__(self, base: Sampler, *, k: int = 1, mass: float = 0.9, temperature: float = 1.0) -> None:
        super().__init__(base)
        check_k(k)
        if not 0 < mass <= 1:
            raise ValueError(f"mass is {mass}; the share of probability kept is above 0 and at most 1")
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; it is above 0 and finite (a large one draws uniformly)")
        self.k, self.mass, self.temperature = k, mass, temperature

    def refine(self, view: View, draw: Draw) -> Draw:
        scores = view.scores(draw).double()
        none = scores.isneginf()
        log_p = (scores / self.temperature).log_softmax(1).masked_fill(none, -torch.inf)  # a row without valid candidates: -inf, not nan
        p = log_p.exp()
        entropy = -(p * log_p.masked_fill(none, 0.0)).sum(1, keepdim=True)
        order = (log_p + entropy).abs().argsort(dim=1, stable=True)
        ahead = p.gather(1, order).cumsum(1) - p.gather(1, order)  # the mass of those more typical
        drop = torch.empty_like(none).scatter_(1, order, ahead >= self.mass)
        return with_replacement(draw, log_p.masked_fill(drop, -torch.inf), self.k, view.generator)
