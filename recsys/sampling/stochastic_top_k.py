from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.pool import Draw
from recsys.sampling.choice import check_k, without_replacement
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View

Mode = Literal["softmax", "power", "softrank"]


class StochasticTopK(Refine):
    """The ``k`` candidates of the base that are highest after Gumbel noise: hard on average, and not always the same ones.

    Kirsch et al. 2021 (Stochastic Batch Acquisition, arXiv 2106.12059, table 1), for candidates in place of points to be labelled: top-k of

        softmax    beta s_j + g_j
        power      beta log sigmoid(s_j) + g_j
        softrank   -beta log rank_j + g_j           rank 1 is the highest score

    with g_j from Gumbel(0, 1): k draws without replacement with p_j proportional to exp(beta s_j), sigmoid(s_j)^beta and rank_j^-beta. The
    paper's power mode is beta log s_j for scores that are never negative; scores of recommenders are, so the sigmoid is ours. Softrank
    alone does not depend on the scale of scores, which grows in training.

    beta = 0 draws uniformly from the base, a large beta tends to :class:`recsys.sampling.TopK`. A base with at most k candidates is passed
    on unchanged. Computed in float64: see ``recsys.sampling.choice.gumbel``.
    """

    def __init__(self, base: Sampler, *, k: int = 1, beta: float = 1.0, mode: Mode = "softmax") -> None:
        super().__init__(base)
        check_k(k)
        if not 0 <= beta < math.inf:
            raise ValueError(f"beta is {beta}; it is at least 0 and finite (0 draws uniformly)")
        if mode not in ("softmax", "power", "softrank"):
            raise ValueError(f"mode is {mode!r}; allowed are 'softmax', 'power' and 'softrank'")
        self.k, self.beta = k, beta
        self.mode: Mode = mode

    def refine(self, view: View, draw: Draw) -> Draw:
        if self.k >= draw.width:
            return draw
        scores = view.scores(draw).double()
        log_weight = (self.beta * self._log_hardness(scores)).masked_fill(scores.isneginf(), -torch.inf)
        return without_replacement(draw, log_weight, self.k, view.generator)

    def _log_hardness(self, scores: Tensor) -> Tensor:
        if self.mode == "softmax":
            return scores
        if self.mode == "power":
            return F.logsigmoid(scores)
        rank = torch.arange(1, scores.shape[1] + 1, dtype=scores.dtype, device=scores.device).expand_as(scores)
        return torch.empty_like(scores).scatter_(1, scores.argsort(dim=1, descending=True, stable=True), -rank.log())
