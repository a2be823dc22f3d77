"""What a log looks like, in numbers."""

from __future__ import annotations

import polars as pl

from recsys.data.events import check, owner_of


def describe(events: pl.LazyFrame | pl.DataFrame, *, origin: str = "events") -> dict[str, object]:
    """Counts and shapes of a log.

    Args:
        events: canonical columns (see :mod:`recsys.data.events`).
        origin: where they come from, for messages.

    Returns:
        ``events``, ``owner``, ``owners``, ``items``; ``density`` (distinct pairs / (owners * items)); ``repeats`` (share of events whose
        owner and item stood together before); ``length_median``, ``length_mean``, ``length_max`` (events an owner); ``top_1_percent``
        (share of events on the most popular hundredth of the items); with a clock ``first``, ``last`` (ISO) and ``days``; with a split
        ``parts`` (events of each).

    Raises:
        DataError: the events do not pass the check.
    """
    frame = check(events, origin=origin)
    owner = owner_of(frame.columns)
    length = frame.group_by(owner).len()["len"]
    popularity = frame.group_by("item").len()["len"].sort(descending=True)
    pairs = frame.select(owner, "item").n_unique()
    found: dict[str, object] = {
        "events": len(frame),
        "owner": owner,
        "owners": len(length),
        "items": len(popularity),
        "density": pairs / (len(length) * len(popularity)),
        "repeats": 1 - pairs / len(frame),
        "length_median": length.median(),
        "length_mean": length.mean(),
        "length_max": length.max(),
        "top_1_percent": float(popularity.head(max(1, len(popularity) // 100)).sum()) / len(frame),
    }
    if "time" in frame.columns:
        first, last = frame.select(first=pl.col("time").min(), last=pl.col("time").max()).row(0)
        found |= {"first": first.isoformat(), "last": last.isoformat(), "days": (last - first).total_seconds() / 86_400}
    if "part" in frame.columns:
        found["parts"] = {str(part): count for part, count in frame.group_by("part").len().sort("part").iter_rows()}
    return found
