"""What is asked for and has been in training already, and what is asked for and was never there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.data.audit.check import Check, Finding, Ints, Part, amount, blocks, distinct, merged, percent, share
from recsys.data.labels import Promise

PAIRS, COLD = "test pairs in training", "known only from test"
_BLOCK = 1 << 22
_SLOTS = 1 << 26  # of the filter that most training events do not pass: one byte each
_WORTH_SAYING = 0.01


def pairs_in_training(parts: list[Part], *, keep_repeats: bool) -> Check:
    """Held-out pairs of owner and item that are events of the training log too.

    Red for user logs whose repeats are excluded: there such an item is masked, so it can only be a miss, or it was learnt from.
    """
    return merged(PAIRS, [(part, _pairs(part, keep_repeats)) for part in parts])


def only_in_test(parts: list[Part], promise: Promise) -> Check:
    """Queries about which training knows nothing, and relevant items that it does not know: they count as misses.

    Amber from a hundredth of the queries or relevant items on. Red where the splitter promises new users
    (:class:`~recsys.splitting.NewUsers`, :class:`~recsys.splitting.KFoldUsers`) and training knows some of them.
    """
    return merged(COLD, [(part, _cold(part, promise)) for part in parts])


def _pairs(part: Part, keep_repeats: bool) -> Finding:
    train, holdout, kind = part.train, part.holdout, part.train.owner_kind
    owner = np.repeat(holdout.histories.owner.numpy(), np.diff(holdout.offsets.numpy()))
    known = owner >= 0
    keys = owner[known] * train.num_items + holdout.items.numpy()[known]
    found = _occurring(distinct(keys), part)
    repeated = int((np.append(found, -1)[np.searchsorted(found, keys)] == keys).sum())
    whole = len(holdout.items)
    details = {"pairs": whole, "of_known_owners": len(keys), "in_training": repeated, "share": share(repeated, whole)}
    said = f"{amount(repeated, f'{part.shown} pair')} of {whole:,} in the training log"
    if kind == "session":
        text = f"{said}." if len(keys) else f"no {part.shown} session is in the training log."
        return Finding("green", text + (" Sessions keep repeats." if repeated else ""), details)
    if not repeated:
        return Finding("green", f"{said}.", details)
    if keep_repeats:
        return Finding("green", f"{said} ({percent(share(repeated, whole))}); repeats are kept on purpose.", details)
    return Finding("red", f"{said} ({percent(share(repeated, whole))}); repeats are excluded, so there should be none.", details)


def _occurring(asked: Ints, part: Part) -> Ints:
    """Which of the ascending keys ``owner * num_items + item`` are in the training log.

    A table of flags by a hash of the key lets only a few training events through; those are looked up exactly.
    """
    if not len(asked):
        return asked
    items, offsets, num = part.train.items.numpy(), part.train.offsets.numpy(), part.train.num_items
    slots = max(1 << 10, min(_SLOTS, 1 << (int(len(asked) * 16).bit_length())))
    flags: NDArray[np.bool_] = np.zeros(slots, dtype=bool)
    flags[_slot(asked, slots)] = True
    hits = np.zeros(len(asked), dtype=bool)
    for rows in blocks(len(items), _BLOCK):
        first, last = np.searchsorted(offsets, [rows.start, rows.stop - 1], side="right") - 1
        edges = np.clip(offsets[first : last + 2], rows.start, rows.stop)
        keys = np.repeat(np.arange(first, last + 1), np.diff(edges)) * num + items[rows]
        keys = keys[flags[_slot(keys, slots)]]
        at = np.searchsorted(asked, keys).clip(max=len(asked) - 1)
        hits[at[asked[at] == keys]] = True
    return np.asarray(asked[hits], dtype=np.int64)


def _slot(keys: Ints, slots: int) -> NDArray[np.uint64]:
    """Fibonacci hashing: the upper bits of a product."""
    return np.asarray((keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - (slots.bit_length() - 1)))


def _cold(part: Part, promise: Promise) -> Finding:
    holdout, kind = part.holdout, part.train.owner_kind
    queries = len(holdout)
    empty, unknown_owners = int((holdout.histories.lengths() == 0).sum()), int((holdout.histories.owner < 0).sum())
    relevant, unknown = int(holdout.relevant().sum()), int(holdout.unknown.sum())
    hopeless = int((holdout.offsets.diff() == 0).sum())
    details: dict[str, float] = {"queries": queries, "unknown_owners": unknown_owners, "empty_histories": empty}
    details |= {"relevant": relevant, "unknown_relevant": unknown, "queries_without_a_known_item": hopeless}
    details |= {"share_unknown": share(unknown, relevant), "share_empty": share(empty, queries)}
    if promise == "users" and unknown_owners < queries:
        met = amount(queries - unknown_owners, f"{part.shown} user")
        return Finding("red", f"{met} of {queries:,} in the training log; the split promises new users only.", details)
    cold = unknown_owners if kind == "user" and promise != "users" else empty
    if not cold and not unknown:
        whose = "every user" if promise != "users" and kind == "user" else "the history of every query"
        return Finding("green", f"{whose} and every relevant item is known from training.", details)
    said = []
    if cold:
        without = " (no known history)" if kind == "session" or promise == "users" else ""
        what = amount(cold, "user") if kind == "user" else amount(cold, "query", "queries")
        said.append(f"{what} of {queries:,}{without}")
    if unknown:
        said.append(f"{amount(unknown, 'relevant item')} of {relevant:,} ({percent(share(unknown, relevant))})")
    text = f"{' and '.join(said)} unknown to training{'; such items count as misses' if unknown else ''}."
    worth = max(share(unknown, relevant), share(cold, queries)) >= _WORTH_SAYING
    return Finding("amber" if worth else "green", text, details)
