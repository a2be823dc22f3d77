from __future__ import annotations

import math

from recsys.pool import Draw
from recsys.sampling.choice import check_k, with_replacement
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class Soft(Refine):
    """``k`` candidates of the base, with replacement, with probability softmax(s_j / ``temperature``) over the row's candidates.

    The sampled form of :class:`recsys.sampling.SelfWeighted` (RotatE's self-adversarial distribution, Sun et al. 2019, equation 5, with
    alpha = 1 / temperature): on average over draws the two give a mean over candidates the same value, and here only k of them are scored
    with a gradient. Without replacement this is :class:`recsys.sampling.StochasticTopK`.

    The softmax is one over what the base has drawn; over the base ``All`` it is that over the catalogue. A large temperature draws
    uniformly from the base, a small one tends to k times the hardest candidate. The expected count of an item depends on the others in
    the draw through the sum of their exponentials, so it is not given. Computed in float64.
    """

    def __init__(self, base: Sampler, *, k: int = 1, temperature: float = 1.0) -> None:
        super().__init__(base)
        check_k(k)
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; it is above 0 and finite (a large one draws uniformly)")
        self.k, self.temperature = k, temperature

    def refine(self, view: View, draw: Draw) -> Draw:
        return with_replacement(draw, view.scores(draw).double() / self.temperature, self.k, view.generator)
