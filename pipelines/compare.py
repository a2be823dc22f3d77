"""``recsys compare``: stored runs on the same test queries."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl
from rich.table import Table

from pipelines.classes import listing, suggestion
from pipelines.runs import load_runs
from pipelines.tables import console, difference, duration, p_value, plain_table, with_interval
from recsys.errors import RunError
from recsys.files import finite
from recsys.run import Run
from recsys.statistics import Difference, Interval, interval, paired_difference

LEVEL = 0.95


@dataclass(frozen=True)
class Compared:
    """One run in one metric: its mean over the shared queries, its difference to the baseline and that difference's p value after
    Holm's correction (both None for the baseline itself)."""

    run: str
    metric: str
    mean: Interval
    difference: Difference | None
    p: float | None


def compare(args: argparse.Namespace) -> int:
    """Print a table of runs, the first as the baseline."""
    if len(args.run) < 2:
        raise RunError(f"a comparison needs at least two runs, and {args.run[0]!r} is one; name another")
    runs = load_runs(args.run, args.runs)
    rows = compared(runs, args.metrics)
    if args.json:
        print(json.dumps(finite({"baseline": runs[0].id, "level": LEVEL, "rows": [asdict(row) for row in rows]})))
        return 0
    console().print(comparison_table(runs, rows))
    for line in notes(runs, rows):
        console().print(line, markup=False)
    return 0


def compared(runs: Sequence[Run], metrics: Sequence[str] | None = None) -> list[Compared]:
    """Every run in every metric, on the queries that all of them answered.

    Raises:
        RunError: the runs do not belong to the same data and split, or a metric was not measured for all of them.
    """
    refuse_other_data(runs)
    chosen = choose_metrics(runs, metrics)
    shared = shared_queries(runs, chosen)
    found = []
    for name in chosen:
        columns = [shared[f"{name}/{at}"].to_numpy() for at in range(len(runs))]
        gaps = [paired_difference(column, columns[0], LEVEL) for column in columns[1:]]
        adjusted = holm([gap.p for gap in gaps])
        found.append(Compared(runs[0].id, name, interval(columns[0], LEVEL), None, None))
        for run, column, gap, p in zip(runs[1:], columns[1:], gaps, adjusted, strict=True):
            found.append(Compared(run.id, name, interval(column, LEVEL), gap, p))
    return found


def refuse_other_data(runs: Sequence[Run]) -> None:
    """Numbers from different data or splits do not compare.

    Raises:
        RunError: naming two runs that differ.
    """
    first = runs[0]
    for other in runs[1:]:
        one, two = (run.about["data"]["fingerprint"] for run in (first, other))
        if one != two:
            raise RunError(
                f"{first.id} and {other.id} were tested on different data or splits (fingerprints {one} and {two}); "
                "train both with the same data, split and split_seed"
            )
        one, two = (run.about["facts"]["test"]["mask_seen"] for run in (first, other))
        if one != two:
            raise RunError(
                f"{first.id} and {other.id} treat seen items differently (mask_seen {one} and {two}); "
                "train both with the same evaluation.mask_seen"
            )


def measured(run: Run) -> list[str]:
    """The metrics that a run has for each test query."""
    return [name for name in run.per_query.columns if "@" in name]


def choose_metrics(runs: Sequence[Run], wanted: Sequence[str] | None) -> list[str]:
    """The metrics asked for, else the first recall and the first ndcg that all runs have."""
    common = [name for name in measured(runs[0]) if all(name in measured(run) for run in runs)]
    for name in wanted or ():
        if name not in common:
            there = f"there are {listing(common)}{suggestion(name, common)}"
            raise RunError(f"--metrics {name}: not measured for each query in all of these runs; {there}")
    if wanted:
        return list(dict.fromkeys(wanted))
    preferred = [n for n in common if n in ("recall@20", "ndcg@20")] or [n for n in common if n.startswith(("recall@", "ndcg@"))]
    if not common:
        raise RunError("these runs have no metric in common; evaluate them with the same metrics")
    return (preferred or common)[:2]


def shared_queries(runs: Sequence[Run], metrics: Sequence[str]) -> pl.DataFrame:
    """One row a query that all runs answered, with a column ``metric/number of the run`` for each value.

    Raises:
        RunError: there is no such query.
    """
    keys = [name for name in runs[0].per_query.columns if "@" not in name]
    parts = [run.per_query.select(*keys, *(pl.col(name).alias(f"{name}/{at}") for name in metrics)) for at, run in enumerate(runs)]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.join(part, on=keys, how="inner", maintain_order="left")
    if joined.is_empty():
        raise RunError("these runs share no test query; were they tested on the same split?")
    return joined


def holm(p: Sequence[float]) -> list[float]:
    """P values corrected for several comparisons (Holm 1979): the i-th smallest of m, times m - i + 1, never decreasing, at most 1."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, p[i] * (len(p) - rank)))
        adjusted[i] = largest
    return adjusted


def comparison_table(runs: Sequence[Run], rows: Sequence[Compared], labels: Sequence[str] = ()) -> Table:
    """For each metric the runs as rows: mean, difference to the first, p, time. ``labels`` stand for their names."""
    labels = labels or [run.id for run in runs]
    table = plain_table("", "run", "mean", "against " + (labels[0] if len(labels[0]) <= 10 else "the first"), "p", "time")
    for name in dict.fromkeys(row.metric for row in rows):
        table.add_row(f"[bold]{name}[/bold]")
        for label, run, row in zip(labels, runs, (r for r in rows if r.metric == name), strict=True):
            against = ("baseline", "") if row.difference is None or row.p is None else (difference(row.difference), p_value(row.p))
            table.add_row(label, with_interval(row.mean), *against, duration(run.seconds))
        table.add_section()
    return table


def notes(runs: Sequence[Run], rows: Sequence[Compared], labels: Sequence[str] = ()) -> list[str]:
    """What the table means, in words."""
    label = dict(zip((run.id for run in runs), labels or [run.id for run in runs], strict=True))
    corrected = f", corrected for {len(runs) - 1} comparisons (Holm)" if len(runs) > 2 else ""
    lines = [
        f"{rows[0].mean.queries:,} shared test queries. Below each number: its 95 % interval (bootstrap over queries). "
        f"p: paired permutation test{corrected}. What another seed would change is in neither."
    ]
    same: dict[str, list[str]] = {}
    for row in rows:
        if row.p is not None and row.p >= 1 - LEVEL:
            same.setdefault(label[row.run], []).append(row.metric)
    if same:
        each = "; ".join(f"{name} ({listing(metrics)})" for name, metrics in same.items())
        lines.append(f"Not distinguishable from {label[runs[0].id]}: {each}.")
    return lines
