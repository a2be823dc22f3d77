"""Compiled inner loops of data preparation. Each has a NumPy twin that gives the same arrays: it serves small logs, for which compiling
would cost more than it saves, and the tests, which hold one against the other.

Letters: E events, U owners, N items.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]

COMPILED_FROM = 200_000  # events; below, the twin is used
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SHORT = 32  # longer stretches are sorted by NumPy's own sort


def sort_events(owner: Codes, clock: Ints | None, item: Codes, owners: int) -> Ints:
    """[E] the permutation that sorts by owner, then clock, then item; equal rows keep their order.

    Args:
        owner: int32 [E], each in ``[0, owners)``.
        clock: int64 [E], or None.
        item: int32 [E], not negative.
        owners: U.
    """
    packed = _packed(clock, item) if len(owner) >= COMPILED_FROM else None
    if packed is None:
        return np.lexsort((item, owner) if clock is None else (item, clock, owner))
    return np.asarray(_sort(owner, packed, owners))


def _packed(clock: Ints | None, item: Codes) -> Ints | None:
    """Clock and item as one ascending number [E], or None if 63 bits do not hold them."""
    if clock is None:
        return item.astype(np.int64)
    low, high = int(clock.min()), int(clock.max())
    unit = next(u for u in (1_000_000, 1_000, 1) if u == 1 or not ((clock - low) % u).any())
    width = int(item.max()) + 1
    if ((high - low) // unit + 1) * width >= 2**63:
        return None
    return np.asarray((clock - low) // unit * width + item, dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def _sort(owner, key, owners):  # type: ignore[no-untyped-def]  # pragma: no cover
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


def group(bucket: Codes, buckets: int) -> tuple[Ints, Ints]:
    """The rows of each bucket side by side.

    Args:
        bucket: int32 [E], each in ``[0, buckets)``.
        buckets: how many there are.

    Returns:
        int64 [E] the permutation (stable), and int64 [buckets + 1] where each bucket begins in it.
    """
    if len(bucket) >= COMPILED_FROM:
        order, begin = _group(bucket, buckets)
        return np.asarray(order), np.asarray(begin)
    return np.argsort(bucket, kind="stable"), np.concatenate([[0], np.bincount(bucket, minlength=buckets).cumsum()])


@numba.njit(cache=True, nogil=True)
def _group(bucket, buckets):  # type: ignore[no-untyped-def]  # pragma: no cover
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


def first_of_pair(offsets: Ints, item: Codes, items: int, *, last: bool = False) -> Mask:
    """[E] whether an event is the first (or the last) of its owner with its item.

    Args:
        offsets: int64 [U + 1], where each owner's events begin.
        item: int32 [E], in the owners' order.
        items: N.
        last: keep the last instead.
    """
    if len(item) >= COMPILED_FROM:
        return np.asarray(_first_of_pair(offsets, item, items, last))
    pair = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) * items + item
    keep = np.zeros(len(item), dtype=bool)
    keep[len(item) - 1 - np.unique(pair[::-1], return_index=True)[1] if last else np.unique(pair, return_index=True)[1]] = True
    return keep


@numba.njit(cache=True, nogil=True)
def _first_of_pair(offsets, item, items, last):  # type: ignore[no-untyped-def]  # pragma: no cover
    seen = np.full(items, -1, np.int64)  # by item: the owner that had it latest
    keep = np.zeros(len(item), np.bool_)
    for u in range(len(offsets) - 1):
        for k in range(offsets[u], offsets[u + 1]):
            i = offsets[u + 1] - 1 - (k - offsets[u]) if last else k
            if seen[item[i]] != u:
                seen[item[i]] = u
                keep[i] = True
    return keep


def in_history(offsets: Ints, item: Codes, earlier: Mask, items: int) -> Mask:
    """[E] whether the owner has an event with the same item among those that are ``earlier``; false for those themselves.

    Args:
        offsets: int64 [U + 1].
        item: int32 [E].
        earlier: bool [E].
        items: N.
    """
    if len(item) >= COMPILED_FROM:
        return np.asarray(_in_history(offsets, item, earlier, items))
    pair = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) * items + item
    return np.asarray(np.isin(pair, pair[earlier]) & ~earlier)


@numba.njit(cache=True, nogil=True)
def _in_history(offsets, item, earlier, items):  # type: ignore[no-untyped-def]  # pragma: no cover
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


def core(offsets: Ints, item: Codes, items: int, of_owner: int, of_item: int) -> Mask:
    """[E] the largest set of events in which every owner has at least ``of_owner`` and every item at least ``of_item`` of them.

    That set is unique (the union of two such sets is one), so the order of removal does not matter.

    Args:
        offsets: int64 [U + 1].
        item: int32 [E].
        items: N.
        of_owner: events of each owner that stays.
        of_item: events of each item that stays.
    """
    if len(item) >= COMPILED_FROM:
        return np.asarray(_core(offsets, item, items, of_owner, of_item))
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    keep = np.ones(len(item), dtype=bool)
    while True:
        users = np.bincount(owner[keep], minlength=len(offsets) - 1)
        counts = np.bincount(item[keep], minlength=items)
        stay = keep & (users[owner] >= of_owner) & (counts[item] >= of_item)
        if stay.sum() == keep.sum():
            return keep
        keep = stay


@numba.njit(cache=True, nogil=True)
def _core(offsets, item, items, of_owner, of_item):  # type: ignore[no-untyped-def]  # pragma: no cover
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


def provisional(values: Ints, start: int, codes: Codes, table: Codes, ids: Ints, known: int) -> tuple[int, int]:
    """Codes of integer ids in the order of their first appearance. Stops when ``ids`` is full.

    Args:
        values: int64 [E].
        start: the first one to code.
        codes: int32 [E], written to.
        table: int32, a power of two and larger than ``ids``: a hash table of codes with linear probing, -1 where empty; written to.
        ids: int64, written to: the id of each code.
        known: how many codes there are.

    Returns:
        the first value that has no code yet (E when done), and how many codes there are now.
    """
    if len(values) >= COMPILED_FROM:
        stop, known = _provisional(values, start, codes, table, ids, known)
        return int(stop), int(known)
    distinct, first, inverse = np.unique(values[start:], return_index=True, return_inverse=True)
    if known + len(distinct) > len(ids):
        return start, known
    order = np.argsort(ids[:known])
    at = np.searchsorted(ids[:known], distinct, sorter=order)
    place = np.append(order, 0)[at]
    found = (at < known) & (ids[place] == distinct)
    code = np.where(found, place, -1)
    fresh = np.flatnonzero(~found)[np.argsort(first[~found])]
    code[fresh] = known + np.arange(len(fresh))
    ids[known : known + len(fresh)] = distinct[fresh]
    enter(table, ids, known, known + len(fresh))
    codes[start:] = code[inverse]
    return len(values), known + len(fresh)


def enter(table: Codes, ids: Ints, first: int, last: int) -> None:
    """Put the codes ``first`` to ``last - 1`` into the hash table; their ids are not in it yet."""
    if last - first >= COMPILED_FROM:
        _provisional(ids[first:last].copy(), 0, np.empty(last - first, np.int32), table, ids, first)
        return
    code = np.arange(first, last, dtype=np.int32)
    place = _hash(ids[first:last], len(table))
    while len(code):  # of those that meet at an empty place one enters; the others, and those at a full place, try the next
        empty = table[place] < 0
        table[place[empty]] = code[empty]
        left = table[place] != code
        code, place = code[left], (place[left] + 1) & (len(table) - 1)


def _hash(values: Ints, size: int) -> Ints:
    shift = np.uint64(65 - size.bit_length())
    with np.errstate(over="ignore"):
        return np.asarray((values.astype(np.uint64) * _GOLDEN >> shift).astype(np.int64))


@numba.njit(cache=True, nogil=True)
def _provisional(values, start, codes, table, ids, known):  # type: ignore[no-untyped-def]  # pragma: no cover
    size, room = len(table), len(ids)
    bits = 0
    while (1 << bits) < size:
        bits += 1
    shift = np.uint64(64 - bits)
    for i in range(start, len(values)):
        value = values[i]
        at = np.int64((np.uint64(value) * _GOLDEN) >> shift)
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
