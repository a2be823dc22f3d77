"""Conformance suite for splitters: call :func:`check_splitter` on your own."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

import polars as pl

from recsys.data.events import PARTS, owner_of
from recsys.data.log import OwnerKind
from recsys.part import build, spec
from recsys.randomness import numpy_generator
from recsys.splitting.splitter import Splitter

Guarantee = Literal["time", "order", "whole_sessions", "random"]


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
    labels; the order of the rows does not matter; the events are not changed.

    Args:
        splitter: configured so that each part is non-empty on :func:`tiny_log`.
        guarantees: ``time``: no training event is later than a validation event, no validation event later than a test event; ``order``:
            the same within each owner; ``whole_sessions``: a session is in one part; ``random``: another seed gives other labels (of users
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
        assert len(label) == len(events) and label.dtype == PARTS, (
            f"{name} gave {len(label)} labels of {label.dtype}, not one of {PARTS} a row"
        )
        found = set(label.drop_nulls().unique().to_list())
        assert found == set(PARTS.categories), f"{name} gave only {sorted(found)} of a tiny {owner} log"
        assert label.equals(again.label(events, 3), null_equal=True), f"{name} gave other labels for the same seed"
        _check_row_order(splitter, events, label)
        varied |= any(not label.equals(splitter.label(events, seed), null_equal=True) for seed in (4, 5, 6))
        _check_guarantees(name, events.with_columns(label.alias("part")), guarantees)
    if "random" in guarantees:
        assert varied, f"{name} gave the same labels for four seeds"
    else:
        assert not varied, f"{name} depends on the seed but does not say 'random'"


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
