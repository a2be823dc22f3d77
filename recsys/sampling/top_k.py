from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from recsys.pool import Draw
from recsys.sampling.sampler import Refine, Sampler
from recsys.step import View
from recsys.top_k import top_k

SCORES = 1 << 21
"""Scores that are held at a time (8 MiB): they are looked through while a cache holds them."""


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
        return draw.pick(torch.cat(list(self._highest(view, draw))))

    def _highest(self, view: View, draw: Draw) -> Iterator[Tensor]:
        """int64 [R', k]: the columns that some rows keep. Products with a pool that all rows share are made for some rows at a time."""
        own = [None if pool.items.ndim == 1 else view.score(pool) for pool in draw.pools]
        chunks = torch.split(torch.arange(len(view.batch), device=view.batch.target.device), max(1, SCORES // draw.width))
        for rows in chunks:
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            score = view.score if len(chunks) == 1 else view.score.take(rows)
            scores = [score(pool) if mine is None else mine[some] for pool, mine in zip(draw.pools, own, strict=True)]
            valid = draw.valid if draw.valid is None or len(draw.valid) == 1 else draw.valid[some]
            yield top_k(scores[0] if len(scores) == 1 else torch.cat(scores, 1), valid, self.k)
