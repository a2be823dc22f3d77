from __future__ import annotations

import math

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.catalog import Catalog
from recsys.errors import ConfigError
from recsys.item_item import cosines, largest, products, row_of
from recsys.pool import Pool
from recsys.sampling.sampler import Exclude, Proposal, check_num
from recsys.step import View

LARGEST = 1 << 29
"""Entries of all lists together: 4 bytes each."""


class Neighbors(Proposal):
    """Items like the positive, but not the most alike: ``num`` uniform draws, with replacement, from its neighbours of rank ``near`` + 1
    to ``far``.

    Neighbours are ranked by the cosine of their sets of owners in training, n_ij / sqrt(n_i n_j) (equal ones: the lower code first). This
    is the controlled margin of SciNCL (Ostendorff et al. 2022, arXiv 2202.06671) with co-occurrence in place of citation embeddings: the
    ``near`` most alike are left out as likely false negatives. Items that share no owner with the positive are no neighbours, so a row
    may have fewer to draw from; with none it has no valid candidate (take :class:`recsys.sampling.Mix` with a random part). By default
    what the owner has seen is masked out, and among co-occurring items that is often much.
    """

    def __init__(self, num: int = 1, *, near: int = 10, far: int = 100, exclude: Exclude = "seen") -> None:
        super().__init__(exclude=exclude)
        check_num(num)
        if not 0 <= near < far:
            raise ValueError(f"near is {near} and far is {far}; candidates are the neighbours of rank near + 1 to far, so 0 <= near < far")
        self.num, self.near, self.far = num, near, far

    items: Tensor
    size: Tensor

    def setup(self, catalog: Catalog) -> None:
        if catalog.num_items * (self.far - self.near) > LARGEST:
            raise ConfigError(
                f"sampler: Neighbors keeps lists of {self.far - self.near:,} items for {catalog.num_items:,} items, more than {LARGEST:,} "
                "in all; take a smaller far"
            )
        lists = _lists(catalog, self.near, self.far)
        size = np.diff(lists.indptr)
        items = np.full((catalog.num_items, size.max(initial=1)), catalog.num_items, dtype=np.int32)
        row = row_of(lists)
        items[row, np.arange(lists.nnz) - lists.indptr[row]] = lists.indices
        self.register_buffer("items", torch.from_numpy(items).to(catalog.device), persistent=False)
        self.register_buffer("size", torch.from_numpy(size.astype(np.int64)).to(catalog.device), persistent=False)

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        target = view.batch.target
        size = self.size.index_select(0, target)[:, None]
        u = torch.rand((len(target), self.num), generator=view.generator, dtype=torch.float64, device=target.device)
        at = (u * size).long().minimum(size - 1).clamp_(min=0)
        found = self.items.index_select(0, target).gather(1, at).long().clamp_(max=view.catalog.num_items - 1)
        return Pool(found), None if bool(size.all()) else (size > 0).expand(-1, self.num)

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        target = view.batch.target
        items, ids = self.items.index_select(0, target), ids.expand(len(target), -1).int().contiguous()
        there = items.gather(1, torch.searchsorted(items, ids).clamp_(max=items.shape[1] - 1)) == ids
        share = self.num / self.size.index_select(0, target)[:, None].clamp(min=1)
        return torch.where(there, share.log(), -math.inf)


def _lists(catalog: Catalog, near: int, far: int) -> sparse.csr_array:
    """[N, N]: in row i the neighbours of i that are drawn, their columns ascending."""
    owners, ptr = (part.cpu().numpy() for part in catalog.by_item())
    of_item = sparse.csr_array((np.ones(len(owners), dtype=np.float32), owners, ptr), shape=(catalog.num_items, catalog.num_owners))
    number, found = np.diff(ptr), []
    for first, both in products(of_item, sparse.csr_array(of_item.T)):
        found.append(largest(cosines(both, number[first + row_of(both)], number[both.indices]), far, after=near))
    return sparse.csr_array(sparse.vstack(found))
