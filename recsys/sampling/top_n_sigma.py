from __future__ import annotations

import math
from dataclasses import replace

from recsys.pool import Draw
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class TopNSigma(Refine):
    """The candidates of the base within ``n`` standard deviations of the row's highest score: s_j >= max - n std. Others are not valid.

    Top-n-sigma (Tang et al. 2024, arXiv 2411.07641), for negatives: how many are kept follows the row's scores, few where some candidates
    stand out and many where all are alike. max and std (over K, not K - 1) are those of the row's valid candidates.

    Pools keep their shapes: every candidate is scored with a gradient, which is 0 for those left out. n = 0 keeps the hardest alone, as
    :class:`recsys.sampling.TopK` with k = 1 does (and its equals); a large n keeps all. Expected counts stay the base's: what is
    left out is left out by its score, not by chance.
    """

    keeps = frozenset({"log_count"})

    def __init__(self, base: Sampler, *, n: float = 1.0) -> None:
        super().__init__(base)
        if not 0 <= n < math.inf:
            raise ValueError(f"n is {n}; it is at least 0 and finite (a large one keeps all candidates)")
        self.n = n

    def refine(self, view: View, draw: Draw) -> Draw:
        scores = view.scores(draw).double()
        valid = ~scores.isneginf()
        number = valid.sum(1, keepdim=True).clamp(min=1)
        mean = scores.masked_fill(~valid, 0.0).sum(1, keepdim=True) / number
        deviation = ((scores - mean).masked_fill(~valid, 0.0).square().sum(1, keepdim=True) / number).sqrt()
        return replace(draw, valid=valid & (scores >= scores.amax(1, keepdim=True) - self.n * deviation))
