"""The compiled updates of Adam and LazyAdam (CPU, float32). Their torch twins are in ``row_adam``.

Shapes: p, m, v float32 [N, D]; rows int64 [M] and values float32 [M, D], the gradient of the rows that a step looked up, where a row may be
there several times; slot int32 [N], scratch space that is -1 everywhere before and after. error_model "numpy": a division that may raise
would not be vectorised.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from recsys.threads import share

_WORTH = 1 << 16  # numbers below which a second thread costs more than it saves


@numba.njit(cache=True, nogil=True)
def _add_up(rows, values, slot):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add repeated rows up, in the order they come, where each stands first: at slot[row]."""
    for i in range(len(rows)):
        r = rows[i]
        first = slot[r]
        if first < 0:
            slot[r] = i
        else:
            for d in range(values.shape[1]):
                values[first, d] += values[i, d]


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _touched(rows, values, p, m, v, slot, rate, beta1, beta2, scale, eps, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Adam on the rows that are there. The time goes into fetching rows of p, m and v (permuted, four times as much as in order)."""
    one = np.float32(1)
    for i in range(a, b):
        r = rows[i]
        if slot[r] == i:
            for d in range(values.shape[1]):
                g = values[i, d]
                mean = beta1 * m[r, d] + (one - beta1) * g
                square = beta2 * v[r, d] + (one - beta2) * g * g
                m[r, d] = mean
                v[r, d] = square
                p[r, d] -= rate * mean / (np.sqrt(square) * scale + eps)


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _every(values, p, m, v, slot, rate, beta1, beta2, scale, eps, decay, shrink, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Adam on all rows, those without a gradient too: their moments fade and go on moving them. decay: L2 term; shrink: decoupled one."""
    one = np.float32(1)
    for r in range(a, b):
        i = slot[r]
        for d in range(p.shape[1]):
            g = decay * p[r, d]
            if i >= 0:
                g += values[i, d]
            mean = beta1 * m[r, d] + (one - beta1) * g
            square = beta2 * v[r, d] + (one - beta2) * g * g
            m[r, d] = mean
            v[r, d] = square
            p[r, d] = shrink * p[r, d] - rate * mean / (np.sqrt(square) * scale + eps)


@numba.njit(cache=True, nogil=True)
def _clear(rows, slot):  # type: ignore[no-untyped-def]  # pragma: no cover
    for i in range(len(rows)):
        slot[rows[i]] = -1


_slots: dict[int, np.ndarray] = {}  # scratch space by table length
_every_row: dict[int, np.ndarray] = {}


def _slot(length: int) -> np.ndarray:
    if length not in _slots:
        _slots[length] = np.full(length, -1, dtype=np.int32)
    return _slots[length]


def _parts(grad: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return grad._indices()[0].numpy(), grad._values().contiguous().numpy()


def update_touched(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, numbers: tuple[float, ...]) -> None:
    """One Adam update of the rows that a sparse gradient names, and of no other. The gradient's values are used as scratch space.

    numbers: rate, beta1, beta2, scale, eps as in ``row_adam``.
    """
    (rows, values), slot = _parts(grad), _slot(len(p))
    _add_up(rows, values, slot)
    arrays: tuple[Any, ...] = (rows, values, p.detach().numpy(), m.numpy(), v.numpy(), slot, *map(np.float32, numbers))
    share(partial(_touched, *arrays), len(rows), worth=values.size >= _WORTH)
    _clear(rows, slot)


def update_every(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, numbers: tuple[float, ...]) -> None:
    """One Adam update of every row from a sparse gradient, without a dense one being made. Its values are used as scratch space.

    numbers: rate, beta1, beta2, scale, eps, decay, shrink as in ``row_adam``.
    """
    (rows, values), slot = _parts(grad), _slot(len(p))
    _add_up(rows, values, slot)
    arrays: tuple[Any, ...] = (values, p.detach().numpy(), m.numpy(), v.numpy(), slot, *map(np.float32, numbers))
    share(partial(_every, *arrays), len(p), worth=p.numel() >= _WORTH)
    _clear(rows, slot)


def update_dense(p: Tensor, grad: Tensor, m: Tensor, v: Tensor, numbers: tuple[float, ...]) -> None:
    """:func:`update_every` from a dense gradient [N, D], in one pass over the five arrays."""
    if len(p) not in _every_row:
        _every_row[len(p)] = np.arange(len(p), dtype=np.int32)
    values = grad.contiguous().numpy()
    arrays: tuple[Any, ...] = (values, p.detach().numpy(), m.numpy(), v.numpy(), _every_row[len(p)], *map(np.float32, numbers))
    share(partial(_every, *arrays), len(p), worth=p.numel() >= _WORTH)


def add_up(grad: Tensor) -> Tensor:
    """A sparse gradient with each row once (in the order of first appearance), the sum of its repetitions."""
    (rows, values), slot = _parts(grad), _slot(grad.shape[0])
    _add_up(rows, values, slot)
    first = np.flatnonzero(slot[rows] == np.arange(len(rows)))
    kept = torch.from_numpy(rows[first])[None], torch.from_numpy(values if len(first) == len(rows) else values[first])
    _clear(rows, slot)
    return torch.sparse_coo_tensor(*kept, grad.shape, check_invariants=False)
