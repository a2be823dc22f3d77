"""The inner loops of data preparation: compiled (:mod:`recsys.data.compiled`) for large logs, and in NumPy for small ones, for which
loading the compiler would cost more than it saves. Both give the same arrays, which the tests hold against each other.

Letters: E events, U owners, N items.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]

COMPILED_FROM = 200_000  # events; below, the twin is used
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # of Fibonacci hashing


def _compiled() -> Any:
    """The compiled loops; loading the compiler takes a moment, so it waits for the first large log."""
    from recsys.data import compiled

    return compiled


def sort_events(owner: Codes, clock: Ints | None, item: Ints | Codes, owners: int) -> Ints:
    """[E] the permutation that sorts by owner, then clock, then item; equal rows keep their order.

    Args:
        owner: int32 [E], each in ``[0, owners)``.
        clock: int64 [E], or None.
        item: int32 or int64 [E].
        owners: U.
    """
    packed = _packed(clock, item) if len(owner) >= COMPILED_FROM else None
    if packed is None:
        return np.lexsort((item, owner) if clock is None else (item, clock, owner))
    return np.asarray(_compiled().sort(owner, packed, owners))


def _packed(clock: Ints | None, item: Ints | Codes) -> Ints | None:
    """Clock and item as one ascending number [E], or None if 63 bits do not hold them."""
    if clock is None:
        return item.astype(np.int64)
    least = int(item.min())
    low, high = int(clock.min()), int(clock.max())
    unit = next(u for u in (1_000_000, 1_000, 1) if u == 1 or not ((clock - low) % u).any())
    width = int(item.max()) - least + 1
    if ((high - low) // unit + 1) * width >= 2**63:
        return None
    return np.asarray((clock - low) // unit * width + (item - least), dtype=np.int64)


def group(bucket: Codes, buckets: int) -> tuple[Ints, Ints]:
    """The rows of each bucket side by side.

    Args:
        bucket: int32 [E], each in ``[0, buckets)``.
        buckets: how many there are.

    Returns:
        int64 [E] the permutation (stable), and int64 [buckets + 1] where each bucket begins in it.
    """
    if len(bucket) >= COMPILED_FROM:
        order, begin = _compiled().group(bucket, buckets)
        return np.asarray(order), np.asarray(begin)
    return np.argsort(bucket, kind="stable"), np.concatenate([[0], np.bincount(bucket, minlength=buckets).cumsum()])


def first_of_pair(offsets: Ints, item: Codes, items: int, *, last: bool = False) -> Mask:
    """[E] whether an event is the first (or the last) of its owner with its item.

    Args:
        offsets: int64 [U + 1], where each owner's events begin.
        item: int32 [E], in the owners' order.
        items: N.
        last: keep the last instead.
    """
    if len(item) >= COMPILED_FROM:
        return np.asarray(_compiled().first_of_pair(offsets, item, items, last))
    pair = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) * items + item
    keep = np.zeros(len(item), dtype=bool)
    keep[len(item) - 1 - np.unique(pair[::-1], return_index=True)[1] if last else np.unique(pair, return_index=True)[1]] = True
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
        return np.asarray(_compiled().in_history(offsets, item, earlier, items))
    pair = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) * items + item
    return np.asarray(np.isin(pair, pair[earlier]) & ~earlier)


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
        return np.asarray(_compiled().core(offsets, item, items, of_owner, of_item))
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    keep = np.ones(len(item), dtype=bool)
    while True:
        users = np.bincount(owner[keep], minlength=len(offsets) - 1)
        counts = np.bincount(item[keep], minlength=items)
        stay = keep & (users[owner] >= of_owner) & (counts[item] >= of_item)
        if stay.sum() == keep.sum():
            return keep
        keep = stay


def provisional(values: Ints, start: int, codes: Codes, table: Codes, ids: Ints, known: int, *, large: bool) -> tuple[int, int]:
    """Codes of integer ids in the order of their first appearance. Stops when ``ids`` is full.

    Args:
        values: int64 [E].
        start: the first one to code.
        codes: int32 [E], written to.
        table: int32, a power of two and larger than ``ids``: a hash table of codes with linear probing, -1 where empty; written to.
        ids: int64, written to: the id of each code.
        known: how many codes there are.
        large: whether the log is large, these values may be a small part of it.

    Returns:
        the first value that has no code yet (E when done), and how many codes there are now.
    """
    if large:
        stop, known = _compiled().provisional(values, start, codes, table, ids, known)
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
        _compiled().provisional(ids[first:last].copy(), 0, np.empty(last - first, np.int32), table, ids, first)
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
