"""From labelled events to training logs and holdouts.

Letters: E events (sorted by owner, then time or order, then item), U owners, N items, Q queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from recsys.data.events import owner_of
from recsys.data.log import Fold, Histories, Holdout, Log, OwnerKind
from recsys.data.vocabulary import Codes, Vocabulary

TRAIN, VALID, TEST = 0, 1, 2
Mask = NDArray[np.bool_]
Counts = dict[str, int]


@dataclass(frozen=True)
class Rows:
    """All labelled events as arrays [E], sorted. ``part`` is 0 train, 1 valid, 2 test. Codes are those of the whole data."""

    owner_kind: OwnerKind
    owners: Vocabulary
    items: Vocabulary
    part: NDArray[np.int8]
    weight: NDArray[np.float32] | None

    @staticmethod
    def of(events: pl.DataFrame, label: pl.Series, keys: list[str]) -> Rows:
        """Events whose label is null are left out."""
        kind = owner_of(events.columns)
        extra = ["weight"] if "weight" in events.columns else []
        frame = events.select(*keys, *extra).with_columns(label.to_physical().cast(pl.Int8).alias("label"))
        frame = frame.filter(pl.col("label").is_not_null()).sort([*keys, *extra, "label"])
        weight = frame["weight"].to_numpy().astype(np.float32) if extra else None
        return Rows(kind, Vocabulary.of(frame[kind]), Vocabulary.of(frame["item"]), frame["label"].to_numpy(), weight)


def offsets_of(code: Codes, size: int) -> Codes:
    """[size + 1] where each code's rows begin, for codes in ascending order."""
    return np.concatenate([[0], np.bincount(code, minlength=size).cumsum()]).astype(np.int64)


def fold(rows: Rows, known: list[int], asked: dict[str, int], *, keep_repeats: bool) -> tuple[Fold, dict[str, Counts]]:
    """A training log of the parts ``known``, and one holdout for each part in ``asked``.

    Returns:
        the fold, and for each holdout the count of its events by what became of them.
    """
    learnt: Mask = np.isin(rows.part, known)
    item_ids, item_code = rows.items.narrowed(learnt)
    owner_ids, owner_code = rows.owners.narrowed(learnt)
    train = Log(
        items=torch.from_numpy(item_code[rows.items.codes[learnt]].astype(np.int32)),
        offsets=torch.from_numpy(offsets_of(owner_code[rows.owners.codes[learnt]], len(owner_ids))),
        num_items=len(item_ids),
        owner_kind=rows.owner_kind,
        weight=None if rows.weight is None else torch.from_numpy(rows.weight[learnt]),
    )
    holdouts, counted = {}, {}
    for name, part in asked.items():
        if rows.owner_kind == "user":
            holdouts[name], counted[name] = _of_users(rows, part, item_code, owner_code, keep_repeats)
        else:
            holdouts[name], counted[name] = _of_sessions(rows, part, item_code, owner_code)
    return Fold(train, holdouts, item_ids, owner_ids), counted


def _of_users(rows: Rows, part: int, item_code: Codes, owner_code: Codes, keep_repeats: bool) -> tuple[Holdout, Counts]:
    """One query per user with at least one relevant item; the history is what the user did in earlier parts."""
    held, earlier = rows.part == part, rows.part < part
    num = len(rows.items.ids)
    pair = rows.owners.codes * num + rows.items.codes
    asked = _distinct(np.sort(pair[held]))
    counts = {"events": int(held.sum()), "duplicates": int(held.sum()) - len(asked), "in_history": 0}
    if not keep_repeats:
        fresh = ~_among(asked, np.sort(pair[earlier]))
        counts["in_history"] = int((~fresh).sum())
        asked = asked[fresh]
    user, item = asked // num, item_code[asked % num]
    users = _distinct(user)
    query = np.searchsorted(users, user)
    is_known = item >= 0
    known = rows.owners.codes[earlier], item_code[rows.items.codes[earlier]]
    usable = known[1] >= 0
    begin = offsets_of(known[0][usable], len(rows.owners.ids))
    histories = _histories(known[1][usable], begin[users], begin[users + 1], owner_code[users])
    counts |= {"relevant": int(is_known.sum()), "unknown_items": int((~is_known).sum()), "queries": len(users)}
    holdout = Holdout(
        histories=histories,
        items=torch.from_numpy(item[is_known].astype(np.int32)),
        offsets=torch.from_numpy(offsets_of(query[is_known], len(users))),
        unknown=torch.from_numpy(np.bincount(query[~is_known], minlength=len(users)).astype(np.int64)),
        query=pl.DataFrame({"user": rows.owners.ids.gather(pl.Series(users, dtype=pl.UInt32))}),
    )
    return holdout, counts | _cold(histories)


def _of_sessions(rows: Rows, part: int, item_code: Codes, owner_code: Codes) -> tuple[Holdout, Counts]:
    """One query per held-out event that has an event before it in its session; the history is the session so far."""
    session, item = rows.owners.codes, item_code[rows.items.codes]
    inside = _among(session, _distinct(session[rows.part == part])) & (rows.part <= part)
    session, item, held = session[inside], item[inside], rows.part[inside] == part
    begin = offsets_of(session, len(rows.owners.ids))[session]
    position = np.arange(len(session)) - begin
    is_known = item >= 0
    before = np.concatenate([[0], is_known.cumsum()])
    at = np.flatnonzero(held & (position > 0))
    histories = _histories(item[is_known], before[begin[at]], before[at], owner_code[session[at]])
    counts = {"events": int(held.sum()), "first_of_session": int(held.sum()) - len(at)}
    counts |= {"relevant": int(is_known[at].sum()), "unknown_items": int((~is_known[at]).sum()), "queries": len(at)}
    holdout = Holdout(
        histories=histories,
        items=torch.from_numpy(item[at][is_known[at]].astype(np.int32)),
        offsets=torch.from_numpy(np.concatenate([[0], is_known[at].cumsum()]).astype(np.int64)),
        unknown=torch.from_numpy((~is_known[at]).astype(np.int64)),
        query=pl.DataFrame({"session": rows.owners.ids.gather(pl.Series(session[at], dtype=pl.UInt32)), "position": position[at]}),
    )
    return holdout, counts | _cold(histories)


def _distinct(ascending: Codes) -> Codes:
    return np.asarray(ascending[np.diff(ascending, prepend=-1) != 0], dtype=np.int64)


def _among(values: Codes, ascending: Codes) -> Mask:
    """Whether each value is one of ``ascending``."""
    at = np.searchsorted(ascending, values)
    return np.asarray(np.append(ascending, -1)[at] == values)


def _histories(items: Codes, start: Codes, stop: Codes, owner: Codes) -> Histories:
    return Histories(
        items=torch.from_numpy(items.astype(np.int32)),
        start=torch.from_numpy(start.astype(np.int64)),
        stop=torch.from_numpy(stop.astype(np.int64)),
        owner=torch.from_numpy(owner.astype(np.int64)),
    )


def _cold(histories: Histories) -> Counts:
    return {"empty_histories": int((histories.lengths() == 0).sum()), "unknown_owners": int((histories.owner < 0).sum())}
