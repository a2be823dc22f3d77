"""Sequences of the test that training has seen, exactly or nearly.

Contamination of a test set is measured by what its examples share with training (Singh et al., "Evaluation data contamination in LLMs:
how do we measure it and (when) does it matter?", arXiv:2411.03923, 2024: overlap of tokens). Here the tokens are items and the examples
whole sessions or user histories. We differ: two sequences are near duplicates as wholes, not where one holds the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.data.audit.check import Check, Finding, Ints, Part, Status, amount, distinct, merged, percent, share
from recsys.data.audit.sequences import Rows, common_items, common_subsequence, hashes, tested_rows, training_rows
from recsys.randomness import numpy_generator

NAME = "near duplicates across the cut"
MIN_LENGTH = 4  # shorter sequences agree by chance
SIMILAR_SESSIONS = 0.8  # longest common subsequence / length of the longer one
SIMILAR_USERS = 0.7  # Jaccard index of the bags of items: a random split of two equal histories leaves 0.8 of what can be seen
SAMPLE = 2_000  # sequences looked at; all if there are no more
_WORK = 2e7  # occurrences of rare items that are followed up, and items of the training rows that are then compared
_RED, _AMBER = 0.1, 0.01
_SLOTS = 1 << 13


@dataclass(frozen=True)
class _Found:
    """Of ``looked`` sequences: ``near`` have a near duplicate among the training rows of other owners, ``exact`` an equal one."""

    looked: int
    near: int
    exact: int

    def json(self) -> dict[str, Any]:
        return {"looked_at": self.looked, "near": self.near, "exact": self.exact, "share": share(self.near, self.looked)}


def near_duplicates(parts: list[Part], *, seed: int) -> Check:
    """How many test sequences (history and what was held out) have a near duplicate among the training sequences of other owners.

    Sessions: the longest common subsequence has at least 0.8 of the longer length. Users, whose held-out items may have no place in the
    order: the Jaccard index of their items, repeats counted, is at least 0.7. Sequences of at least 4 known items count. Up to 2,000 of
    them, drawn with ``seed``, are looked at, and fewer where popular items would make that long; for those the numbers are exact. The
    same is done with training sequences against the rest of training: that share is what the data have by nature.

    Red from a tenth of the sequences on, amber from a hundredth.
    """
    return merged(NAME, [(part, _check(part, seed)) for part in parts[:1]])


def _check(part: Part, seed: int) -> Finding:
    train, tested = training_rows(part), tested_rows(part)
    kind = part.train.owner_kind
    words = hashes(train)
    twins = _twins(tested, hashes(tested), words)
    long = np.flatnonzero(tested.lengths() >= MIN_LENGTH)
    inside = np.flatnonzero(train.lengths() >= MIN_LENGTH)
    details: dict[str, Any] = {"sequences": len(tested), "exact_of_any_length": int(twins.sum()), "long_enough": len(long)}
    details["of_length"] = MIN_LENGTH
    if not len(long):
        return Finding("not applicable", f"no {part.shown} sequence has {MIN_LENGTH} known items.", details)
    counts = np.bincount(train.items, minlength=part.train.num_items)
    seen = _search(tested, twins, long, train, counts, kind == "session", numpy_generator(seed, "audit", "duplicates"))
    g = numpy_generator(seed, "audit", "duplicates", "training")
    inside = np.sort(g.choice(inside, min(len(inside), SAMPLE), replace=False))
    natural = _search(train.take(inside), None, np.arange(len(inside)), train, counts, kind == "session", g)
    details |= {"test": seen.json(), "inside_training": natural.json(), "exact_long_enough": int(twins[long].sum())}
    part_of = share(seen.near, seen.looked)
    sampled = "" if seen.looked == len(long) else f" looked at (of {len(long):,})"
    text = f"{amount(seen.near, f'{part.shown} {kind} sequence')} of {seen.looked:,}{sampled} with a near duplicate in training"
    text += f" ({percent(part_of)}), {f'{seen.exact:,}' if seen.exact else 'none'} of them equal" if seen.near else ""
    text += f"; inside training {percent(share(natural.near, natural.looked))} have one." if natural.looked else "."
    status: Status = "red" if part_of >= _RED else "amber" if part_of >= _AMBER else "green"
    return Finding(status, text, details)


def _twins(rows: Rows, own: np.ndarray, training: np.ndarray) -> np.ndarray:
    """bool [R]: whether a training row of another owner is equal to each row; empty rows have no equal."""
    known = rows.owner >= 0
    ids, count = np.unique(training, return_counts=True)
    at = np.searchsorted(ids, own).clip(max=max(0, len(ids) - 1))
    found = np.where(ids[at] == own, count[at], 0) if len(ids) else np.zeros(len(own), dtype=np.int64)
    itself = np.zeros(len(own), dtype=np.int64)
    itself[known] = training[rows.owner[known]] == own[known]
    return np.asarray((found > itself) & (rows.lengths() > 0))


def _search(rows: Rows, twins: np.ndarray | None, which: Ints, train: Rows, counts: Ints, ordered: bool, g: np.random.Generator) -> _Found:
    """Look at up to SAMPLE of the rows ``which``, in random order, as far as the budget of work goes."""
    chosen = which if len(which) <= SAMPLE else g.choice(which, SAMPLE, replace=False)
    chosen = g.permutation(chosen)
    least = SIMILAR_SESSIONS if ordered else SIMILAR_USERS
    row, item = _rarest(rows, chosen, counts, least)
    chosen = chosen[: _affordable(np.bincount(row, counts[item], minlength=len(chosen)))]
    row, item = row[row < len(chosen)], item[row < len(chosen)]
    left, right = _candidates(row, item, rows.take(chosen), train, len(counts), least)
    chosen = chosen[: _affordable(np.bincount(left, train.lengths()[right], minlength=len(chosen)))]
    left, right = left[left < len(chosen)], right[left < len(chosen)]
    sample = rows.take(chosen)
    similar = _similar_sessions if ordered else _similar_users
    left, right = similar(sample, left, train, right, len(counts))
    near = distinct(left)
    if twins is not None:
        equal = twins[chosen]
    else:
        equal = np.zeros(len(chosen), dtype=bool)
        equal[left[hashes(sample)[left] == hashes(train.take(right))]] = True
    return _Found(len(chosen), len(near), int(equal.sum()))


def _affordable(cost: np.ndarray) -> int:
    """How many rows, from the first on and at least one, the budget of work is enough for."""
    return max(1, int(np.searchsorted(cost.cumsum(), _WORK, side="right")))


def _rarest(rows: Rows, chosen: Ints, counts: Ints, similar: float) -> tuple[Ints, Ints]:
    """The rarest items of each chosen row, as many as a similar row must share one of: [T] which of ``chosen``, [T] the item.

    Of ``n`` items a similar row shares at least ``similar * n``, so it cannot lack the ``n - ceil(similar * n) + 1`` rarest (prefix
    filtering: Chaudhuri, Ganti, Kaushik, ICDE 2006).
    """
    flat, of = rows.flat(chosen)
    items = rows.items[flat].astype(np.int64)
    order = np.lexsort([items, counts[items], of])
    length = rows.lengths()[chosen]
    place = np.arange(len(of)) - np.repeat(length.cumsum() - length, length)
    keep = place < np.repeat(length - np.ceil(similar * length - 1e-9).astype(np.int64) + 1, length)
    return of[order][keep], items[order][keep]


def _candidates(row: Ints, item: Ints, sample: Rows, train: Rows, num_items: int, similar: float) -> tuple[Ints, Ints]:
    """Pairs of a sampled and a training row of another owner that share a rare item and have lengths that do not rule them out."""
    wanted = np.zeros(num_items, dtype=bool)
    wanted[item] = True
    where = np.flatnonzero(wanted[train.items])
    where = where[np.argsort(train.items[where], kind="stable")]  # by item
    owner = np.searchsorted(train.offsets, where, side="right") - 1
    begin = np.searchsorted(train.items[where], np.arange(num_items + 1))
    many = begin[item + 1] - begin[item]
    left = np.repeat(row, many)
    right = owner[np.arange(len(left)) - np.repeat(many.cumsum() - many, many) + np.repeat(begin[item], many)]
    a, b = sample.lengths()[left], train.lengths()[right]
    fit = (right != sample.owner[left]) & (b >= MIN_LENGTH) & (np.minimum(a, b) >= similar * np.maximum(a, b) - 1e-9)
    pair = distinct(left[fit] * len(train) + right[fit])
    return pair // len(train), pair % len(train)


def _similar_sessions(sample: Rows, left: Ints, train: Rows, right: Ints, num_items: int) -> tuple[Ints, Ints]:
    longer = np.maximum(sample.lengths()[left], train.lengths()[right])
    enough = common_items(sample, left, train, right, min(num_items, _SLOTS)) >= SIMILAR_SESSIONS * longer - 1e-9
    left, right, longer = left[enough], right[enough], longer[enough]
    found = common_subsequence(sample, left, train, right) >= SIMILAR_SESSIONS * longer - 1e-9
    return left[found], right[found]


def _similar_users(sample: Rows, left: Ints, train: Rows, right: Ints, num_items: int) -> tuple[Ints, Ints]:
    """By the Jaccard index of the bags, of the pairs that a bound on the common items lets through."""
    bound = common_items(sample, left, train, right, min(num_items, _SLOTS))
    enough = bound >= SIMILAR_USERS * np.maximum(sample.lengths()[left], train.lengths()[right]) - 1e-9
    left, right = left[enough], right[enough]
    (mine, of_a), (theirs, of_b) = sample.flat(left), train.flat(right)
    a, times_a = np.unique(of_a * num_items + sample.items[mine], return_counts=True)
    b, times_b = np.unique(of_b * num_items + train.items[theirs], return_counts=True)
    both, in_a, in_b = np.intersect1d(a, b, assume_unique=True, return_indices=True)
    common = np.bincount(both // num_items, np.minimum(times_a[in_a], times_b[in_b]), minlength=len(left))
    either = sample.lengths()[left] + train.lengths()[right] - common
    found = common >= SIMILAR_USERS * either - 1e-9
    return left[found], right[found]
