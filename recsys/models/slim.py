from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from recsys.data.log import Log
from recsys.item_item import ItemItem, matrix
from recsys.threads import share

CELLS = 1 << 24
"""Weights of a block of items, before the zeros are dropped (64 MiB)."""


class SLIM(ItemItem):
    """Sparse linear method: each item is regressed on the others with weights of at least 0 (Ning and Karypis 2011, eq. 3).

        w_j = argmin  1/2 |x_j - X w|^2 + ``l2``/2 |w|^2 + ``l1`` |w|_1    with  w >= 0  and  w[j] = 0

    where x_j is column j of X (see :mod:`recsys.item_item`) and W[i, j] = w_j[i]. Penalties are in units of owners: scikit-learn's
    ``ElasticNet(alpha, l1_ratio)`` has l1 = U alpha l1_ratio and l2 = U alpha (1 - l1_ratio).

    Coordinate descent on the residual x_j - X w: all items that may have a weight are visited in order of their codes, then those with a
    weight until they move by at most ``tolerance``, then all again, until none moves by more, at most ``sweeps`` times. An item has no
    weight where n_ij <= l1 (n_ij: owners of both), since the columns of X have no negative products: these are left out, and this is exact.
    Compiled; threads share the items, and their number changes nothing.

    Args:
        candidates: only the items with the largest cosines n_ij / sqrt(n_i n_j) may have a weight, this many of each item (the paper's
            fsSLIM; of equal ones the lower code). None: all.
    """

    def __init__(
        self, *, l1: float = 1.0, l2: float = 100.0, candidates: int | None = None, tolerance: float = 1e-4, sweeps: int = 100
    ) -> None:
        super().__init__()
        if not 0 <= l1 < math.inf:
            raise ValueError(f"l1 is {l1}; it is at least 0 and finite")
        for name, value in (("l2", l2), ("tolerance", tolerance)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}; it is above 0 and finite")
        for name, count in (("sweeps", sweeps), ("candidates", candidates)):
            if count is not None and count < 1:
                raise ValueError(f"{name} is {count}; it is at least 1")
        self.l1, self.l2, self.candidates, self.tolerance, self.sweeps = l1, l2, candidates, tolerance, sweeps

    def solve(self, train: Log) -> None:
        from recsys import slim_kernel

        descend: Any = slim_kernel.descend
        x = matrix(train)
        items = train.num_items
        of_item = sparse.csr_array(x.T)
        pairs = (part.astype(kind) for part, kind in ((x.indptr, "i8"), (x.indices, "i4"), (of_item.indptr, "i8"), (of_item.indices, "i4")))
        most = items if self.candidates is None else self.candidates
        given = *pairs, float(self.l1), float(self.l2), most, self.tolerance, self.sweeps
        found = []
        for first in range(0, items, size := max(1, CELLS // items)):
            weights = np.zeros((min(size, items - first), items), dtype=np.float32)
            share(partial(descend, *given, first, weights), len(weights))
            found.append(sparse.csr_array(weights))
        self.keep(sparse.csr_array(sparse.vstack(found).T))
