"""Conformance suite for cleaning steps: call :func:`check_step` on your own."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.cleaning.step import LogStep, OwnerStep, Step
from recsys.data.blocks import codes, offsets_of
from recsys.part import build, spec
from recsys.randomness import numpy_generator
from recsys.testing.splitters import tiny_log


def tiny_block(seed: int = 0) -> pl.DataFrame:
    """A block of 12 users with up to 12 events each, with all columns a step may need: codes, times with ties, weights 1 to 5, kinds, and
    repeated pairs."""
    g = numpy_generator(seed, "tiny block")
    size = g.integers(1, 13, size=12)
    rows = int(size.sum())
    frame = pl.DataFrame({"user": np.repeat(np.arange(12), size), "item": g.integers(0, 9, rows)}).cast(pl.UInt32)
    first = tiny_log()["time"][0]
    minute = pl.Series(g.integers(0, 120, rows))
    kinds = pl.Enum(["carts", "clicks", "orders"])
    return (
        frame.with_columns(
            time=(pl.lit(first) + minute * pl.duration(minutes=1)).cast(pl.Datetime("us")),
            weight=pl.Series(g.integers(1, 6, rows)).cast(pl.Float32),
            kind=pl.Series(g.choice(kinds.categories.to_list(), rows)).cast(kinds),
        )
        .sort("user", "time", "item", "weight", "kind")
        .rechunk()
    )


def check_step(step: Step) -> None:
    """Assert what every cleaning step promises.

    It can be rebuilt from its spec; it does not change what it is given; it keeps other columns; what stays is in the order it was in and
    nothing is added; it treats each owner by itself (an :class:`OwnerStep`), or gives one answer an event (a :class:`LogStep`); a causal
    step does not look ahead.

    Args:
        step: configured so that it keeps something, and removes something, of :func:`tiny_block`.

    Raises:
        AssertionError: with the promise that is broken.
    """
    name = type(step).__name__
    again = build(spec(step))
    assert spec(again) == spec(step), f"{name} rebuilt from its spec has another spec"
    block = tiny_block()
    if isinstance(step, LogStep):
        offsets, _ = offsets_of(block["user"])
        items = codes(block["item"]).copy()
        keep = step.keep(offsets, items, 9)
        assert keep.dtype == bool and keep.shape == items.shape, f"{name} gave {keep.dtype} {keep.shape}, not one bool an event"
        assert (items == codes(block["item"])).all(), f"{name} changed the items it was given"
        assert keep.any() and not keep.all(), f"{name} keeps all or nothing of a tiny block; configure it so that it removes something"
        return
    assert isinstance(step, OwnerStep), f"{name} is neither an OwnerStep nor a LogStep"
    marked = block.with_row_index("mark")
    found = step.clean(marked)
    assert marked.equals(tiny_block().with_row_index("mark")), f"{name} changed the events it was given"
    assert "mark" in found.columns, f"{name} lost a column it does not know; keep all columns"
    kept = found["mark"].to_list()
    assert kept == sorted(set(kept)), f"{name} changed the order of the events, or repeated one"
    assert kept, f"{name} keeps nothing of a tiny block; configure it so that it does"
    _check_owner_by_owner(step, marked, kept)
    if step.fit is None:
        _check_causal(step, marked, kept)
    empty = step.clean(marked.head(0))
    assert empty.is_empty() and empty.columns == found.columns, f"{name} does not give an empty block for an empty block"


def _check_owner_by_owner(step: OwnerStep, block: pl.DataFrame, kept: list[int]) -> None:
    alone = [mark for user in range(12) for mark in step.clean(block.filter(pl.col("user") == user).rechunk())["mark"].to_list()]
    assert alone == kept, f"{type(step).__name__} keeps other events of an owner when it sees other owners too"


def _check_causal(step: OwnerStep, block: pl.DataFrame, kept: list[int]) -> None:
    offsets, _ = offsets_of(block["user"])
    for share in (0.3, 0.7):
        until = offsets[:-1] + np.ceil(np.diff(offsets) * share).astype(np.int64)
        early = np.concatenate([np.arange(a, b) for a, b in zip(offsets[:-1], until, strict=True)])
        found = step.clean(block[early].rechunk())["mark"].to_list()
        assert found == [mark for mark in kept if mark in set(early.tolist())], (
            f"{type(step).__name__} looks at later events: give it the option fit (see recsys.cleaning.step)"
        )
