from __future__ import annotations

import math

import numpy as np
from scipy import sparse

from recsys.data.log import Log
from recsys.item_item import ItemItem, averaging, largest, matrix, products, row_of, with_data


class RP3beta(ItemItem):
    """Random walks of three steps, owner - item - owner - item, from the history to an item, against popularity (Paudel et al. 2016).

    "Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive Applications", and Christoffel et al. 2015. With n_i the
    number of owners of item i and h_u that of items of owner u, the sum over the owners u of both items

        W[i, j] = n_j^-beta  sum_u  (1 / n_i)^alpha (1 / h_u)^alpha

    ``alpha``: exponent of each transition probability (1: the walk, as in RP3beta of 2016; P3alpha of 2014 has alpha and beta = 0).
    ``beta``: how much popular items are taken back. The first step, equal over the history, changes no ranking and is left out.

    Not in the papers, but in the implementations that published results come from: ``k``, the largest weights kept of each history item
    (equal ones: the lower code); and ``normalize``, those kept divided by their sum, then at most ``k`` kept of each item that is scored.
    """

    def __init__(self, *, k: int = 100, alpha: float = 1.0, beta: float = 0.0, normalize: bool = False) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k is {k}; at least 1 weight is kept")
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}; it is at least 0 and finite")
        self.k, self.alpha, self.beta, self.normalize = k, alpha, beta, normalize

    def solve(self, train: Log) -> None:
        x = matrix(train)
        of_item = sparse.csr_array(x.T)
        items, owners = (np.diff(part.indptr).clip(1).astype(np.float64) for part in (x, of_item))  # of each owner, of each item
        less = (owners**-self.beta).astype(np.float32)
        onwards = with_data(of_item, (items**-self.alpha).astype(np.float32)[of_item.indices])
        kept = [largest(with_data(rows, rows.data * less[rows.indices]), self.k) for _, rows in products(onwards, x)]
        weights = sparse.csr_array(sparse.vstack(kept))
        start = (owners**-self.alpha).astype(np.float32)
        weights = with_data(weights, weights.data * start[row_of(weights)])
        if self.normalize:
            weights = sparse.csr_array(largest(sparse.csr_array(averaging(weights).T), self.k).T)
        self.keep(weights)
