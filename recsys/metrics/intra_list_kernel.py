"""The compiled loop of :mod:`recsys.metrics.intra_list_distance`.

owners [P] and offsets int64 [N + 1]: the distinct owners of item i are owners[offsets[i]:offsets[i + 1]]. items int64 [Q, K], -1: none.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def mean_distance(number, owners, offsets, items, out, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[q] = mean of 1 - cosine over the pairs of a list. With x the unit columns, the sum of all cosines of item r with those before
    it is x_r . (x_1 + ... + x_(r - 1)): one sum over its owners, whatever the number of pairs."""
    before = np.zeros(number)
    for q in range(a, b):
        near, size = 0.0, 0
        for item in items[q]:
            if item < 0:
                continue
            size += 1
            start, stop = offsets[item], offsets[item + 1]
            if start < stop:
                unit, found = 1 / np.sqrt(stop - start), 0.0
                for e in range(start, stop):
                    found += before[owners[e]]
                    before[owners[e]] += unit
                near += found * unit
        for item in items[q]:
            if item >= 0:
                for e in range(offsets[item], offsets[item + 1]):
                    before[owners[e]] = 0.0
        out[q] = max(0.0, 1 - near / (size * (size - 1) / 2)) if size > 1 else np.nan
