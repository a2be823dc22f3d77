"""The loops of :mod:`recsys.data.kernels`, compiled. Arguments and results are those of the functions there."""

from __future__ import annotations

import numba
import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # of Fibonacci hashing
_SHORT = 32  # longer stretches are sorted by NumPy's own sort


@numba.njit(cache=True, nogil=True)
def sort(owner, key, owners):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A counting sort by owner, then a stable sort by key within each."""
    n = len(owner)
    begin = np.zeros(owners + 1, np.int64)
    for i in range(n):
        begin[owner[i] + 1] += 1
    for u in range(owners):
        begin[u + 1] += begin[u]
    at = begin[:-1].copy()
    row, value = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        j = at[owner[i]]
        at[owner[i]] = j + 1
        row[j], value[j] = i, key[i]
    for u in range(owners):
        a, b = begin[u], begin[u + 1]
        if b - a <= _SHORT:
            for i in range(a + 1, b):
                v, r, j = value[i], row[i], i
                while j > a and value[j - 1] > v:
                    value[j], row[j] = value[j - 1], row[j - 1]
                    j -= 1
                value[j], row[j] = v, r
        else:
            order = np.argsort(value[a:b], kind="mergesort")
            row[a:b] = row[a:b][order]
    return row


@numba.njit(cache=True, nogil=True)
def group(bucket, buckets):  # type: ignore[no-untyped-def]  # pragma: no cover
    begin = np.zeros(buckets + 1, np.int64)
    for b in bucket:
        begin[b + 1] += 1
    for b in range(buckets):
        begin[b + 1] += begin[b]
    at = begin[:-1].copy()
    order = np.empty(len(bucket), np.int64)
    for i in range(len(bucket)):
        order[at[bucket[i]]] = i
        at[bucket[i]] += 1
    return order, begin


@numba.njit(cache=True, nogil=True)
def first_of_pair(offsets, item, items, last):  # type: ignore[no-untyped-def]  # pragma: no cover
    seen = np.full(items, -1, np.int64)  # by item: the owner that had it latest
    keep = np.zeros(len(item), np.bool_)
    for u in range(len(offsets) - 1):
        for k in range(offsets[u], offsets[u + 1]):
            i = offsets[u + 1] - 1 - (k - offsets[u]) if last else k
            if seen[item[i]] != u:
                seen[item[i]] = u
                keep[i] = True
    return keep


@numba.njit(cache=True, nogil=True)
def in_history(offsets, item, earlier, items):  # type: ignore[no-untyped-def]  # pragma: no cover
    seen = np.full(items, -1, np.int64)
    found = np.zeros(len(item), np.bool_)
    for u in range(len(offsets) - 1):
        for i in range(offsets[u], offsets[u + 1]):
            if earlier[i]:
                seen[item[i]] = u
        for i in range(offsets[u], offsets[u + 1]):
            if not earlier[i]:
                found[i] = seen[item[i]] == u
    return found


@numba.njit(cache=True, nogil=True)
def core(offsets, item, items, of_owner, of_item):  # type: ignore[no-untyped-def]  # pragma: no cover
    count = np.zeros(items, np.int64)
    keep = np.ones(len(item), np.bool_)
    for i in item:
        count[i] += 1
    alive = np.arange(len(offsets) - 1)
    while True:
        changed, left = False, 0
        for u in alive:
            size = 0
            for i in range(offsets[u], offsets[u + 1]):
                if keep[i]:
                    if count[item[i]] < of_item:
                        keep[i] = False
                        count[item[i]] -= 1
                        changed = True
                    else:
                        size += 1
            if 0 < size < of_owner:
                changed = True
                for i in range(offsets[u], offsets[u + 1]):
                    if keep[i]:
                        keep[i] = False
                        count[item[i]] -= 1
            elif size:
                alive[left] = u
                left += 1
        alive = alive[:left]
        if not changed:
            return keep


@numba.njit(cache=True, nogil=True)
def provisional(values, start, codes, table, ids, known):  # type: ignore[no-untyped-def]  # pragma: no cover
    size, room = len(table), len(ids)
    bits = 0
    while (1 << bits) < size:
        bits += 1
    shift = np.uint64(64 - bits)
    for i in range(start, len(values)):
        value = values[i]
        at = np.int64((np.uint64(value) * GOLDEN) >> shift)
        while True:
            code = table[at]
            if code < 0:
                if known == room:
                    return i, known
                code = np.int32(known)
                table[at] = code
                ids[known] = value
                known += 1
                break
            if ids[code] == value:
                break
            at = (at + 1) & (size - 1)
        codes[i] = code
    return len(values), known
