"""The compiled loop of :mod:`recsys.top_k` (CPU, float32)."""

from __future__ import annotations

import numba
import numpy as np

LANES = 32


@numba.njit(cache=True, nogil=True)
def top_k(scores, valid, out, threshold_rank, stride, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[r] = the columns of the k largest scores among row r's valid ones, ascending; of equal scores the first.

    scores float32 [R, K], valid bool [R | 1 | 0, K] (no rows: all are), out int64 [R, k], k <= K. One pass keeps what reaches a bound, the
    ``threshold_rank``-th largest of every ``stride``-th score, which a few more than k scores do; where fewer do, all are kept.
    """
    columns, k = scores.shape[1], out.shape[1]
    kept = np.empty(columns, dtype=np.int64)
    value = np.empty(columns, dtype=np.float32)
    best = np.empty(threshold_rank, dtype=np.float32)
    for r in range(a, b):
        v = min(r, len(valid) - 1)
        for j in range(threshold_rank):
            best[j] = -np.inf
        for j in range(0, columns, stride):
            s = scores[r, j]
            if s > best[0]:  # the smallest of the largest so far
                i = 1
                while i < threshold_rank and best[i] < s:
                    best[i - 1] = best[i]
                    i += 1
                best[i - 1] = s
        bound, n = best[0], 0
        for start in range(0, columns, LANES):
            stop, reach = min(start + LANES, columns), 0
            if stop - start == LANES:
                for i in range(LANES):  # of a fixed length, so that it is compiled to vector operations
                    reach += scores[r, start + i] >= bound
            if reach or stop - start < LANES:
                for j in range(start, stop):
                    if scores[r, j] >= bound and (v < 0 or valid[v, j]):
                        kept[n] = j
                        value[n] = scores[r, j]
                        n += 1
        if n < k:
            n = 0
            for j in range(columns):
                if v < 0 or valid[v, j]:
                    kept[n] = j
                    value[n] = scores[r, j]
                    n += 1
        if n > k:  # the k-th largest value, by halving (Hoare 1961)
            work = value[:n].copy()
            low, high = 0, n - 1
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
            smallest = work[k - 1]
            above = 0
            for i in range(n):
                if value[i] > smallest:
                    above += 1
            equal, m = k - above, 0
            for i in range(n):
                if value[i] > smallest or (value[i] == smallest and equal > 0):
                    if value[i] == smallest:
                        equal -= 1
                    if m < k:
                        out[r, m] = kept[i]
                        m += 1
        else:
            m = 0
            for i in range(n):
                out[r, m] = kept[i]
                m += 1
            for j in range(columns):  # too few that count: filled up with those that do not
                if m < k and not (v < 0 or valid[v, j]):
                    out[r, m] = j
                    m += 1
        while m < k:  # nan compares with nothing; the step refuses the loss that comes of it
            out[r, m] = columns - 1
            m += 1
