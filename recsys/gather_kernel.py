"""The compiled loops of :mod:`recsys.gather_dot` (CPU, float32). Shapes: R rows, K candidates a row, N items, D width, M touched items.

``inverse`` float32 [N] holds 1 / |table[j]| where scores are cosines, and is empty where they are dot products.

fastmath lets the sum of a dot product be taken in vector lanes; which rows and columns are worked on in one call never changes a value.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, fastmath=True)
def inverse_norms(table, out, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    for j in range(a, b):
        square = np.float32(0)
        for d in range(table.shape[1]):
            square += table[j, d] * table[j, d]
        out[j] = np.float32(1) / max(np.sqrt(square), np.float32(1e-12))


@numba.njit(cache=True, nogil=True, fastmath=True)
def scores(query, table, ids, inverse, out, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    cosine = len(inverse) > 0
    for r in range(a, b):
        for k in range(ids.shape[1]):
            j = ids[r, k]
            s = np.float32(0)
            for d in range(query.shape[1]):
                s += query[r, d] * table[j, d]
            out[r, k] = s * inverse[j] if cosine else s


@numba.njit(cache=True, nogil=True, fastmath=True)
def query_gradient(slope, table, ids, inverse, out, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[r] = sum over k of slope[r, k] table[ids[r, k]] (its direction, for cosines); slopes of 0 cost nothing."""
    cosine = len(inverse) > 0
    for r in range(a, b):
        for k in range(ids.shape[1]):
            g = slope[r, k]
            if g != 0:
                j = ids[r, k]
                if cosine:
                    g *= inverse[j]
                for d in range(table.shape[1]):
                    out[r, d] += g * table[j, d]


@numba.njit(cache=True, nogil=True)
def touched(slope, ids, slot, rows):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Number the items with a slope other than 0 in the order they come; slot int32 [N], all -1 before; returns how many there are."""
    n = 0
    for r in range(ids.shape[0]):
        for k in range(ids.shape[1]):
            if slope[r, k] != 0:
                j = ids[r, k]
                if slot[j] < 0:
                    slot[j] = n
                    rows[n] = j
                    n += 1
    return n


@numba.njit(cache=True, nogil=True, fastmath=True)
def item_gradient(slope, query, ids, slot, rows, table, inverse, score, out, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[slot[j]] += slope[r, k] query[r] for the slots a..b, in the order of rows and columns: each call owns its slots.

    For cosines the part along the item's own vector is taken out: (sum of g q - (sum of g s) e / |e|) / |e|. rows int64 [M]: of a slot.
    """
    cosine = len(inverse) > 0
    along = np.zeros(b - a if cosine else 0, np.float32)
    for r in range(ids.shape[0]):
        for k in range(ids.shape[1]):
            g = slope[r, k]
            if g != 0:
                at = slot[ids[r, k]]
                if a <= at < b:
                    for d in range(query.shape[1]):
                        out[at, d] += g * query[r, d]
                    if cosine:
                        along[at - a] += g * score[r, k]
    for at in range(a, b if cosine else a):
        j = rows[at]
        shorter, part = inverse[j], along[at - a] * inverse[j]
        for d in range(query.shape[1]):
            out[at, d] = shorter * (out[at, d] - part * table[j, d])
