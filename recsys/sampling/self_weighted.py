from __future__ import annotations

import math
from dataclasses import replace

import torch

from recsys.pool import Draw
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class SelfWeighted(Refine):
    """Self-adversarial weights: the base's candidates share a row's loss in proportion to exp(``alpha`` s_j).

    RotatE (Sun et al. 2019, arXiv 1902.10197, equations 5 and 6): p_j = softmax over the row's candidates of alpha s_j, without gradient,
    and a loss that averages over candidates takes sum_j p_j l_j. No candidate is left out, and none is drawn again. Losses that sum over
    candidates inside a logarithm (Softmax) take p_j times their number as a factor of exp(s_j).

    With alpha = 0 the shares are equal, which is the base; a large alpha tends to :class:`recsys.sampling.TopK` with k = 1. Shares that the
    base has set multiply with these. Computed in float64.
    """

    keeps = frozenset({"log_count"})

    def __init__(self, base: Sampler, *, alpha: float = 1.0) -> None:
        super().__init__(base)
        if not 0 <= alpha < math.inf:
            raise ValueError(f"alpha is {alpha}; it is at least 0 and finite (0 weighs all candidates alike)")
        self.alpha = alpha

    def refine(self, view: View, draw: Draw) -> Draw:
        scores = view.scores(draw)
        logit = self.alpha * scores.double()
        if draw.share is not None:
            logit += draw.share.log()
        none = scores.isneginf()
        share = logit.masked_fill(none, -torch.inf).softmax(1).masked_fill(none, 0.0)  # a row without valid candidates: 0, not nan
        return replace(draw, share=share.to(scores.dtype))
