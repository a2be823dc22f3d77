from __future__ import annotations

import torch

from recsys.pool import Draw
from recsys.sampling.choice import check_k, highest
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class Misranked(Refine):
    """``k`` candidates (at most), uniformly among those of the base that violate the margin: s_j > s_+ - ``margin``.

    Candidates that the positive beats by the margin teach a hinge loss nothing. WARP (Weston, Bengio, Usunier 2011) draws items
    one after the other until one violates the margin, at most so many; the item that it stops at is distributed as k = 1 here, over
    ``Uniform(num)`` with that number. It also counts its trials to weigh the row by the rank that they suggest: that is left to the loss.

    A row without a violator has no valid candidate, and none of its gradient. A margin of infinity draws uniformly from the base.
    """

    def __init__(self, base: Sampler, *, k: int = 1, margin: float = 1.0) -> None:
        super().__init__(base)
        check_k(k)
        if not margin >= 0:
            raise ValueError(f"margin is {margin}; it is at least 0 (0: only candidates that the model ranks above the positive)")
        self.k, self.margin = k, margin

    def refine(self, view: View, draw: Draw) -> Draw:
        scores = view.scores(draw)
        fine = scores <= view.score.positive()[:, None] - self.margin
        key = torch.rand(scores.shape, generator=view.generator, dtype=torch.float64, device=scores.device)
        return highest(draw, key.masked_fill(fine | scores.isneginf(), -torch.inf), self.k)
