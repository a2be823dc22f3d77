"""Models of item-item weights: the score of item j is the sum of W[i, j] over the distinct items i of the history.

Shapes: U owners, N items, Q queries. X [U, N] is 1 where training has the pair and 0 elsewhere: repeats count once, and ``Log.weight`` is
not read, since a history has no weights and its items could not be counted alike. The owner does not matter, so users that training has not
seen and growing sessions are answered like all others; an empty history scores 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.recommender import ClosedForm

BLOCK = 1 << 24
"""Multiplications of a block of a sparse product: its result has no more entries (192 MiB)."""


class ItemItem(ClosedForm):
    """W is sparse, in compressed rows: the weights of history item i are ``weight[ptr[i]:ptr[i + 1]]``, for the items ``item[...]``. A
    subclass ends its :meth:`solve` by :meth:`keep`. Scores are computed on the CPU, a query's always in the same order."""

    ptr: Tensor
    item: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("ptr", "item", "weight"):
            self.register_buffer(name, torch.zeros(0))

    def keep(self, weights: sparse.sparray) -> None:
        """W [N, N]."""
        rows = sparse.csr_array(weights, dtype=np.float32)
        rows.sort_indices()
        self.ptr, self.item, self.weight = (torch.from_numpy(part) for part in (rows.indptr, rows.indices, rows.data))

    def weights(self) -> sparse.csr_array:
        """W [N, N]."""
        return sparse.csr_array(tuple(part.cpu().numpy() for part in (self.weight, self.item, self.ptr)), shape=(len(self.ptr) - 1,) * 2)

    def scores(self, histories: Histories) -> Tensor:
        items = len(self.ptr) - 1
        item, ptr = (part.numpy() for part in distinct(histories, items))
        read = sparse.csr_array((np.ones(len(item), dtype=np.float32), item, ptr), shape=(len(histories), items))
        return torch.from_numpy((read @ self.weights()).toarray())


def distinct(histories: Histories, num_items: int) -> tuple[Tensor, Tensor]:
    """The distinct items of each query, ascending: those of query q are ``items[ptr[q]:ptr[q + 1]]``; int64 [P], int64 [Q + 1]."""
    item, query = histories.flat()
    pair = torch.unique(query * num_items + item)
    ptr = torch.searchsorted(pair, torch.arange(len(histories) + 1, device=pair.device) * num_items)
    return pair % num_items, ptr


def matrix(train: Log) -> sparse.csr_array:
    """X, float32."""
    parts = np.ones(len(train), dtype=np.float32), train.items.numpy().copy(), train.offsets.numpy().copy()
    x = sparse.csr_array(parts, shape=(train.num_owners, train.num_items))
    x.sum_duplicates()
    x.data.fill(1)
    return x


def products(left: sparse.csr_array, right: sparse.csr_array) -> Iterator[tuple[int, sparse.csr_array]]:
    """Rows of left @ right without its diagonal, some at a time: the number of the first, and the rows, their columns ascending."""
    work = sparse.csr_array((np.ones_like(left.data), left.indices, left.indptr), shape=left.shape) @ np.diff(right.indptr).astype(
        np.float64
    )
    edges = np.flatnonzero(np.diff(work.cumsum() // BLOCK, prepend=-1, append=np.inf))
    for a, b in pairwise(edges):
        rows = left[a:b] @ right
        rows.sort_indices()
        yield int(a), take(rows, rows.indices != a + row_of(rows))


def row_of(rows: sparse.csr_array) -> np.ndarray:
    """int64 [nnz]: the row of each entry."""
    return np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))


def with_data(rows: sparse.csr_array, data: np.ndarray) -> sparse.csr_array:
    """The same entries with other values [nnz]."""
    return sparse.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)


def cosines(both: sparse.csr_array, size: np.ndarray, other: np.ndarray) -> sparse.csr_array:
    """n_ij / sqrt(n_i n_j) of the dot products in ``both``, whose items have these sizes [nnz]."""
    return with_data(both, both.data / np.sqrt(size * other).clip(np.finfo(np.float32).tiny))


def take(rows: sparse.csr_array, kept: np.ndarray) -> sparse.csr_array:
    """The entries for which ``kept`` bool [nnz] holds."""
    ptr = np.concatenate([[0], kept.cumsum()])[rows.indptr]
    return sparse.csr_array((rows.data[kept], rows.indices[kept], ptr), shape=rows.shape)


def largest(rows: sparse.csr_array, k: int, *, after: int = 0) -> sparse.csr_array:
    """The entries of rank ``after`` + 1 to ``k`` of each row, the largest first; of equal ones those that come first."""
    if not after and np.diff(rows.indptr).max(initial=0) <= k:
        return rows
    row = row_of(rows)
    order = np.lexsort((-rows.data, row))
    rank = np.arange(rows.nnz) - rows.indptr[row]
    kept = np.zeros(rows.nnz, dtype=bool)
    kept[order[(rank >= after) & (rank < k)]] = True
    return take(rows, kept)


def averaging(rows: sparse.csr_array) -> sparse.csr_array:
    """Each row divided by its sum of absolute values; a row of zeros stays."""
    total = np.bincount(row_of(rows), weights=np.abs(rows.data), minlength=rows.shape[0])
    return with_data(rows, rows.data / np.where(total > 0, total, 1)[row_of(rows)])
