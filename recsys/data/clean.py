"""Applies cleaning steps to a log in blocks, and counts what each removes. What the steps mean: :mod:`recsys.cleaning.step`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from recsys.cleaning.step import LogStep, OwnerStep, Step
from recsys.data.blocks import Blocks, ahead, any_of, codes, offsets_of
from recsys.data.events import owner_of
from recsys.data.kernels import Codes, Ints, Mask
from recsys.data.labels import Label, Labels, among
from recsys.errors import ConfigError, DataError
from recsys.part import knobs

Report = list[dict[str, Any]]


def title(step: Step) -> str:
    """The step as it is written in Python, without what is None: ``KCore(owner=5, item=5, fit='all')``."""
    given = ", ".join(f"{name}={value!r}" for name, value in knobs(step).items() if value is not None)
    return f"{type(step).__name__}({given})"


def check_order(steps: Sequence[Step]) -> None:
    """Refuse a step that runs before the split when it is listed after one that runs after the split.

    Raises:
        ConfigError: naming both.
    """
    late: Step | None = None
    for step in steps:
        if step.fit == "train":
            late = late or step
        elif late is not None:
            name = type(step).__name__
            raise ConfigError(
                f"clean: {name} is listed after {title(late)}, which runs after the split; list {name} before it, "
                f"or give {type(late).__name__} fit: all (it then counts test events too)"
            )


@dataclass
class Tally:
    """Events, owners and items of a log, counted block by block."""

    names: int
    events: int = 0
    owners: int = 0
    items: Mask = field(init=False)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.items = np.zeros(self.names, dtype=bool)

    def add(self, frame: pl.DataFrame, rows: Mask | None = None) -> None:
        """Another block, or some rows of it."""
        offsets, _ = offsets_of(frame[owner_of(frame.columns)])
        item = codes(frame["item"])
        item = item if rows is None else item[rows]
        owners = len(offsets) - 1 if rows is None else int(any_of(rows, offsets).sum())
        self.items[item] = True
        with self._lock:
            self.events, self.owners = self.events + len(item), self.owners + owners

    def row(self) -> tuple[int, int, int]:
        return self.events, self.owners, int(self.items.sum())

    def counts(self) -> dict[str, int]:
        return dict(zip(("events", "owners", "items"), self.row(), strict=True))


def _entry(step: Step, fold: str | None, before: tuple[int, int, int], after: tuple[int, int, int]) -> dict[str, Any]:
    counted = {name: [b, a] for name, b, a in zip(("events", "owners", "items"), before, after, strict=True)}
    return {"step": title(step), "fit": step.fit, "fold": fold, **counted}


def _groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Steps that can be applied to a block at one go."""
    for together, group in groupby(steps, key=lambda step: isinstance(step, OwnerStep)):
        found = list(group)
        yield from [found] if together else ([step] for step in found)


def _empty(step: Step, before: tuple[int, int, int], origin: str) -> DataError:
    return DataError(
        f"{origin}: no event is left after {title(step)}, of {before[0]:,} events of {before[1]:,} owners and {before[2]:,} items before "
        "it; loosen this step or one before it"
    )


# ---------------------------------------------------------------------------------------------------- before the split


def cleaned(log: Blocks, steps: Sequence[Step], report: Report, origin: str) -> Blocks:
    """The log after steps that run before the split; what each removes is added to ``report``.

    Raises:
        DataError: nothing is left.
    """
    for group in _groups(steps):
        if isinstance(group[0], LogStep):
            log = _by_count(log, group[0], report, origin)
        else:
            log = _by_owner(log, [step for step in group if isinstance(step, OwnerStep)], report, origin)
    return log


def _by_owner(log: Blocks, steps: list[OwnerStep], report: Report, origin: str) -> Blocks:
    tallies = [Tally(len(log.items)) for _ in range(len(steps) + 1)]
    sessions: dict[int, int] = {}  # by block: how many its users were cut into
    filled: dict[int, bool] = {}

    def apply(at: int, frame: pl.DataFrame) -> pl.DataFrame:
        tallies[0].add(frame)
        for step, tally in zip(steps, tallies[1:], strict=True):
            frame = step.clean(frame)
            tally.add(frame)
            if "session" in frame.columns and log.owner_kind == "user" and at not in sessions:
                sessions[at] = len(offsets_of(frame["session"])[0]) - 1
        filled[at] = len(frame) > 0
        return frame

    new = log.mapped(apply)
    for step, before, after in zip(steps, tallies, tallies[1:], strict=False):
        report.append(_entry(step, None, before.row(), after.row()))
        if not after.events:
            raise _empty(step, before.row(), origin)
    return _numbered(new, [sessions[at] for at in sorted(filled) if filled[at]]) if sessions else new


def _numbered(log: Blocks, sessions: list[int]) -> Blocks:
    """Sessions numbered through all blocks; so far each block counts its own ones from 0."""
    first = np.cumsum([0, *sessions])
    new = log.mapped(lambda at, frame: frame.with_columns(pl.col("session") + pl.lit(int(first[at]), pl.UInt32)))
    return new.owned("session", pl.Series(range(int(first[-1])), dtype=pl.Int64))


def _by_count(log: Blocks, step: LogStep, report: Report, origin: str) -> Blocks:
    before, after = Tally(len(log.items)), Tally(len(log.items))
    new = log.masked(_kept(log, step, before, after))
    report.append(_entry(step, None, before.row(), after.row()))
    if not after.events:
        raise _empty(step, before.row(), origin)
    return new


