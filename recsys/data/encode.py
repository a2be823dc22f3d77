"""From a labelled log to training logs and holdouts, block by block.

Letters: E events of a block (sorted by owner, then time or order, then item), U its owners, N items of the whole log, Q queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.blocks import Blocks, any_of, codes, count_of, offsets_of
from recsys.data.events import clock_of
from recsys.data.kernels import Codes, Ints, Mask, first_of_pair, in_history
from recsys.data.labels import ASKED, EARLIER, LEARNT, Label, among
from recsys.data.store import Writer

Counts = dict[str, int]


@dataclass
class Block:
    """A block as arrays. ``owner`` [U] are codes of the log, ``code`` [U] those of the training log (-1: not in it)."""

    offsets: Ints
    owner: Ints
    item: Codes  # of the log
    known: Codes  # of the training log; -1: not in it
    label: Label  # -1 for what was shown and not chosen
    shown: Label | None  # the label of that too
    time: Ints | None
    code: Ints
    start: Ints  # [U] where the owner's events begin in the training log
    stop: Ints  # [U]


class FoldWriter:
    """Writes one training log, and one holdout for each part that is asked, under the names of a fold.

    Args:
        name: ``select`` or ``refit``.
        log: the log, whose blocks are then given to :meth:`add` in order.
        known: bool [N], the items with a training event.
        out: where the arrays go.
        keep_repeats: see :func:`recsys.data.prepare.prepare`.
        shown: events of weight 0 are items that were shown and not chosen (:attr:`recsys.data.Source.shown`).
    """

    def __init__(self, name: str, log: Blocks, known: Mask, out: Writer, *, keep_repeats: bool, shown: bool = False) -> None:
        self.name, self.out, self.keep_repeats, self.shown = name, out, keep_repeats, shown
        self.owners, self.by_user = log.owners, log.owner_kind == "user"
        self.kind = log.owner_kind
        self.item_code = np.where(known, known.cumsum() - 1, -1).astype(np.int32)
        self.events, self.users, self.items = 0, 0, int(known.sum())
        self.counts: dict[str, Counts] = {}  # what became of the held-out events, by part
        self._at: Counts = {}
        out.frame(f"{name}.items", log.items.filter(pl.Series(known)).alias("id").to_frame())
        for at in ("train", *ASKED[name], *(f"{part}.shown" for part in ASKED[name] if shown)):
            self._append(f"{at}.offsets", np.zeros(1, dtype=np.int64))

    def _append(self, name: str, values: NDArray[Any]) -> None:
        self.out.append(f"{self.name}.{name}", values)

    def add(self, frame: pl.DataFrame, label: Label) -> None:
        """The next block of the log, with the label of each event."""
        if (label < 0).any():
            frame, label = frame.filter(pl.Series(label >= 0)).rechunk(), label[label >= 0]
        block = self._learn(frame, label)
        for part, held in ASKED[self.name].items():
            found = self._of_users(block, held, part) if self.by_user else self._of_sessions(block, held, part)
            known = self.counts.setdefault(part, dict.fromkeys(found, 0))
            for count, value in found.items():
                known[count] += value

    def _learn(self, frame: pl.DataFrame, label: Label) -> Block:
        offsets, owner = offsets_of(frame[self.kind])
        shown = label if self.shown else None
        if shown is not None:
            label = chosen(frame, shown)
        learnt = among(label, LEARNT[self.name])
        size = count_of(learnt, offsets)
        known = size > 0
        stop = self.events + size.cumsum()
        code = np.where(known, self.users + known.cumsum() - 1, -1)
        clock = clock_of(frame.columns)
        time = frame["time"].to_physical().to_numpy() if clock == "time" else None
        weight = frame["weight"].to_numpy() if "weight" in frame.columns else None
        item = codes(frame["item"])
        known_item = self.item_code[item]
        self._append("train.items", known_item[learnt])
        self._append("train.offsets", stop[known])
        for name, values in (("time", time), ("weight", weight)):
            if values is not None:
                self._append(f"train.{name}", values[learnt])
        self.out.rows(f"{self.name}.owners", self.owners.gather(owner[known]).alias("id").to_frame())
        self.events, self.users = self.events + int(size.sum()), self.users + int(known.sum())
        return Block(offsets, owner, item, known_item, label, shown, time, code, stop - size, stop)

    def _of_users(self, b: Block, held: int, part: str) -> Counts:
        """One query per user with at least one relevant item; the history is what is known of the user by then."""
        earlier_parts = EARLIER[held]
        earlier = among(b.label, earlier_parts)
        row, who, counts = self._fresh(b, b.label == held, earlier)
        users, first, query = np.unique(who, return_index=True, return_inverse=True)
        time = None if b.time is None else b.time[row][first]
        order = np.lexsort((b.item[row], who))
        item, query = b.known[row][order], query[order]
        known = item >= 0
        if earlier_parts == LEARNT[self.name]:
            start, stop = b.start[users], b.stop[users]
        else:
            start, stop = self._history(part, b, users, earlier)
        counts |= {"relevant": int(known.sum()), "unknown_items": int((~known).sum()), "queries": len(users)}
        counts |= {"empty_histories": int((start == stop).sum()), "unknown_owners": int((b.code[users] < 0).sum())}
        if b.shown is not None:
            counts["shown"] = self._show(part, b, b.shown == held, users, earlier)
        self._ask(part, item[known], query[known], np.bincount(query[~known], minlength=len(users)), time)
        self._window(part, start, stop, b.code[users])
        self.out.rows(f"{self.name}.{part}.query", pl.DataFrame({"user": self.owners.gather(b.owner[users])}))
        return counts

    def _fresh(self, b: Block, held: Mask, earlier: Mask) -> tuple[Ints, Ints, Counts]:
        """The held-out events that are the first of their pair and, unless repeats are kept, of no item in the history; whose they are, as
        places in the block; and how many there were, repeated another, and repeated the history."""
        row = np.flatnonzero(held)
        who = np.searchsorted(b.offsets, row, side="right") - 1
        fresh = first_of_pair(np.searchsorted(who, np.arange(len(b.owner) + 1)), b.item[row], len(self.item_code))
        counts = {"events": len(row), "duplicates": int((~fresh).sum()), "in_history": 0}
        if not self.keep_repeats:
            again = in_history(b.offsets, b.item, earlier, len(self.item_code))[row]
            counts["in_history"] = int((fresh & again).sum())
            fresh &= ~again
        return row[fresh], who[fresh], counts

    def _show(self, part: str, b: Block, held: Mask, users: Ints, earlier: Mask) -> int:
        """What these users were shown, relevant or not, as far as training knows it: ascending within each query. Returns how many."""
        row, who, _ = self._fresh(b, held, earlier)
        usable = (b.known[row] >= 0) & np.isin(who, users)
        row, who = row[usable], who[usable]
        order = np.lexsort((b.item[row], who))
        size = np.bincount(np.searchsorted(users, who), minlength=len(users))
        base = self._moved(f"{part}.shown.items", len(row))
        self._append(f"{part}.shown.items", b.known[row][order])
        self._append(f"{part}.shown.offsets", base + size.cumsum())
        return len(row)

    def _history(self, part: str, b: Block, users: Ints, earlier: Mask) -> tuple[Ints, Ints]:
        """Write what is known of these users by then, items without a training event left out; from where to where it is."""
        asked = np.zeros(len(b.owner), dtype=bool)
        asked[users] = True
        usable = earlier & np.repeat(asked, np.diff(b.offsets)) & (b.known >= 0)
        size = count_of(usable, b.offsets)[users]
        base = self._moved(f"{part}.history.items", int(size.sum()))
        self._append(f"{part}.history.items", b.known[usable])
        stop = base + size.cumsum()
        return stop - size, stop

    def _of_sessions(self, b: Block, held: int, part: str) -> Counts:
        """One query per held-out event that has an event before it in its session; the history is the session so far."""
        holds = any_of(b.label == held, b.offsets)
        inside = np.flatnonzero(np.repeat(holds, np.diff(b.offsets)) & (b.label <= held))
        session = np.searchsorted(b.offsets, inside, side="right") - 1
        begin = np.searchsorted(session, session)
        position = np.arange(len(inside)) - begin
        item = b.known[inside]
        known = item >= 0
        before = np.concatenate([[0], known.cumsum()])
        asked = np.flatnonzero((b.label[inside] == held) & (position > 0))
        base = self._moved(f"{part}.history.items", int(known.sum()))
        start, stop = base + before[begin[asked]], base + before[asked]
        counts = {"events": int((b.label[inside] == held).sum())}
        counts |= {"first_of_session": counts["events"] - len(asked)}
        counts |= {"relevant": int(known[asked].sum()), "unknown_items": int((~known[asked]).sum()), "queries": len(asked)}
        counts |= {"empty_histories": int((start == stop).sum()), "unknown_owners": int((b.code[session[asked]] < 0).sum())}
        self._append(f"{part}.history.items", item[known])
        query = np.arange(len(asked))[known[asked]]
        time = None if b.time is None else b.time[inside][asked]
        self._ask(part, item[asked][known[asked]], query, ~known[asked], time)
        self._window(part, start, stop, b.code[session[asked]])
        ids = self.owners.gather(b.owner[session[asked]])
        self.out.rows(f"{self.name}.{part}.query", pl.DataFrame({"session": ids, "position": position[asked]}))
        return counts

    def _ask(self, part: str, item: Codes, query: Ints, unknown: NDArray[Any], time: Ints | None) -> None:
        """Relevant items, ascending within each query; ``query`` counts the queries of this block from 0."""
        base = self._moved(f"{part}.items", len(item))
        self._append(f"{part}.items", item)
        self._append(f"{part}.offsets", base + np.bincount(query, minlength=len(unknown)).cumsum())
        self._append(f"{part}.unknown", unknown.astype(np.int64))
        if time is not None:
            self._append(f"{part}.time", time)

    def _window(self, part: str, start: Ints, stop: Ints, owner: Ints) -> None:
        for name, values in (("start", start), ("stop", stop), ("owner", owner)):
            self._append(f"{part}.history.{name}", values.astype(np.int64))

    def _moved(self, name: str, by: int) -> int:
        """How long an array was before ``by`` entries are appended."""
        before = self._at.get(name, 0)
        self._at[name] = before + by
        return before


def chosen(frame: pl.DataFrame, label: Label) -> Label:
    """The label of each event of a block, -1 for those of weight 0: shown and not chosen."""
    return np.where(frame["weight"].to_numpy() > 0, label, np.int8(-1))
