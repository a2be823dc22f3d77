"""The compiled coordinate descent of SLIM (CPU). Shapes: U owners, N items, P pairs."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def descend(  # type: ignore[no-untyped-def]  # pragma: no cover
    of_owner, item, by_item, owner, l1, l2, most, tolerance, sweeps, first, weights, a, b
):
    """weights[r], float32 [N] of zeros before: those of item first + r, for the rows a..b.

    of_owner int64 [U + 1], item int32 [P]: the items of each owner; by_item int64 [N + 1], owner int32 [P]: the owners of each item; both
    distinct and ascending. most: how many candidates an item may have.
    """
    residual = np.zeros(len(of_owner) - 1, dtype=np.float64)
    count = np.zeros(len(by_item) - 1, dtype=np.int64)
    near = np.empty(len(by_item) - 1, dtype=np.int64)
    w = np.zeros(len(by_item) - 1, dtype=np.float64)
    for r in range(a, b):
        j = first + r
        some = _candidates(of_owner, item, by_item, owner, j, l1, most, count, near)
        for e in range(by_item[j], by_item[j + 1]):
            residual[owner[e]] = 1.0
        for _ in range(sweeps):
            if _sweep(by_item, owner, near, some, l1, l2, residual, w, False) <= tolerance:
                break
            for _ in range(sweeps):
                if _sweep(by_item, owner, near, some, l1, l2, residual, w, True) <= tolerance:
                    break
        for n in range(some):
            i = near[n]
            for e in range(by_item[i], by_item[i + 1]):
                residual[owner[e]] = 0.0
            weights[r, i] = w[i]
            w[i] = 0.0
        for e in range(by_item[j], by_item[j + 1]):
            residual[owner[e]] = 0.0


@numba.njit(cache=True, nogil=True)
def _candidates(of_owner, item, by_item, owner, j, l1, most, count, near):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write into ``near`` the items that may have a weight for item j, ascending; how many there are. ``count`` is 0 before and after."""
    met = 0
    for e in range(by_item[j], by_item[j + 1]):
        u = owner[e]
        for f in range(of_owner[u], of_owner[u + 1]):
            i = item[f]
            if count[i] == 0:
                near[met] = i
                met += 1
            count[i] += 1
    some = 0
    likeness = np.empty(met, dtype=np.float64)
    for n in range(met):
        i = near[n]
        if i != j and count[i] > l1:
            near[some] = i
            some += 1
        else:
            count[i] = 0
    near[:some].sort()
    for n in range(some):
        i = near[n]
        likeness[n] = -count[i] / np.sqrt(by_item[i + 1] - by_item[i])
        count[i] = 0
    if some > most:
        chosen = near[:some][np.argsort(likeness[:some], kind="mergesort")[:most]]
        chosen.sort()
        near[:most] = chosen
        some = most
    return some


@numba.njit(cache=True, nogil=True)
def _sweep(by_item, owner, near, some, l1, l2, residual, w, moved_only):  # type: ignore[no-untyped-def]  # pragma: no cover
    """One visit to each candidate, or to each with a weight; the largest change."""
    most = 0.0
    for n in range(some):
        i = near[n]
        old = w[i]
        if moved_only and old == 0.0:
            continue
        a, b = by_item[i], by_item[i + 1]
        s = (b - a) * old - l1
        for e in range(a, b):
            s += residual[owner[e]]
        new = max(s, 0.0) / (b - a + l2)
        change = new - old
        if change != 0.0:
            w[i] = new
            for e in range(a, b):
                residual[owner[e]] -= change
            most = max(most, abs(change))
    return most
