"""Training events that are later than what is tested."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from recsys.data.audit.check import Check, Finding, Ints, Part, amount, merged, percent, share
from recsys.data.labels import Promise

GLOBAL, OWN = "training after the first test event", "training after the owner's own test event"
_TIES_WORTH_SAYING = 0.01
_LATER = np.iinfo(np.int64).max


def after_the_first(parts: list[Part], promise: Promise) -> Check:
    """Training events at or after the first held-out event of anybody.

    Red where the splitter promises a cut in time for everybody and a training event is at the cut or after it. A split that puts a session
    where it ends promises that no training event is at or after the earliest end of a held-out session; one that puts it where it starts,
    that no training session starts after a held-out event.
    """
    if not _timed(parts):
        return Check(GLOBAL, "not applicable", "The data have no clock; order alone cannot be compared between owners.", {})
    return merged(GLOBAL, [(part, _global(part, promise)) for part in parts])


def after_their_own(parts: list[Part], promise: Promise) -> Check:
    """Training events of an owner after this owner's first held-out event; events at the very same moment are counted apart.

    Red where the splitter promises an order in time (:class:`~recsys.splitting.LastN`, :class:`~recsys.splitting.GlobalTime`).
    """
    if not _timed(parts):
        return Check(OWN, "not applicable", "The data have no clock; the split can only be checked against one.", {})
    return merged(OWN, [(part, _own(part, promise)) for part in parts])


def _timed(parts: list[Part]) -> bool:
    return all(part.train.time is not None and part.holdout.time is not None for part in parts)


def _array(time: Tensor | None) -> Ints:
    assert time is not None, "asked for before"
    return np.asarray(time.numpy(), dtype=np.int64)


def _global(part: Part, promise: Promise) -> Finding:
    time, asked = _array(part.train.time), _array(part.holdout.time)
    what, of = f"{part.shown} event", "training event"
    if promise == "end":
        asked, what = _ends(part, asked), f"end of a {part.shown} session"
    if promise == "start":  # of a test session nothing before its second event is asked: what starts later than that is too late
        time, of = time[part.train.offsets.numpy()[:-1]], "training session"
    first = int(asked.min())
    after, ties = int((time > first).sum()), int((time == first).sum())
    moment = str(np.datetime64(first, "us").astype("datetime64[s]")).replace("T", " ")
    details: dict[str, Any] = {"first": moment, "after": after, "at_the_same_moment": ties, "share": share(after, len(time))}
    details[f"{of.removeprefix('training ')}s"] = len(time)
    starting = " starts" if promise == "start" else " is"
    if promise in ("global", "end", "start"):
        if not after + ties:
            return Finding("green", f"no {of}{starting} at or after the first {what} ({moment}).", details)
        also = f" and {ties:,} at it" if ties else ""
        starting = " starting" if promise == "start" else ""
        text = f"{amount(after, of)} ({percent(share(after, len(time)))}){starting} after the first {what} ({moment}){also}"
        return Finding("red", f"{text}; the split promises none.", details)
    if not after:
        return Finding("green", f"no training event is after the first {what} ({moment}).", details)
    text = f"{amount(after, of)} ({percent(share(after, len(time)))}) after the first {what} ({moment}). "
    text += "Splits per user always have them" if promise == "owner" else "This split promises no order in time"
    return Finding("amber", f"{text}: what others did later is learnt, so the number is no forecast of the future.", details)


def _ends(part: Part, asked: Ints) -> Ints:
    """The last held-out time of each owner of queries; rows of an owner lie together."""
    owner = part.holdout.query.to_series(0).rle_id().to_numpy()
    return np.asarray(np.maximum.reduceat(asked, np.flatnonzero(np.diff(owner, prepend=-1))), dtype=np.int64)


def _own(part: Part, promise: Promise) -> Finding:
    train, owner = part.train, part.holdout.histories.owner.numpy()
    known = owner >= 0
    kind = train.owner_kind
    if not known.any():
        return Finding("green", f"no {part.shown} {kind} has training events.", {"owners": 0, "later": 0, "at_the_same_moment": 0})
    moment = np.full(train.num_owners, _LATER)
    np.minimum.at(moment, owner[known], _array(part.holdout.time)[known])
    offsets, time = train.offsets.numpy(), _array(train.time)
    own = np.repeat(moment, np.diff(offsets))
    (later, later_of), (ties, ties_of) = _tally(time > own, offsets), _tally(time == own, offsets)
    owners = int((moment != _LATER).sum())
    details: dict[str, float] = {"owners": owners, "later": later, "owners_with_later": later_of, "at_the_same_moment": ties}
    details |= {"owners_with_ties": ties_of, "events": len(time), "share": share(later, len(time))}
    if later or (ties and promise == "global"):
        said = f"{amount(later, 'training event')} of {amount(later_of, kind)} later than the {kind}'s own first {part.shown} event"
        tied = f", {ties:,} at the same moment" if ties else ""
        if promise not in ("global", "owner"):
            return Finding("amber", f"{said}{tied}. This split promises no order in time.", details)
        return Finding("red", f"{said}{tied}; the split promises none.", details)
    said = f"no {kind} has a training event later than the own first {part.shown} event"
    if ties:
        many = share(ties_of, owners) >= _TIES_WORTH_SAYING
        tied = f"{amount(ties_of, kind)} ({percent(share(ties_of, owners))}) with {amount(ties, 'training event')} at the same moment"
        return Finding("amber" if many else "green", f"{said}; {tied}, where item ids decide the order.", details)
    return Finding("green", f"{said}.", details)


def _tally(flags: np.ndarray, offsets: Ints) -> tuple[int, int]:
    """How many events are flagged, and of how many owners."""
    where = np.flatnonzero(flags)
    return len(where), len(np.unique(np.searchsorted(offsets, where, side="right")))
