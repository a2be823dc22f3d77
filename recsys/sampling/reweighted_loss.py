from __future__ import annotations

import math

from recsys.pool import Draw
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class ReweightedLoss(Refine):
    """Adaptive denoising, reweighted: a row weighs exp(-``beta`` l), l its loss; rows of large loss, likely to be noise, weigh less.

    R-CE (Wang et al. 2021, arXiv 2006.04153) weighs a row with the probability y = sigmoid(s) by y^beta where its label is 1 and by
    (1 - y)^beta where it is 0. Both are exp(-beta l) for the binary cross entropy l of that row, so any loss that is the negative log of a
    probability is served alike: Softmax weighs by the target's probability among the candidates to the power of beta, BPR by that of the
    right order. l is the experiment's own loss against the base's draw; below 0 it counts as 0. No gradient passes through the weight.

    beta = 0 weighs all rows by 1. The paper divides by the number of rows (``fit.denominator`` "rows"). Weights that the base has set
    multiply with these.
    """

    keeps = frozenset({"log_count", "alone"})

    def __init__(self, base: Sampler, *, beta: float = 0.2) -> None:
        super().__init__(base)
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta is {beta}; it is at least 0 and finite (0 weighs all rows alike)")
        self.beta = beta

    def refine(self, view: View, draw: Draw) -> Draw:
        weight = (-self.beta * view.losses(draw).clamp(min=0)).exp()
        return draw.weighed(weight)
