"""What a log looks like, in numbers and in tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.blocks import ROWS, Blocks
from recsys.data.ingest import ingest
from recsys.data.reading.deliver import checked
from recsys.data.tallies import Tallies, tally, weight_bins
from recsys.errors import DataError

Ints = NDArray[np.int64]
Events = pl.LazyFrame | pl.DataFrame | Iterable[pl.DataFrame]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH = datetime(1970, 1, 1)
_POINTS = 200  # of the popularity curve


@dataclass(frozen=True)
class Survey:
    """``facts``: plain JSON, see :func:`describe`. ``tables``: data frames by name, see :func:`describe_tables`."""

    facts: dict[str, Any]
    tables: dict[str, pl.DataFrame]


def describe(events: Events, *, origin: str = "events") -> dict[str, object]:
    """Counts and shapes of a log.

    The log need not fit in memory: it is read in chunks, coded and sorted into files in the folder for temporary files (about 35 bytes an
    event), and counted there. Memory grows with owners and items.

    Args:
        events: canonical columns (see :mod:`recsys.data.events`); or checked chunks of them, such as a source's ``batches()`` gives.
        origin: where they come from, for messages.

    Returns:
        ``events``, ``owner``, ``owners``, ``items``; ``density`` (distinct pairs / (owners * items)); ``repeats`` (share of events whose
        owner and item stood together before); ``length_median``, ``length_mean``, ``length_max`` (events an owner); ``top_1_percent``,
        ``top_20_percent`` (share of events on the most popular hundredth and fifth of the items), ``gini`` (of the events of the items: 0
        all alike, towards 1 all on one), ``items_once``, ``items_below_5`` (share of the items with one event, with fewer than five);
        ``duplicates`` (events equal to another in every column, but for one of each).

        With a clock or an order ``consecutive_repeats`` (events on the item of the owner's event before); with a clock ``same_moment``
        (share of events at the very time of another event of the owner), ``first``, ``last`` (ISO), ``days`` between them, ``empty_days``
        (calendar days without an event, in UTC), ``longest_gap`` (most of these in a row); with weights ``weight_min``, ``weight_mean``,
        ``weight_max``; with kinds ``kinds``, with a split ``parts`` (events of each).

    Raises:
        DataError: the events do not pass the check.
    """
    return survey(events, origin=origin).facts


def describe_tables(events: Events, *, origin: str = "events") -> dict[str, pl.DataFrame]:
    """The same log in tables.

    Returns:
        ``lengths`` (``from``, ``to``, ``owners``, ``events``): owners by number of events, in bins that double. ``popularity`` (``rank``,
        ``events``, ``share``): events of the item of each rank, and the share of events on the items up to it, at up to 200 ranks. With
        a clock ``days`` (``date``, ``events``), days without events included, and ``hours`` (``weekday`` 0 Monday to 6, ``hour``,
        ``events``), 168 rows, in UTC. With weights ``weights`` (``from``, ``to``, ``events``): each weight if there are at most 32, else
        20 bins. ``kinds``, ``parts`` (``kind`` or ``part``, ``events``).

    Raises:
        DataError: the events do not pass the check.
    """
    return survey(events, origin=origin).tables


def survey(events: Events, *, origin: str = "events") -> Survey:
    """:func:`describe` and :func:`describe_tables` in one reading."""
    with tempfile.TemporaryDirectory(prefix="recsys-") as folder:
        return survey_blocks(ingest(_chunks(events, origin), Path(folder), rows=ROWS))


def survey_blocks(blocks: Blocks) -> Survey:
    """The same of a log that is in blocks already."""
    found = tally(blocks)
    if not found.events:
        raise DataError("there are no events (0 rows); check the file and any filter")
    facts, tables = _sizes(found, blocks.owner_kind)
    facts |= _repetition(found)
    if "time" in found.columns:
        more, drawn = _times(found)
        facts |= more
        tables |= drawn
    if "weight" in found.columns:
        facts |= {"weight_min": found.weight_min, "weight_mean": found.weight_sum / found.events, "weight_max": found.weight_max}
        tables["weights"] = _weights(found, blocks)
    for name, counts in (("kind", found.kinds), ("part", found.parts)):
        if name in found.columns:
            ordered = dict(sorted(counts.items(), key=lambda pair: -pair[1])) if name == "kind" else _in_order(counts)
            facts[f"{name}s"] = ordered
            tables[f"{name}s"] = pl.DataFrame({name: list(ordered), "events": list(ordered.values())})
    return Survey(facts, tables)


def cleaning_table(cleaning: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """What each cleaning step left, one row a step: ``step``, ``fit``, ``fold`` (of steps after the split: in whose training log), and
    ``events``, ``owners``, ``items`` before and after (``events_before``, ...).

    Args:
        cleaning: the steps of ``report["cleaning"]`` of prepared data.
    """
    rows = [
        {"step": str(step["step"]), "fit": step.get("fit"), "fold": step.get("fold")}
        | {f"{what}_{when}": int(step[what][at]) for what in ("events", "owners", "items") for at, when in enumerate(("before", "after"))}
        for step in cleaning
    ]
    counts = {f"{what}_{when}": pl.Int64 for what in ("events", "owners", "items") for when in ("before", "after")}
    return pl.DataFrame(rows, schema={"step": pl.String, "fit": pl.String, "fold": pl.String, **counts})


def _chunks(events: Events, origin: str) -> Iterator[pl.DataFrame]:
    """Checked chunks."""
    return checked(events.lazy(), None, origin=origin) if isinstance(events, pl.DataFrame | pl.LazyFrame) else iter(events)


def _sizes(found: Tallies, owner: str) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    lengths = found.lengths
    owners = int(lengths.sum())
    ascending = np.sort(found.popularity[found.popularity > 0])
    items, descending = len(ascending), np.sort(found.popularity[found.popularity > 0])[::-1]
    facts = {
        "events": found.events,
        "owner": owner,
        "owners": owners,
        "items": items,
        "density": found.pairs / (owners * items),
        "repeats": 1 - found.pairs / found.events,
        "length_median": _median(lengths),
        "length_mean": found.events / owners,
        "length_max": len(lengths) - 1,
        "top_1_percent": _head(descending, items // 100),
        "top_20_percent": _head(descending, items // 5),
        "gini": _gini(ascending),
        "items_once": float((ascending == 1).mean()),
        "items_below_5": float((ascending < 5).mean()),
    }
    return facts, {"lengths": _length_bins(lengths), "popularity": _curve(descending)}


def _repetition(found: Tallies) -> dict[str, Any]:
    facts: dict[str, Any] = {"duplicates": found.duplicates}
    if {"time", "order"} & set(found.columns):
        facts["consecutive_repeats"] = found.consecutive
    if "time" in found.columns:
        facts["same_moment"] = found.tied / found.events
    return facts


def _times(found: Tallies) -> tuple[dict[str, Any], dict[str, pl.DataFrame]]:
    first, last = (_EPOCH + timedelta(microseconds=moment) for moment in (found.first, found.last))
    begin = found.first // 86_400_000_000
    hours = np.append(found.hours, np.zeros(-len(found.hours) % 24, dtype=np.int64)).reshape(-1, 24)[begin:]
    days = hours.sum(1)
    empty = np.flatnonzero(days == 0)
    runs = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)
    weekday = (begin + 3 + np.arange(len(days))) % 7  # 1970-01-01 was a Thursday
    grid = np.stack([hours[weekday == day].sum(0) for day in range(7)])
    facts = {"first": first.isoformat(), "last": last.isoformat(), "days": (last - first).total_seconds() / 86_400}
    facts |= {"empty_days": len(empty), "longest_gap": max(len(run) for run in runs)}
    dates = pl.date_range(date(1970, 1, 1) + timedelta(days=begin), last.date(), eager=True)
    return facts, {
        "days": pl.DataFrame({"date": dates, "events": days}),
        "hours": pl.DataFrame({"weekday": np.repeat(np.arange(7), 24), "hour": np.tile(np.arange(24), 7), "events": grid.ravel()}),
    }


def _weights(found: Tallies, blocks: Blocks) -> pl.DataFrame:
    if found.weights is not None:
        values = sorted(found.weights)
        return pl.DataFrame({"from": values, "to": values, "events": [found.weights[value] for value in values]})
    edges, counts = weight_bins(blocks, found.weight_min, found.weight_max)
    return pl.DataFrame({"from": edges[:-1], "to": edges[1:], "events": counts})


def _median(lengths: Ints) -> float:
    """Of owners' lengths, given how many owners have each."""
    upto, owners = lengths.cumsum(), int(lengths.sum())
    return float(np.searchsorted(upto, [(owners - 1) // 2, owners // 2], side="right").mean())


def _head(descending: Ints, items: int) -> float:
    return float(descending[: max(1, items)].sum() / descending.sum())


def _gini(ascending: Ints) -> float:
    """sum_i (2 i - n - 1) x_i / (n sum x) with x ascending, i from 1."""
    size = len(ascending)
    return float((2 * np.arange(1, size + 1) - size - 1) @ ascending.astype(np.float64) / (size * ascending.sum()))


def _length_bins(lengths: Ints) -> pl.DataFrame:
    """1, 2, 3 to 4, 5 to 8, ..."""
    last = len(lengths) - 1
    upper = 2 ** np.arange(max(0, last - 1).bit_length() + 1)
    lower = np.concatenate([[1], upper[:-1] + 1])
    of = np.searchsorted(upper, np.arange(1, last + 1))
    owners = np.bincount(of, lengths[1:], minlength=len(upper)).astype(np.int64)
    events = np.bincount(of, lengths[1:] * np.arange(1, last + 1), minlength=len(upper)).astype(np.int64)
    return pl.DataFrame({"from": lower, "to": upper, "owners": owners, "events": events})


def _curve(descending: Ints) -> pl.DataFrame:
    size = len(descending)
    spread = np.arange(1, size + 1) if size <= _POINTS else np.geomspace(1, size, _POINTS).round()
    ranks = np.unique(spread.astype(np.int64))
    upto = descending.cumsum() / descending.sum()
    return pl.DataFrame({"rank": ranks, "events": descending[ranks - 1], "share": upto[ranks - 1]})


def _in_order(counts: dict[str, int]) -> dict[str, int]:
    return {part: counts[part] for part in ("train", "valid", "test") if part in counts}
