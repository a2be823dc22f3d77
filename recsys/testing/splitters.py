"""Conformance suite for splitters: call :func:`check_splitter` on your own."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from recsys.data.events import PARTS, owner_of
from recsys.data.labels import LABELS
from recsys.data.log import OwnerKind
from recsys.part import build, spec
from recsys.randomness import numpy_generator
from recsys.splitting.splitter import Splitter

Guarantee = Literal["time", "order", "whole_sessions", "new_users", "random"]


def tiny_log(owner: OwnerKind = "user", *, owners: int = 40, items: int = 30, length: int = 8, seed: int = 0) -> pl.DataFrame:
    """A log with everything a splitter may need: owner, item, time and part (train and test); ``owners * length`` distinct rows.

    Users act all the time; sessions follow each other. Many events share a time stamp. The last two events of every user, and the last
    fifth of the sessions, are the predefined test part.
    """
    g = numpy_generator(seed, "tiny log", owner)
    rows = owners * length
    item = g.permuted(pl.DataFrame({f"{i}": range(items) for i in range(owners)}).to_numpy(), axis=0)[:length].T.ravel()
    who = pl.Series(range(owners)).to_numpy().repeat(length)
    minute = g.integers(0, 200, size=rows) if owner == "user" else who * 10 + g.integers(0, 9, size=rows)
    frame = (
        pl.DataFrame({owner: who, "item": item, "minute": minute})
        .with_columns(pl.col(owner, "item").cast(pl.Int64))
        .sort(owner, "minute", "item")
    )
    last = pl.int_range(pl.len()).over(owner) >= length - 2 if owner == "user" else pl.col(owner) >= owners * 4 // 5
    time = pl.lit(datetime(2026, 1, 1)) + pl.col("minute") * timedelta(minutes=1)
    part = pl.when(last).then(pl.lit("test", PARTS)).otherwise(pl.lit("train", PARTS))
    return frame.select(owner, "item", time.cast(pl.Datetime("us")).alias("time"), part.alias("part"))


def check_splitter(splitter: Splitter, *, guarantees: Collection[Guarantee] = ()) -> None:
    """Assert what every splitter promises, and the ``guarantees`` this one states.

    For everyone: it can be rebuilt from its spec; one label of the right type for each row; each of the three parts occurs; same seed, same
    labels; neither the order of the rows nor the size of the blocks matters; the events are not changed.

    Args:
        splitter: configured so that each part is non-empty on :func:`tiny_log`.
        guarantees: ``time``: no training event is later than a validation event, no validation event later than a test event; ``order``:
            the same within each owner; ``whole_sessions``: a session is in one part; ``new_users``: no user has events in training and in a
            held-out part; ``random``: another seed gives other labels (of users
            or of sessions).

    Raises:
        AssertionError: with the promise that is broken.
    """
    name = type(splitter).__name__
    again = build(spec(splitter))
    assert spec(again) == spec(splitter), f"{name} rebuilt from its spec has another spec"
    varied = False
    for owner in _owners(splitter):
        events = tiny_log(owner)
        before = events.clone()
        label = splitter.label(events, 3)
        assert events.equals(before), f"{name} changed the events"
        assert len(label) == len(events) and label.dtype in (PARTS, LABELS), (
            f"{name} gave {len(label)} labels of {label.dtype}, not one of {PARTS} a row"
        )
        found = set(label.drop_nulls().unique().to_list())
        assert found >= set(PARTS.categories), f"{name} gave only {sorted(found)} of a tiny {owner} log"
        _check_blocks(splitter, events, label)
        assert label.equals(again.label(events, 3), null_equal=True), f"{name} gave other labels for the same seed"
        _check_row_order(splitter, events, label)
        varied |= any(not label.equals(splitter.label(events, seed), null_equal=True) for seed in (4, 5, 6))
        _check_guarantees(name, events.with_columns(label.alias("part")), guarantees)
    if "random" in guarantees:
        assert varied, f"{name} gave the same labels for four seeds"
    else:
        assert not varied, f"{name} depends on the seed but does not say 'random'"


def _check_blocks(splitter: Splitter, events: pl.DataFrame, label: pl.Series) -> None:
    """A log is labelled in blocks of whole owners; their size must not matter."""
    owner = owner_of(events.columns)
    frame = events.with_columns(label.alias("label")).sort(owner, "time", "item")
    log = frame.drop("label").with_columns(pl.col(owner, "item").cast(pl.UInt32))
    for edges in ([0, 7, 9, 40], [0, 40]):
        blocks = [log.filter(pl.col(owner).is_between(a, b, closed="left")).rechunk() for a, b in itertools.pairwise(edges)]
        labeller = splitter.labeller(blocks, 3)
        found = pl.concat([labeller(block) for block in blocks])
        assert found.equals(frame["label"], check_names=False, null_equal=True), (
            f"{type(splitter).__name__} gave other labels when the log came in blocks that begin at owners {edges[:-1]}"
        )


def _owners(splitter: Splitter) -> list[OwnerKind]:
    kinds: list[OwnerKind] = ["user", "session"]
    asked = [kind for kind in kinds if kind in splitter.needs()]
    return asked or kinds


def _check_row_order(splitter: Splitter, events: pl.DataFrame, label: pl.Series) -> None:
    order = pl.Series(numpy_generator("row order").permutation(len(events)))
    moved = splitter.label(events[order], 3)
    assert moved.equals(label[order], null_equal=True), (
        f"{type(splitter).__name__} gave other labels for the same events in another order of rows"
    )


def _check_guarantees(name: str, events: pl.DataFrame, guarantees: Collection[Guarantee]) -> None:
    owner = owner_of(events.columns)
    if "time" in guarantees and owner == "user":
        _check_ascending(name, events.with_columns(all=pl.lit(0)), "all")
    if "time" in guarantees and owner == "session":
        _check_ascending(name, events.with_columns(pl.col("time").max().over(owner), all=pl.lit(0)), "all")
    if "order" in guarantees:
        _check_ascending(name, events, owner)
    if "whole_sessions" in guarantees and owner == "session":
        torn = events.group_by(owner).agg(pl.col("part").n_unique()).filter(pl.col("part") > 1)
        assert not len(torn), f"{name} tore {len(torn)} sessions apart"
    if "new_users" in guarantees:
        groups = events.group_by(owner).agg(pl.col("part").cast(pl.String).str.head(4).n_unique().alias("groups"))
        assert groups["groups"].max() == 1, f"{name} trains on events of users it holds out"


def _check_ascending(name: str, events: pl.DataFrame, by: str) -> None:
    edges = events.group_by(by).agg(
        *(pl.col("time").filter(pl.col("part") == part).max().alias(f"{part} last") for part in ("train", "valid")),
        *(pl.col("time").filter(pl.col("part") == part).min().alias(f"{part} first") for part in ("valid", "test")),
    )
    late = (
        (pl.col("train last") > pl.col("valid first"))
        | (pl.col("train last") > pl.col("test first"))
        | (pl.col("valid last") > pl.col("test first"))
    )
    assert not edges.select(late.fill_null(False).any()).item(), f"{name} trains on events later than those it holds out (by {by})"
