from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from recsys import bfloat16
from recsys.pool import Draw, Pool
from recsys.sampling.sampler import Refine, Sampler
from recsys.scorer import DotScorer, Scorer
from recsys.step import View, scores_of
from recsys.top_k import top_k

SCORES = 1 << 21
"""Scores that are held at a time (8 MiB): they are looked through while a cache holds them."""


class TopK(Refine):
    """The ``k`` candidates of the base that the model now scores highest: hard negatives.

    With k = 1 this is dynamic negative sampling (DNS; Zhang et al. 2013); with k = 100 of thousands it is TRON's selection (Wilm et
    al. 2023, section 3). Selection carries no gradient, only the kept candidates are scored again with one: the gradient is that of
    selecting on the scores themselves. A base with at most k candidates is passed on unchanged, bit for bit.

    ``screen``: "bfloat16" makes the products with a pool that all rows share in bfloat16, which takes half to an eighth of the time where
    the processor has instructions for it, and lets the scores themselves choose among the best 5 k / 4 + 16: the same candidates, unless
    more than k / 4 + 16 others come between by rounding. Without such instructions it is "float32".
    """

    def __init__(self, base: Sampler, *, k: int = 1, screen: Literal["float32", "bfloat16"] = "float32") -> None:
        super().__init__(base)
        if k < 1:
            raise ValueError(f"k is {k}; at least 1 candidate must be kept")
        if screen not in ("float32", "bfloat16"):
            raise ValueError(f"screen is {screen!r}; allowed are 'float32' and 'bfloat16'")
        self.k = k
        self.screen: Literal["float32", "bfloat16"] = screen

    def needs(self) -> dict[str, str]:
        return {} if self.screen == "float32" else {"vectors": "it screens by products of vectors"}

    def refine(self, view: View, draw: Draw) -> Draw:
        if self.k >= draw.width:
            return draw
        return draw.pick(torch.cat(list(self._highest(view, draw))))

    def _highest(self, view: View, draw: Draw) -> Iterator[Tensor]:
        """int64 [R', k]: the columns that some rows keep. Products with a pool that all rows share are made for some rows at a time."""
        own = [None if pool.items.ndim == 1 else view.score(pool) for pool in draw.pools]
        rough = _Rough(view.score) if self.screen == "bfloat16" and bfloat16.is_fast(view.batch.target.device) else None
        chunks = torch.split(torch.arange(len(view.batch), device=view.batch.target.device), max(1, SCORES // draw.width))
        for rows in chunks:
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            score = view.score if len(chunks) == 1 else view.score.take(rows)
            shared = score if rough is None else partial(rough, some)
            scores = [shared(pool) if mine is None else mine[some] for pool, mine in zip(draw.pools, own, strict=True)]
            valid = draw.valid if draw.valid is None or len(draw.valid) == 1 else draw.valid[some]
            wide = scores[0] if len(scores) == 1 else torch.cat(scores, 1)
            if rough is None:
                yield top_k(wide, valid, self.k)
            else:
                columns = top_k(wide.float(), valid, min(self.k + self.k // 4 + 16, draw.width))
                near = draw.take(rows).pick(columns)
                yield columns.gather(1, top_k(scores_of(score, near), near.valid, self.k))


class _Rough:
    """Scores of a scorer of vectors, by products in bfloat16."""

    def __init__(self, score: Scorer) -> None:
        assert isinstance(score, DotScorer), "the model promised vectors"
        self.score, self.query, self.items = score, score.query.bfloat16(), dict[int, Tensor]()

    def __call__(self, rows: slice, pool: Pool) -> Tensor:
        """[R', K] of some rows and a shared pool [K]; float32 where items have a bias."""
        if id(pool) not in self.items:
            self.items[id(pool)] = self.score.items(pool.items).bfloat16().T
        scores = self.query[rows] @ self.items[id(pool)]
        bias = self.score.bias
        return scores if bias is None else scores.float() + bias[pool.items, 0]
