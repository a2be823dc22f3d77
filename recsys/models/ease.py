from __future__ import annotations

import math

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional as F

from recsys.data.log import Histories, Log
from recsys.environment import available_memory
from recsys.errors import RunError
from recsys.item_item import distinct, matrix
from recsys.recommender import ClosedForm

ROWS = 1024
"""Rows of the matrix that are worked on at a time."""


class EASE(ClosedForm):
    """Linear regression of each item on all others, with a zero diagonal: "Embarrassingly Shallow Autoencoders" (Steck 2019).

        B = argmin |X - X B|^2 + ``penalty`` |B|^2  with  diag(B) = 0        B = I - P / diag(P),   P = (X'X + penalty I)^-1    (eq. 8)

    where column j is divided by P_jj. X [U, N] is 1 where training has the pair (see :mod:`recsys.item_item`), and the score of item j is
    the sum of B[i, j] over the distinct items i of the history; an empty history scores 0 everywhere.

    B is dense, one float32 matrix of N x N. With fewer owners than items, P is found from their side: penalty P = I - X' K X, where
    K = (X X' + penalty I)^-1 (Woodbury) costs U^3 operations instead of N^3 and U x U numbers more. Without room for these, or with fewer
    items, X'X is written into B, and its inverse takes its place. Data for whose B the system has no memory are refused.
    """

    def __init__(self, *, penalty: float = 100.0) -> None:
        super().__init__()
        if not 0 < penalty < math.inf:
            raise ValueError(f"penalty is {penalty}; it is above 0 and finite, so that X'X + penalty I has an inverse")
        self.penalty = penalty
        self.register_buffer("weight", torch.zeros(0, 0))

    weight: Tensor

    def solve(self, train: Log) -> None:
        _refuse_if_too_large(train.num_items)
        self.weight = _weights(matrix(train), self.penalty)

    def scores(self, histories: Histories) -> Tensor:
        item, ptr = (part.to(self.weight.device) for part in distinct(histories, len(self.weight)))
        return F.embedding_bag(item, self.weight, ptr, mode="sum", include_last_offset=True)


def _weights(x: sparse.csr_array, penalty: float) -> Tensor:
    """B [N, N]."""
    owners, items = x.shape
    free = available_memory()
    by_owners = owners < items and (free is None or 4 * (items**2 + owners**2) <= free)
    weight = _from_owners(x, penalty) if by_owners else _from_items(x, penalty)
    weight /= -weight.diagonal().clone()  # a factor of P cancels
    return weight.fill_diagonal_(0)


def _from_items(x: sparse.csr_array, penalty: float) -> Tensor:
    """P [N, N] times -1."""
    weight = _gram(sparse.csr_array(x.T), penalty)
    _sweep(weight)
    return weight


def _from_owners(x: sparse.csr_array, penalty: float) -> Tensor:
    """P [N, N] times penalty."""
    inverse = _gram(x, penalty)
    _sweep(inverse)
    items, of_item = x.shape[1], sparse.csr_array(x.T)
    weight = torch.empty(items, items)
    for rows in _blocks(items):
        half = of_item[rows] @ inverse.numpy()  # -X'K: the sweep leaves an inverse with its sign turned
        weight[rows] = torch.from_numpy(of_item @ np.ascontiguousarray(half.T)).T
    weight.diagonal().add_(1)
    return weight


def _gram(rows: sparse.csr_array, penalty: float) -> Tensor:
    """rows rows' + penalty I, dense."""
    size, columns = rows.shape[0], sparse.csr_array(rows.T)
    gram = torch.empty(size, size)
    for part in _blocks(size):
        (rows[part] @ columns).toarray(out=gram[part].numpy())
    gram.diagonal().add_(penalty)
    return gram


def _sweep(matrix: Tensor) -> None:
    """Replace a symmetric positive definite matrix A by -A^-1, in place.

    The sweep operator (Beaton 1964) on blocks of rows K: with D the inverse of A_KK, A_IJ becomes A_IJ - A_IK D A_KJ, A_IK becomes A_IK D,
    and A_KK becomes -D; after all blocks A is -A^-1. Only the lower triangle is kept up to date until the end, which halves the work. It is
    all products of blocks, and no index counts the cells of the whole (LAPACK's spotrf in SciPy 1.17 crashes at 40,981 rows).
    """
    blocks = _blocks(len(matrix))
    for rows in blocks:
        factor, failed = torch.linalg.cholesky_ex(matrix[rows, rows])
        if failed:
            raise RunError(f"EASE: the normal equations of {len(matrix):,} items are singular in float32; raise penalty")
        inverse = torch.cholesky_solve(torch.eye(len(factor)), factor)
        column = torch.cat([matrix[rows, : rows.start].T, matrix[rows.start :, rows]])
        swept = column @ inverse
        for other in blocks:
            matrix[other, : other.stop].addmm_(swept[other], column[: other.stop].T, alpha=-1)
        matrix[rows, : rows.start], matrix[rows.stop :, rows], matrix[rows, rows] = swept[: rows.start].T, swept[rows.stop :], -inverse
    for rows in blocks:
        matrix[rows, rows.stop :] = matrix[rows.stop :, rows].T


def _blocks(rows: int) -> list[slice]:
    return [slice(a, min(a + ROWS, rows)) for a in range(0, rows, ROWS)]


def _refuse_if_too_large(items: int) -> None:
    wanted, free = 4 * items**2, available_memory()
    if free is not None and wanted > free:
        raise RunError(
            f"EASE needs {wanted / 2**30:.1f} GiB for the weights of {items:,} x {items:,} items, and {free / 2**30:.1f} GiB are free; "
            "take SLIM or ItemKNN, whose weights are sparse, or leave rare items out (MinSupport)"
        )
