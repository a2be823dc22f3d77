"""``recsys compare``: stored runs on the same test queries."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich.table import Table

from pipelines.classes import listing, suggestion
from pipelines.run_folders import find_run
from pipelines.stored import Stored, read_stored
from pipelines.tables import console, duration, plain_table, with_interval, with_p
from recsys.errors import RunError
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
    runs = [read_stored(find_run(name, args.runs)) for name in args.run]
    if len(runs) < 2:
        raise RunError("a comparison needs at least two runs; name another")
    rows = compared(runs, args.metrics)
    console().print(comparison_table(runs, rows))
    for line in notes(runs, rows):
        console().print(line, soft_wrap=True)
    if args.json:
        print(json.dumps({"baseline": runs[0].name, "level": LEVEL, "rows": [asdict(row) for row in rows]}))
    return 0


def compared(runs: Sequence[Stored], metrics: Sequence[str] | None = None) -> list[Compared]:
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
        differences = [paired_difference(column, columns[0], LEVEL) for column in columns[1:]]
        adjusted = holm([d.p for d in differences])
        found.append(Compared(runs[0].name, name, interval(columns[0], LEVEL), None, None))
        for run, column, difference, p in zip(runs[1:], columns[1:], differences, adjusted, strict=True):
            found.append(Compared(run.name, name, interval(column, LEVEL), difference, p))
    return found


def refuse_other_data(runs: Sequence[Stored]) -> None:
    """Numbers from different data or splits do not compare.

    Raises:
        RunError: naming two runs that differ.
    """
    for other in runs[1:]:
        if other.data_fingerprint != runs[0].data_fingerprint:
            raise RunError(
                f"{runs[0].name} and {other.name} were tested on different data or splits (fingerprints {runs[0].data_fingerprint} and "
                f"{other.data_fingerprint}); train both with the same data, split and seed"
            )
        if other.masks != runs[0].masks:
            raise RunError(
                f"{runs[0].name} and {other.name} treat seen items differently (mask_seen {runs[0].masks} and {other.masks}); "
                "evaluate both with the same evaluation.mask_seen"
            )


def choose_metrics(runs: Sequence[Stored], wanted: Sequence[str] | None) -> list[str]:
    """The metrics asked for, else the first recall and the first ndcg that all runs have."""
    common = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    for name in wanted or ():
        if name not in common:
            raise RunError(f"--metrics {name}: not measured for each query in all of these runs; there are {listing(common)}{suggestion(name, common)}")
    if wanted:
        return list(dict.fromkeys(wanted))
    preferred = [n for n in ("recall@20", "ndcg@20") if n in common] or [n for n in common if n.startswith(("recall@", "ndcg@"))]
    if not common:
        raise RunError("these runs have no metric in common; evaluate them with the same metrics")
    return (preferred or common)[:2]


def shared_queries(runs: Sequence[Stored], metrics: Sequence[str]) -> pl.DataFrame:
    """One row a query that all runs answered, with a column ``metric/number of the run`` for each value.

    Raises:
        RunError: there is no such query.
    """
    joined: pl.DataFrame | None = None
    for at, run in enumerate(runs):
        part = run.per_query.select([*run.keys, *(pl.col(name).alias(f"{name}/{at}") for name in metrics)])
        joined = part if joined is None else joined.join(part, on=runs[0].keys, how="inner", maintain_order="left")
    assert joined is not None
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


def comparison_table(runs: Sequence[Stored], rows: Sequence[Compared]) -> Table:
    """The runs as rows; for each metric its value and its difference to the first run."""
    names = list(dict.fromkeys(row.metric for row in rows))
    columns = [column for name in names for column in (f"{name} [95 %]", f"against {runs[0].name}")]
    table = plain_table("", "run", *columns, "time")
    for at, run in enumerate(runs):
        cells = []
        for name in names:
            row = [r for r in rows if r.metric == name][at]
            cells += [with_interval(row.mean), with_p(row.difference, row.p) if row.difference and row.p is not None else "baseline"]
        table.add_row(run.name, *cells, duration(run.seconds))
    return table


def notes(runs: Sequence[Stored], rows: Sequence[Compared]) -> list[str]:
    """What the table means, in words."""
    lines = [
        f"{rows[0].mean.queries:,} shared test queries. Intervals: bootstrap over queries, 95 %; p: paired permutation test"
        + (f", corrected for {len(runs) - 1} comparisons (Holm)." if len(runs) > 2 else ".")
        + " One seed each: what another seed would change is not in them."
    ]
    same = [r for r in rows if r.p is not None and r.p >= 1 - LEVEL]
    lines += [f"Not distinguishable in {r.metric}: {r.run} and {runs[0].name}." for r in same]
    return lines


def folders_compared(folders: Sequence[Path], metrics: Sequence[str] | None = None) -> tuple[list[Any], list[Compared]]:
    """As :func:`compare`, for folders: what was read, and the rows."""
    runs = [read_stored(folder) for folder in folders]
    return runs, compared(runs, metrics)
