"""The compiled loops of :mod:`recsys.top_k` (CPU, float32)."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def top_k(scores, valid, out, rank, stride, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[r] = the columns of the k largest scores among row r's valid ones, ascending; of equal scores the first.

    scores float32 [R, K], valid bool [R | 1 | 0, K] (no rows: all are), out int64 [R, k], k <= K. What reaches a bound is looked at, the
    ``rank``-th largest of every ``stride``-th score, which a few more than k scores do; where fewer do, all are.
    """
    columns, k = scores.shape[1], out.shape[1]
    everything = np.ones(columns, dtype=np.bool_)
    kept = np.empty(columns, dtype=np.int64)
    value = np.empty(columns, dtype=np.float32)
    best = np.empty(rank, dtype=np.float32)
    for r in range(a, b):
        counts = valid[min(r, len(valid) - 1)] if len(valid) else everything
        bound = np.float32(-np.inf) if stride == 1 else _bound(scores[r], stride, best)  # of few scores all are looked at
        n = _reaching(scores[r], counts, bound, kept, value)
        if n < k:
            n = _reaching(scores[r], counts, np.float32(-np.inf), kept, value)
        if n > k:
            _first(kept, value, n, _kth_largest(value[:n].copy(), k), out[r])
        else:
            out[r, :n] = kept[:n]
            _fill(counts, n, out[r])


@numba.njit(cache=True, nogil=True)
def _bound(scores, stride, best):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The smallest of the len(best) largest of every stride-th score; ``best`` is scratch space."""
    best[:] = -np.inf
    for j in range(0, len(scores), stride):
        s = scores[j]
        if s > best[0]:
            i = 1
            while i < len(best) and best[i] < s:
                best[i - 1] = best[i]
                i += 1
            best[i - 1] = s
    return best[0]


@numba.njit(cache=True, nogil=True)
def _reaching(scores, counts, bound, kept, value):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The columns that count and reach a bound, and their scores: how many there are."""
    n = 0
    for j in range(len(scores)):
        if scores[j] >= bound and counts[j]:
            kept[n] = j
            value[n] = scores[j]
            n += 1
    return n


@numba.njit(cache=True, nogil=True)
def _kth_largest(work, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """By halving (Hoare 1961); ``work`` is put into another order."""
    low, high = 0, len(work) - 1
    while low < high:
        pivot = work[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while work[i] > pivot:
                i += 1
            while pivot > work[j]:
                j -= 1
            if i <= j:
                work[i], work[j] = work[j], work[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    return work[k - 1]


@numba.njit(cache=True, nogil=True)
def _first(kept, value, n, smallest, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """All columns above the smallest value, and of those equal to it the first, as many as there is room for."""
    above = 0
    for i in range(n):
        above += value[i] > smallest
    equal, m = len(out) - above, 0
    for i in range(n):
        if value[i] > smallest or (value[i] == smallest and equal > 0):
            equal -= value[i] == smallest
            out[m] = kept[i]
            m += 1


@numba.njit(cache=True, nogil=True)
def _fill(counts, m, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Too few count: those that do not, and last (scores that are nan compare with nothing) any column."""
    for j in range(len(counts)):
        if m < len(out) and not counts[j]:
            out[m] = j
            m += 1
    out[m:] = len(counts) - 1
