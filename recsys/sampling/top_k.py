from __future__ import annotations

from recsys.pool import Draw
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View


class TopK(Refine):
    """The ``k`` candidates of the base that the model now scores highest: hard negatives.

    With k = 1 this is dynamic negative sampling (DNS; Zhang et al. 2013); with k = 100 of thousands it is TRON's selection (Wilm et
    al. 2023, section 3). Selection carries no gradient, only the kept candidates are scored again with one: the gradient is that of
    selecting on the scores themselves. A base with at most k candidates is passed on unchanged, bit for bit.
    """

    def __init__(self, base: Sampler, *, k: int = 1) -> None:
        super().__init__(base)
        if k < 1:
            raise ValueError(f"k is {k}; at least 1 candidate must be kept")
        self.k = k

    def refine(self, view: View, draw: Draw) -> Draw:
        if self.k >= draw.width:
            return draw
        return draw.pick(view.scores(draw).topk(self.k, dim=1).indices)
