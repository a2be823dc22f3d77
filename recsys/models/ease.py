from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from scipy.linalg import lapack
from torch import Tensor
from torch.nn import functional as F

from recsys.data.log import Histories, Log
from recsys.errors import RunError
from recsys.item_item import distinct, matrix
from recsys.recommender import ClosedForm

ROWS = 512
"""Rows of the matrix that are worked on at a time."""


class EASE(ClosedForm):
    """Linear regression of each item on all others, with a zero diagonal: "Embarrassingly Shallow Autoencoders" (Steck 2019).

        B = argmin |X - X B|^2 + ``penalty`` |B|^2  with  diag(B) = 0        B = I - P / diag(P),   P = (X'X + penalty I)^-1    (eq. 8)

    where column j is divided by P_jj. X [U, N] is 1 where training has the pair (see :mod:`recsys.item_item`), and the score of item j is
    the sum of B[i, j] over the distinct items i of the history; an empty history scores 0 everywhere.

    B is dense. One float32 matrix of N x N is all that is held: X'X is written into it, and Cholesky factor, inverse and B take its place,
    in about N^3 operations. Data for which the system has no such memory are refused.
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
        self.weight = torch.from_numpy(_weights(matrix(train), self.penalty))

    def scores(self, histories: Histories) -> Tensor:
        item, ptr = (part.to(self.weight.device) for part in distinct(histories, len(self.weight)))
        return F.embedding_bag(item, self.weight, ptr, mode="sum", include_last_offset=True)


def _weights(x: sparse.csr_array, penalty: float) -> np.ndarray:
    """B [N, N]."""
    items = x.shape[1]
    of_item = sparse.csr_array(x.T)
    gram = np.empty((items, items), dtype=np.float32)
    blocks = [slice(a, a + ROWS) for a in range(0, items, ROWS)]
    for rows in blocks:
        (of_item[rows] @ x).toarray(out=gram[rows])
    gram.ravel()[:: items + 1] += penalty
    for step, options in ((lapack.spotrf, {"clean": False, "overwrite_a": True}), (lapack.spotri, {"overwrite_c": True})):
        found, failed = step(gram.T, lower=True, **options)  # column order, in which a lower triangle is this matrix's upper one
        if failed:
            raise RunError(f"EASE: the normal equations of {items:,} items are singular in float32; raise penalty")
        assert np.shares_memory(found, gram), "a copy would double the memory"
    diagonal = gram.diagonal().copy()
    for rows in blocks:
        below = slice(rows.stop, None)
        gram[rows, rows] = np.triu(gram[rows, rows]) + np.triu(gram[rows, rows], 1).T
        gram[below, rows] = gram[rows, below].T
    for rows in blocks:
        gram[rows] /= -diagonal
    gram.ravel()[:: items + 1] = 0
    return gram


def _refuse_if_too_large(items: int) -> None:
    wanted, free = 4 * items**2, _available()
    if free is not None and wanted > free:
        raise RunError(
            f"EASE needs {wanted / 2**30:.1f} GiB for the weights of {items:,} x {items:,} items, and {free / 2**30:.1f} GiB are free; "
            "take SLIM or ItemKNN, whose weights are sparse, or leave rare items out (MinSupport)"
        )


def _available() -> int | None:
    """Bytes that the system could give now, within the limit of the container if there is one; None where neither is told."""
    known = []
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        known += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        pass
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current"))
        known += [int(limit) - int(used)] if limit != "max" else []
    except OSError:
        pass
    return min(known, default=None)
