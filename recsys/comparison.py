"""Methods on the same test queries: means, intervals, differences, slices, and which of them cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from recsys.errors import RunError
from recsys.run import Run
from recsys.slices import POPULARITY, by_history, by_popularity
from recsys.statistics import (
    Difference,
    Effect,
    Groups,
    Interval,
    difference_over,
    effect_size,
    holm,
    homogeneous_groups,
    interval,
    interval_over,
    paired_difference,
    smallest_detectable_difference,
)
from recsys.statistics.base import Values

LEVEL = 0.95
SAME = ("queries", "mask_seen", "among", "candidates", "unknown")
"""Facts of a test that must agree, or the numbers mean different things."""


@dataclass(frozen=True)
class Entrant:
    """A method: a run, or the runs of one configuration with several seeds."""

    name: str
    runs: tuple[Run, ...]

    @property
    def seconds(self) -> float:
        """The mean time of a run."""
        return sum(run.seconds for run in self.runs) / len(self.runs)

    @property
    def peak_rss_mb(self) -> float | None:
        """The most memory of any run, in MiB."""
        return max((run.peak_rss_mb for run in self.runs if run.peak_rss_mb is not None), default=None)


@dataclass(frozen=True)
class Row:
    """A method in a metric.

    ``mean``: over the shared queries, and the seeds if there are several; its interval allows for other queries. ``both``: the same
    allowing for other seeds too; None for a single seed. ``seeds``: the mean of each. Against the baseline (None for itself):
    ``difference`` with an interval and p value that allow for other queries, and, where both have several seeds, for other seeds;
    ``p``: Holm-corrected over the methods; ``effect``; and ``lost`` and ``gained``, the shares of queries that had a hit with the baseline
    and have none now, and the other way round (of any seed's queries, where the numbers of seeds are equal: None otherwise).
    """

    entrant: str
    metric: str
    mean: Interval
    both: Interval | None
    seeds: tuple[float, ...]
    difference: Difference | None = None
    p: float | None = None
    effect: Effect | None = None
    lost: float | None = None
    gained: float | None = None


@dataclass(frozen=True)
class Slice:
    """A method in a metric on some of the queries: those of ``value`` by ``kind`` ("popularity", "history", or a column of the user's)."""

    kind: str
    value: str
    entrant: str
    metric: str
    mean: Interval
    difference: Difference | None


@dataclass(frozen=True)
class Comparison:
    """``rows``: every method in every metric. ``groups``: by metric, which methods cannot be told apart. ``detectable``: by metric, the
    smallest difference to the baseline that this many queries would find in four tests of five."""

    entrants: tuple[Entrant, ...]
    metrics: tuple[str, ...]
    queries: int
    rows: tuple[Row, ...]
    slices: tuple[Slice, ...]
    groups: Mapping[str, Groups]
    detectable: Mapping[str, float]
    disregarded: tuple[str, ...]
    values: pl.DataFrame = field(repr=False)

    @property
    def baseline(self) -> Entrant:
        return self.entrants[0]

    def row(self, entrant: str, metric: str) -> Row:
        return next(row for row in self.rows if (row.entrant, row.metric) == (entrant, metric))


def compare(
    entrants: Sequence[Entrant],
    metrics: Sequence[str],
    *,
    queries: pl.DataFrame | None = None,
    groups: pl.DataFrame | None = None,
    despite: Sequence[str] = (),
) -> Comparison:
    """Compare methods, the first as the baseline, on the test queries that all of them answered.

    Args:
        metrics: names of per-query metrics that all of them have.
        queries: what kind of query each is (:func:`recsys.slices.described`). Default: what the baseline's run has kept.
        groups: columns that identify queries, and others: slices of one's own.
        despite: facts of :data:`SAME` that may differ.

    Raises:
        RunError: data, splits or facts differ, or there is no shared query.
    """
    runs = [run for entrant in entrants for run in entrant.runs]
    disregarded = tuple(refuse_others(runs, despite))
    values = shared_values(entrants, metrics)
    rows, tables = [], {}
    for metric in metrics:
        found = [_values(values, metric, at, len(entrant.runs)) for at, entrant in enumerate(entrants)]
        tables[metric] = np.stack([table.mean(0) for table in found])
        rows += _rows(entrants, metric, found)
    distinct = {metric: homogeneous_groups(table, LEVEL) for metric, table in tables.items()}
    gaps = {metric: [table[0] - other for other in table[1:]] for metric, table in tables.items()}
    enough = {metric: found for metric, found in gaps.items() if found and min(np.isfinite(gap).sum() for gap in found) > 2}
    detectable = {metric: max(smallest_detectable_difference(gap, LEVEL) for gap in found) for metric, found in enough.items()}
    kept = entrants[0].runs[0].queries if queries is None else queries
    slices = tuple(_slices(entrants, metrics, values, kept, groups))
    return Comparison(tuple(entrants), tuple(metrics), len(values), tuple(rows), slices, distinct, detectable, disregarded, values)


def refuse_others(runs: Sequence[Run], despite: Sequence[str] = ()) -> list[str]:
    """The facts that differ though nobody minds.

    Raises:
        RunError: naming two runs, what differs between them, and what to do.
    """
    if unknown := [name for name in despite if name not in SAME]:
        raise RunError(f"--despite {unknown[0]}: no such fact of a test; those that must agree are {', '.join(SAME)}")
    first, found = runs[0], []
    for other in runs[1:]:
        one, two = (run.about["data"]["fingerprint"] for run in (first, other))
        if one != two:
            raise RunError(
                f"{first.id} and {other.id} were tested on different data or splits (fingerprints {one} and {two}); "
                "train both with the same data, split and split_seed"
            )
        for name in SAME:
            one, two = (run.about["facts"]["test"].get(name) for run in (first, other))
            if one is None or two is None:  # a run of a version that did not tell
                continue
            if one != two and name not in despite:
                raise RunError(_advice(first.id, other.id, name, one, two))
            if one != two:
                found.append(f"{name} differs: {one} for {first.id}, {two} for {other.id}")
    return list(dict.fromkeys(found))


def _advice(first: str, other: str, name: str, one: Any, two: Any) -> str:
    said = f"{first} and {other} differ in {name} ({one} and {two}), so their numbers do not mean the same"
    if name == "mask_seen":
        return (
            f"{first} and {other} treat seen items differently (mask_seen {one} and {two}); train both with the same evaluation.mask_seen"
        )
    if name == "candidates":
        said += ": one may recommend items that the other does not know"
        return f"{said}. Train both with the same fit.refit, or add: --despite candidates"
    return f"{said}; to see them side by side all the same, add: --despite {name}"


def shared_values(entrants: Sequence[Entrant], metrics: Sequence[str]) -> pl.DataFrame:
    """One row a query that every run answered: the columns that identify it, and ``metric/entrant/run`` (numbers) for each value.

    Raises:
        RunError: there is no such query.
    """
    joined: pl.DataFrame | None = None
    for at, entrant in enumerate(entrants):
        for number, run in enumerate(entrant.runs):
            keys = [name for name in run.per_query.columns if "@" not in name]
            part = run.per_query.select(*keys, *(pl.col(name).alias(f"{name}/{at}/{number}") for name in metrics))
            joined = part if joined is None else joined.join(part, on=keys, how="inner", maintain_order="left")
    if joined is None or joined.is_empty():
        raise RunError("these runs share no test query; were they tested on the same split?")
    return joined


def _values(values: pl.DataFrame, metric: str, at: int, runs: int) -> Values:
    """[seeds, queries]"""
    return values.select(f"{metric}/{at}/{number}" for number in range(runs)).to_numpy().T


def _rows(entrants: Sequence[Entrant], metric: str, found: Sequence[Values]) -> list[Row]:
    base = found[0]
    differences = [_difference(table, base) for table in found[1:]]
    adjusted = holm([d.p for d in differences])
    rows = []
    for at, (entrant, table) in enumerate(zip(entrants, found, strict=True)):
        both = interval_over("both", table, LEVEL) if len(table) > 1 else None
        row = Row(entrant.name, metric, interval(table.mean(0), LEVEL), both, tuple(np.nanmean(table, 1).tolist()))
        if at:
            row = replace(row, difference=differences[at - 1], p=float(adjusted[at - 1]), effect=effect_size(table.mean(0), base.mean(0)))
            if len(table) == len(base):
                lost, gained = ((base > 0) & (table == 0)).mean(), ((base == 0) & (table > 0)).mean()
                row = replace(row, lost=float(lost), gained=float(gained))
        rows.append(row)
    return rows


def _difference(table: Values, base: Values) -> Difference:
    if min(len(table), len(base)) > 1:
        return difference_over("both", table, base, LEVEL)
    return paired_difference(table.mean(0), base.mean(0), LEVEL)


def _slices(
    entrants: Sequence[Entrant], metrics: Sequence[str], values: pl.DataFrame, queries: pl.DataFrame | None, groups: pl.DataFrame | None
) -> list[Slice]:
    """On each slice the mean over queries and seeds, and the difference to the baseline."""
    keys = [name for name in values.columns if "@" not in name]
    kinds = _kinds(queries, values.select(keys), groups)
    found = []
    for kind, names in kinds.items():
        for value in _ordered(kind, names):
            some = values.filter(names == value)
            for metric in metrics:
                means = [_values(some, metric, at, len(entrant.runs)).mean(0) for at, entrant in enumerate(entrants)]
                for at, (entrant, mean) in enumerate(zip(entrants, means, strict=True)):
                    gap = paired_difference(mean, means[0], LEVEL, permutations=1000) if at else None
                    found.append(Slice(kind, value, entrant.name, metric, interval(mean, LEVEL), gap))
    return found


def _kinds(queries: pl.DataFrame | None, keys: pl.DataFrame, groups: pl.DataFrame | None) -> dict[str, pl.Series]:
    """For each kind of slice, the slice of every query."""
    kinds: dict[str, pl.Series] = {}
    if queries is not None:
        known = keys.join(queries, on=keys.columns, how="left", maintain_order="left")
        kinds = {"popularity": by_popularity(known["depth"]), "history": by_history(known["history"])}
    if groups is not None:
        on = [name for name in keys.columns if name in groups.columns]
        if not on or len(groups.columns) == len(on):
            raise RunError(f"groups need a column of {', '.join(keys.columns)} and one to group by; they have {', '.join(groups.columns)}")
        told = keys.join(groups, on=on, how="left", maintain_order="left")
        if len(told) != len(keys):
            raise RunError(f"groups have several rows for one {' and '.join(on)}; give one")
        kinds |= {name: told[name].cast(pl.String).fill_null("not given") for name in groups.columns if name not in on}
    return kinds


def _ordered(kind: str, names: pl.Series) -> list[str]:
    there = names.unique(maintain_order=True).to_list()
    if kind == "popularity":
        return [name for name in POPULARITY if name in there]
    if kind == "history":
        return sorted(there, key=lambda name: int(name.split()[0]))
    return sorted(there)
