"""The compiled loops of :mod:`recsys.ranking` and :mod:`recsys.ranks` (CPU, float32 and float64)."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def records(query, items, row, item, out, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """out[r] = the dot product of query[row[r]] and items[item[r]] in float64, added up as :func:`recsys.ranking.dot` does: bit for bit."""
    terms = np.empty(max(1, query.shape[1]), dtype=np.float64)
    for r in range(a, b):
        left, right, width = query[row[r]], items[item[r]], query.shape[1]
        terms[0] = 0.0
        for j in range(width):
            terms[j] = np.float64(left[j]) * np.float64(right[j])
        while width > 1:
            half = width // 2
            for j in range(half):
                terms[j] += terms[half + j]
            if width % 2:
                terms[half] = terms[width - 1]
            width -= half
        out[r] = terms[0]


@numba.njit(cache=True, nogil=True)
def count(scores, row, item, low, high, above, lower, higher, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """above[r]: how many of scores[row[r]] are beyond high[r]; lower[r] and higher[r]: how many are from low[r] to high[r], of items below
    and above item[r]."""
    for r in range(a, b):
        line, own, least, most = scores[row[r]], item[r], low[r], high[r]
        beyond, first, second = 0, 0, 0
        for i in range(own):
            beyond += line[i] > most
            first += line[i] >= least
        before = beyond
        for i in range(own + 1, len(line)):
            beyond += line[i] > most
            second += line[i] >= least
        above[r], lower[r], higher[r] = beyond, first - before, second - (beyond - before)
