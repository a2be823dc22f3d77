"""The compiled loops of :mod:`recsys.catalog` (CPU): a binary search among one owner's items instead of among all pairs.

ptr int64 [U + 1] and items int32 [P]: the distinct items of owner u are items[ptr[u]:ptr[u + 1]], ascending. R rows, K candidates a row.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def seen(ptr, items, owner, ids, out, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[r, k] = whether owner[r] has ids[r, k]; ids [R, K], or [1, K] for every row."""
    shared = ids.shape[0] == 1
    for r in range(a, b):
        start, stop = ptr[owner[r]], ptr[owner[r] + 1]
        for k in range(ids.shape[1]):
            item = ids[0 if shared else r, k]
            low, high = start, stop
            while low < high:
                middle = (low + high) >> 1
                if items[middle] < item:
                    low = middle + 1
                else:
                    high = middle
            out[r, k] = low < stop and items[low] == item


@numba.njit(cache=True, nogil=True)
def unseen(ptr, items, owner, u, out, num_items, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[r, k] = the item at the share u[r, k], in [0, 1), of those that owner[r] does not have, ascending."""
    for r in range(a, b):
        start, stop = ptr[owner[r]], ptr[owner[r] + 1]
        free = max(num_items - (stop - start), 1)
        for k in range(u.shape[1]):
            rank = min(np.int64(u[r, k] * free), free - 1)
            low, high = start, stop
            while low < high:  # the n-th item of the owner has items[start + n] - n others below it
                middle = (low + high) >> 1
                if items[middle] - (middle - start) <= rank:
                    low = middle + 1
                else:
                    high = middle
            out[r, k] = min(rank + low - start, num_items - 1)
