"""Scorers: what a model returns for a batch. Scores of R rows against any pool; no sampler and no loss sees padding.

Shapes: R rows, K candidates, G groups, D width, N items.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.gather_dot import gather_dot
from recsys.pool import Pool


class Scorer(Protocol):
    """Scores of R rows. Any model returns one; a model of vectors returns a :class:`DotScorer`."""

    def __call__(self, pool: Pool | None) -> Tensor:
        """[R, K] for a pool, [R, N] for None: the whole catalogue."""
        ...

    def positive(self) -> Tensor:
        """[R]: the score of each row's target."""
        ...

    def take(self, rows: Tensor) -> Scorer: ...

    def detach(self) -> Scorer: ...


@dataclass(frozen=True)
class DotScorer:
    """score = query . item (+ the item's bias). ``query`` [R, D], ``table`` [N, D], ``bias`` [N, 1] or None, ``target`` int64 [R].

    ``cosine``: items count by their direction alone; the model gives queries of length 1, and the score is the cosine.
    ``sparse``: gradients of the tables come as rows (an optimiser that moves touched rows only asks for it).
    Lookups use ``F.embedding``, whose backward is deterministic; ``table[ids]`` is not on several threads.
    """

    query: Tensor
    table: Tensor
    target: Tensor
    bias: Tensor | None = None
    sparse: bool = False
    cosine: bool = False
    _fetched: dict[tuple[int, bool], tuple[Tensor, Tensor]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def items(self, ids: Tensor) -> Tensor:
        """Vectors of items as they are scored, of length 1 for cosines: ids [...] -> [..., D]."""
        return F.normalize(self.rows(ids), dim=-1) if self.cosine else self.rows(ids)

    def rows(self, ids: Tensor) -> Tensor:
        """Rows of the table: ids [...] -> [..., D]. The same tensor of ids is looked up once (a loss and a penalty both ask)."""
        key = (id(ids), torch.is_grad_enabled())
        if key not in self._fetched:
            self._fetched[key] = ids, F.embedding(ids, self.table, sparse=self.sparse)  # ids are kept, so that their id() stays theirs
        return self._fetched[key][1]

    def positive(self) -> Tensor:
        return self._with_bias((self.query * self.items(self.target)).sum(1), self.target)

    def __call__(self, pool: Pool | None) -> Tensor:
        if pool is None:
            scores = self.query @ self._whole().T
            return scores if self.bias is None else scores + self.bias[:, 0]
        if pool.items.ndim == 1:
            scores = self.query @ self.items(pool.items).T  # one product for all rows
        elif pool.group is not None:
            scores = self._per_group(self.items(pool.items), pool.group)
        elif pool.width == 1:
            scores = (self.query * self.items(pool.items)[:, 0]).sum(1, keepdim=True)
        else:
            scores = gather_dot(self.query, self.table, pool.items, cosine=self.cosine, sparse=self.sparse)
        return self._with_bias(scores, pool.ids() if self.bias is not None else pool.items)

    def _with_bias(self, scores: Tensor, ids: Tensor) -> Tensor:
        if self.bias is None:
            return scores
        return scores + F.embedding(ids, self.bias, sparse=self.sparse)[..., 0]

    def _per_group(self, vectors: Tensor, group: Tensor) -> Tensor:
        """vectors [G, K, D]: pad the queries to the longest group, multiply in one batched product, unpad; [R, K]."""
        groups = len(vectors)
        size = torch.bincount(group, minlength=groups)
        longest = int(size.max())
        order = group.argsort(stable=True)
        slot = torch.empty_like(group)
        first = size.cumsum(0) - size
        slot[order] = group[order] * longest + torch.arange(len(group), device=group.device) - first[group[order]]
        source = torch.zeros(groups * longest, dtype=torch.long, device=group.device)
        source.index_copy_(0, slot, torch.arange(len(group), device=group.device))
        padded = self.query.index_select(0, source).view(groups, longest, -1)
        return (padded @ vectors.transpose(1, 2)).flatten(0, 1).index_select(0, slot)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """(query [R, D'], items [N, D']) whose dot products are the scores; a bias becomes one more column."""
        if self.bias is None:
            return self.query, self._whole()
        ones = self.query.new_ones(self.query.shape[0], 1)  # not len(): it would be fixed in an export
        return torch.cat([self.query, ones], 1), torch.cat([self._whole(), self.bias], 1)

    def _whole(self) -> Tensor:
        return F.normalize(self.table, dim=1) if self.cosine else self.table

    def take(self, rows: Tensor) -> DotScorer:
        taken = replace(self, query=self.query.index_select(0, rows), target=self.target[rows])
        taken._fetched.update(self._fetched)  # what was looked up is the same for any rows
        return taken

    def detach(self) -> DotScorer:
        bias = None if self.bias is None else self.bias.detach()
        return replace(self, query=self.query.detach(), table=self.table.detach(), bias=bias)
