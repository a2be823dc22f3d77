"""The compiled row update of LazyAdam (CPU, float32). Its torch twin is ``lazy_adam._torch_rows``."""

from __future__ import annotations

import numba
import numpy as np
from torch import Tensor


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _update(rows, values, p, m, v, slot, rate, beta1, beta2, scale, eps):  # type: ignore[no-untyped-def]  # pragma: no cover
    """rows int64 [M], values float32 [M, D] (overwritten), p, m, v float32 [N, D], slot int32 [N], all -1 before and after.

    error_model "numpy": a division that may raise would not be vectorised. The time goes into fetching rows of p, m and v from
    memory (a permuted table costs four times a sequential one); a second thread gains little over the whole step.
    """
    one = np.float32(1)
    width = values.shape[1]
    for i in range(len(rows)):  # add repeated rows up, in the order they come
        r = rows[i]
        first = slot[r]
        if first < 0:
            slot[r] = i
        else:
            for d in range(width):
                values[first, d] += values[i, d]
    for i in range(len(rows)):
        r = rows[i]
        if slot[r] == i:
            slot[r] = -1
            for d in range(width):
                g = values[i, d]
                mean = beta1 * m[r, d] + (one - beta1) * g
                square = beta2 * v[r, d] + (one - beta2) * g * g
                m[r, d] = mean
                v[r, d] = square
                p[r, d] -= rate * mean / (np.sqrt(square) * scale + eps)


class RowUpdate:
    """One Adam update of the rows of ``p`` [N, D] that a sparse gradient names. The gradient's values are used as scratch space."""

    def __init__(self) -> None:
        self._slots: dict[int, np.ndarray] = {}  # scratch space by table length

    def __call__(
        self, p: Tensor, grad: Tensor, m: Tensor, v: Tensor, rate: float, beta1: float, beta2: float, scale: float, eps: float
    ) -> None:
        rows, values = grad._indices()[0], grad._values().contiguous()
        slot = self._slots.get(len(p))
        if slot is None:
            slot = self._slots[len(p)] = np.full(len(p), -1, dtype=np.int32)
        numbers = (np.float32(x) for x in (rate, beta1, beta2, scale, eps))
        _update(rows.numpy(), values.numpy(), p.detach().numpy(), m.numpy(), v.numpy(), slot, *numbers)
