"""Which kind of query a query is: by the length of its history, and by how popular what it looks for is."""

from __future__ import annotations

import polars as pl
import torch
from torch import Tensor

from recsys.data.log import Holdout

POPULARITY = ("head", "torso", "tail", "unknown")
"""The slices by popularity, the most popular first."""


def described(holdout: Holdout, counts: Tensor) -> pl.DataFrame:
    """One row a query, in order: the columns that identify it; ``history`` int64, the events of its history; ``relevant`` int64; and
    ``depth`` float64, the mean :func:`depths` of the relevant items that training knows, null where it knows none.

    Args:
        counts: int [N], training events of each item.
    """
    depth = depths(counts)
    size = holdout.offsets.diff()
    row = torch.arange(len(size)).repeat_interleave(size)
    total = torch.zeros(len(size), dtype=torch.float64).index_add_(0, row, depth[holdout.items.long()])
    mean = pl.Series("depth", (total / size).numpy(), nan_to_null=True)
    history = pl.Series("history", holdout.histories.lengths().numpy())
    return holdout.query.with_columns(history, pl.Series("relevant", holdout.relevant().numpy()), mean)


def depths(counts: Tensor) -> Tensor:
    """float64 [N]: the share of the training events that are of more popular items, and half that of equally popular ones: 0 for the
    most popular items, 1 for those that training hardly has."""
    events = counts.cpu().double()
    value, kind = torch.unique(events, return_inverse=True)
    mass = torch.zeros_like(value).index_add_(0, kind, events)
    above = mass.sum() - mass.cumsum(0)
    return ((above + mass / 2) / mass.sum().clamp(min=1))[kind]


def by_popularity(depth: pl.Series) -> pl.Series:
    """The slice of each query: "head", "torso" and "tail" are items with a third of the training events each, and "unknown" where training
    knows no relevant item."""
    named = pl.when(depth < 1 / 3).then(pl.lit("head")).when(depth < 2 / 3).then(pl.lit("torso")).otherwise(pl.lit("tail"))
    return pl.select(pl.when(depth.is_null()).then(pl.lit("unknown")).otherwise(named).alias("popularity")).to_series()


def by_history(length: pl.Series, slices: int = 4) -> pl.Series:
    """The slice of each query, such as "2 to 4": about equally many queries in each, as far as equal lengths allow."""
    if not len(length):
        return pl.Series("history", [], dtype=pl.String)
    ordered = length.sort()
    edges = pl.Series(sorted({int(ordered[len(ordered) * n // slices]) for n in range(slices)}))
    last = ordered[(ordered.search_sorted(edges[1:], side="left") - 1).append(pl.Series([len(ordered) - 1], dtype=pl.UInt32))]
    names = pl.Series([_range(low, high) for low, high in zip(edges, last, strict=True)])
    return names[edges.search_sorted(length, side="right") - 1].alias("history")


def _range(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"