def _kept(log: Blocks, step: LogStep, before: Tally, after: Tally) -> list[Mask]:
    """Of each block the events that stay. Items and offsets of the whole log are in memory meanwhile: 4 bytes an event, 8 an owner."""
    begin = np.cumsum([0, *log.lengths()])
    item = np.empty(int(begin[-1]), dtype=np.int32)

    def part(at: int) -> Ints:
        frame = log.block(at)
        before.add(frame)
        item[begin[at] : begin[at + 1]] = codes(frame["item"])
        return np.asarray(offsets_of(frame[log.owner_kind])[0][:-1] + begin[at])

    offsets = np.concatenate([*ahead(part, len(log.files)), begin[-1:]])
    keep = step.keep(offsets, item, len(log.items))
    after.events, after.owners = int(keep.sum()), int(any_of(keep, offsets).sum())
    masks = np.split(keep, begin[1:-1])
    for first, mask in zip(begin, masks, strict=False):
        after.items[item[first : first + len(mask)][mask]] = True
    return masks


def _joined(parts: Sequence[tuple[Ints, Codes]]) -> tuple[Ints, Codes]:
    """Offsets and items of several blocks as one."""
    item = np.concatenate([codes for _, codes in parts])
    begin = np.cumsum([0, *(len(codes) for _, codes in parts)])
    offsets = np.concatenate([offsets[:-1] + first for (offsets, _), first in zip(parts, begin, strict=False)] + [begin[-1:]])
    return offsets, item


# ---------------------------------------------------------------------------------------------------- after the split

LABEL, _ROW = "label", "row"  # columns that the frames carry through the steps


def fitted(log: Blocks, labels: Labels, learnt: frozenset[int], steps: Sequence[Step], report: Report, fold: str) -> Blocks:
    """The labelled events after steps that are fitted on the training events (labels in ``learnt``) alone.

    Returns:
        another log, whose blocks have the label of each event in the column ``label``; the files of ``log`` stay.

    Raises:
        DataError: no training event is left.
    """
    made = log.mapped(lambda at, frame: _labelled(frame, labels[at]), keep=True)
    for step in steps:
        before = _learnt(made, learnt)
        if isinstance(step, LogStep):
            made = _by_learnt_count(made, step, learnt)
        elif isinstance(step, OwnerStep):
            made = made.mapped(lambda _, frame, step=step: _apart(frame, step, learnt))  # type: ignore[misc]
        after = _learnt(made, learnt)
        report.append(_entry(step, fold, before, after))
        if not after[0]:
            raise _empty(step, before, "training events")
    return made


def _labelled(frame: pl.DataFrame, label: Label) -> pl.DataFrame:
    frame = frame.with_columns(pl.Series(LABEL, label)).with_row_index(_ROW)
    return frame.filter(pl.col(LABEL) >= 0) if (label < 0).any() else frame


def _learnt(log: Blocks, learnt: frozenset[int]) -> tuple[int, int, int]:
    tally = Tally(len(log.items))
    for frame in log:
        tally.add(frame, among(frame[LABEL].to_numpy(), learnt))
    return tally.row()


def _has(frame: pl.DataFrame, rows: Mask) -> Mask:
    """bool [E]: whether the owner of each event has one of these rows."""
    offsets, _ = offsets_of(frame[owner_of(frame.columns)])
    return np.repeat(any_of(rows, offsets), np.diff(offsets))


def _apart(frame: pl.DataFrame, step: OwnerStep, learnt: frozenset[int]) -> pl.DataFrame:
    """Clean training events by themselves, and held-out events of owners without any by themselves, each part alone."""
    label = frame[LABEL].to_numpy()
    train = among(label, learnt)
    known = _has(frame, train)
    kept = step.clean(frame.filter(pl.Series(train)).rechunk())
    pieces = [kept]
    for part in np.unique(label[~known]):
        pieces.append(step.clean(frame.filter(pl.Series(~known & (label == part))).rechunk()))
    stays = np.isin(frame[_ROW].to_numpy(), kept[_ROW].to_numpy())
    held = frame.filter(pl.Series(known & ~train & _has(frame, stays)))
    added = [pl.lit(1.0, kept.schema[name]).alias(name) for name in kept.columns if name not in held.columns]  # weights
    return pl.concat([*pieces, held.with_columns(added).select(kept.columns)]).sort(_ROW)


def _by_learnt_count(log: Blocks, step: LogStep, learnt: frozenset[int]) -> Blocks:
    parts = []
    for frame in log:
        part = frame.filter(pl.Series(among(frame[LABEL].to_numpy(), learnt))).rechunk()
        parts.append((offsets_of(part[log.owner_kind])[0], codes(part["item"]).copy()))
    offsets, item = _joined(parts)
    chosen = np.split(step.keep(offsets, item, len(log.items)), np.cumsum([len(codes) for _, codes in parts])[:-1])
    masks = []
    for frame, kept in zip(log, chosen, strict=True):
        train = among(frame[LABEL].to_numpy(), learnt)
        stays = np.zeros(len(frame), dtype=bool)
        stays[train] = kept
        masks.append(stays | ~train & (_has(frame, stays) | ~_has(frame, train)))
    return log.masked(masks)
