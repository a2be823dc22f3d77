from __future__ import annotations

import math

import torch

from recsys.pool import Draw
from recsys.sampling.choice import check_k, with_replacement, without_replacement
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class Ambiguous(Refine):
    """SimANS: ``k`` candidates of the base whose score is near that of the positive, neither trivial nor likely to be false negatives.

    Zhou et al. 2022 (arXiv 2210.11773): with s_+ the score of the row's target,

        p_j proportional to exp(-a (s_j - s_+ - b)^2)

    over the highest scored candidates that are no positives: the base ``TopK(Unseen(1000), k=100)``, or, over the whole catalogue,
    ``TopK(All(exclude="seen"), k=100)``. ``a`` >= 0: how sharply; scores are the model's own, so that its scale matters. ``b``: where p is
    largest, relative to the positive (the authors' code adds b where the equation subtracts it). The authors' scores are those of the last
    round of a trained retriever, ours those of the current step.

    Drawn without replacement, as in the authors' code, or with it (``replacement``). With a = 0 the draw is uniform over the base's
    candidates; with a large a it tends to the k candidates nearest to s_+ + b.
    """

    def __init__(self, base: Sampler, *, k: int = 1, a: float = 1.0, b: float = 0.0, replacement: bool = False) -> None:
        super().__init__(base)
        check_k(k)
        if not 0 <= a < math.inf:
            raise ValueError(f"a is {a}; it is at least 0 and finite (0 draws uniformly)")
        if not math.isfinite(b):
            raise ValueError(f"b is {b}; it is a finite difference of scores")
        self.k, self.a, self.b, self.replacement = k, a, b, replacement

    def refine(self, view: View, draw: Draw) -> Draw:
        if self.k >= draw.width and not self.replacement:
            return draw
        gap = view.scores(draw).double() - view.score.positive().double()[:, None] - self.b
        log_weight = (-self.a * gap.square()).masked_fill(gap.isneginf(), -torch.inf)
        choose = with_replacement if self.replacement else without_replacement
        return choose(draw, log_weight, self.k, view.generator)
