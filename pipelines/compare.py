"""``recsys compare``: stored runs on the same test queries."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

import polars as pl
from rich.table import Table

from pipelines.classes import listing, suggestion
from pipelines.evaluate import test_part
from pipelines.runs import entrants_of, experiment_of, read_table
from pipelines.tables import console, difference, duration, p_value, plain_table, with_interval
from recsys.comparison import LEVEL, Comparison, Entrant, Row, Slice
from recsys.comparison import compare as compared
from recsys.errors import RecsysError, RunError
from recsys.files import finite
from recsys.ledger import Entry, Ledger, budgets
from recsys.plan import standings
from recsys.run import Run
from recsys.slices import described
from recsys.tracking.mlflow_runs import search

MUCH = 3
"""Times as many configurations tried as for another method: enough to say so."""


def compare(args: argparse.Namespace) -> int:
    """Print a table of methods, the first as the baseline; with ``--output`` a page and tables too."""
    names = [*args.run, *(search(args.query) if args.query else [])]
    if len(names) < 2:
        found_one = f"{names[0]!r} is one" if names else "none is named"
        raise RunError(f"a comparison needs at least two runs, and {found_one}; name another")
    entrants = entrants_of(list(dict.fromkeys(names)), args.runs)
    groups = None if args.groups is None else read_table(args.groups, "--groups")
    metrics, kinds = choose_metrics(entrants, args.metrics), kinds_of_queries(entrants[0].runs[0])
    found = compared(entrants, metrics, queries=kinds, groups=groups, despite=args.despite or ())
    said = notes(found)
    if args.output is not None:
        from pipelines.compare_page import write

        write(args.output, found, said)
    if args.json:
        print(json.dumps(finite(as_json(found))))
        return 0
    console().print(comparison_table(found))
    for line in said:
        console().print(line, markup=False)
    if args.output is not None:
        console().print(f"Slices, costs and plots: {args.output / 'index.html'}", markup=False, soft_wrap=True)
    return 0


def kinds_of_queries(run: Run) -> pl.DataFrame | None:
    """What kind of query each test query is: as the run has kept it, or from its data; None where these are gone."""
    if run.queries is not None:
        return run.queries
    try:
        fold = test_part(run, experiment_of(run))
    except RecsysError:
        return None
    return described(fold.holdouts["test"], fold.train.counts)


def choose_metrics(entrants: Sequence[Entrant], wanted: Sequence[str] | None) -> list[str]:
    """The metrics asked for, else the first recall and the first ndcg that all runs have.

    Raises:
        RunError: a metric was not measured for each query of all runs.
    """
    first, *others = [run for entrant in entrants for run in entrant.runs]
    common = [name for name in measured(first) if all(name in measured(run) for run in others)]
    for name in wanted or ():
        if name not in common:
            there = f"there are {listing(common)}{suggestion(name, common)}"
            raise RunError(f"--metrics {name}: not measured for each query in all of these runs; {there}")
    if wanted:
        return list(dict.fromkeys(wanted))
    exact = [name for name in common if "~" not in name]
    preferred = [n for n in exact if n in ("recall@20", "ndcg@20")] or [n for n in exact if n.startswith(("recall@", "ndcg@"))]
    if not common:
        raise RunError("these runs have no metric in common; evaluate them with the same metrics")
    return (preferred or common)[:2]


def measured(run: Run) -> list[str]:
    """The metrics that a run has for each test query."""
    return [name for name in run.per_query.columns if "@" in name]


def as_json(found: Comparison) -> dict[str, object]:
    """All numbers, as plain JSON."""
    names = [entrant.name for entrant in found.entrants]
    return {
        "baseline": found.baseline.name,
        "level": LEVEL,
        "queries": found.queries,
        "rows": [_plain(row) for row in found.rows],
        "slices": [_plain(part) for part in found.slices],
        "not_distinguishable": {metric: [[names[at] for at in group] for group in g.groups] for metric, g in found.groups.items()},
        "detectable": dict(found.detectable),
        "seconds": {entrant.name: entrant.seconds for entrant in found.entrants},
        "peak_rss_mb": {entrant.name: entrant.peak_rss_mb for entrant in found.entrants},
    }


def _plain(row: Row | Slice) -> dict[str, object]:
    inner = asdict(row)
    return {"run": inner.pop("entrant"), **inner}


def comparison_table(found: Comparison) -> Table:
    """For each metric the methods as rows: mean, difference to the first, p, time."""
    first = found.baseline.name
    several = any(len(entrant.runs) > 1 for entrant in found.entrants)
    columns = ["run", *(["seeds"] if several else []), "mean", "against " + (first if len(first) <= 10 else "the first"), "p", "time"]
    table = plain_table("", *columns)
    for metric in found.metrics:
        table.add_row(f"[bold]{metric}[/bold]")
        for entrant in found.entrants:
            row = found.row(entrant.name, metric)
            seeds = [str(len(entrant.runs))] if several else []
            table.add_row(entrant.name, *seeds, with_interval(row.both or row.mean), *_against(row), duration(entrant.seconds))
        table.add_section()
    return table


def _against(row: Row) -> tuple[str, str]:
    return ("baseline", "") if row.difference is None or row.p is None else (difference(row.difference), p_value(row.p))


def notes(found: Comparison) -> list[str]:
    """What the table means, in words."""
    entries = entries_of(found)
    return [
        _meaning(found),
        *_same(found),
        *_detectable(found),
        *(f"These numbers do not mean the same: {said}." for said in found.disregarded),
        *_chosen_on_test(found),
        *_ties(found),
        *_budget(found, entries),
        *_planned(found, entries),
    ]


def entries_of(found: Comparison) -> list[Entry]:
    """The ledger of the data; nothing where it cannot be read."""
    try:
        return Ledger(found.baseline.runs[0].about["data"]["fingerprint"]).entries()
    except (OSError, RecsysError):
        return []


def _meaning(found: Comparison) -> str:
    several = [len(entrant.runs) > 1 for entrant in found.entrants]
    corrected = f", corrected for {len(found.entrants) - 1} comparisons (Holm)" if len(found.entrants) > 2 else ""
    if all(several):
        allows, p = "for other queries and other seeds", f"p: of the same{corrected}."
    elif any(several):
        allows, p = "for other queries, and of methods with several seeds for other seeds", f"p: likewise{corrected}."
    else:
        allows, p = "for other queries", f"p: paired permutation test{corrected}. What another seed would change is in neither."
    return f"{found.queries:,} shared test queries. Below each number: its 95 % interval, which allows {allows}. {p}"


def _same(found: Comparison) -> list[str]:
    """Which methods cannot be told apart, a sentence for each metric."""
    lines = []
    for metric, groups in found.groups.items():
        together = [listing(found.entrants[at].name for at in group) for group in groups.groups if len(group) > 1]
        if together:
            lines.append(f"Not distinguishable in {metric}: {'; '.join(together)}.")
    return lines


def _detectable(found: Comparison) -> list[str]:
    parts = [f"{size:.4f} {metric}" for metric, size in found.detectable.items()]
    if not parts:
        return []
    return [f"The smallest difference to {found.baseline.name} that so many queries find in four tests of five: {listing(parts)}."]


def _chosen_on_test(found: Comparison) -> list[str]:
    names = [e.name for e in found.entrants if any(run.about.get("selection", {}).get("on") == "test" for run in e.runs)]
    return [f"Optimistic, for its epoch was chosen by the test set: {listing(names)}."] if names else []


def _ties(found: Comparison) -> list[str]:
    shares = {}
    for entrant in found.entrants:
        of_run = [share for run in entrant.runs for share in run.about["facts"]["test"].get("tie_share", {}).values()]
        if (most := max(of_run, default=0.0)) >= 0.01:
            shares[entrant.name] = f"{100 * most:.0f} % of {entrant.name}"
    return [f"A tie decided the last rank (lower item code first) in lists of some methods: {listing(shares.values())}."] if shares else []


def _budget(found: Comparison, entries: Sequence[Entry]) -> list[str]:
    """A warning where a method was tuned much more than another."""
    spent = budgets(entries)
    tried = {e.name: spent[method].configs for e in found.entrants if (method := e.runs[0].about.get("method")) in spent}
    if len(tried) < 2 or max(tried.values()) < MUCH * min(tried.values()):
        return []
    most, least = max(tried, key=lambda name: tried[name]), min(tried, key=lambda name: tried[name])
    return [
        f"Not tuned alike: on these data {tried[most]} configurations of the method of {most} were tried on validation, and {tried[least]} "
        f"of that of {least}; a part of the difference may be the tuning."
    ]


def _planned(found: Comparison, entries: Sequence[Entry]) -> list[str]:
    """Which of this was said beforehand."""
    entrant_of = {_key(run): entrant.name for entrant in found.entrants for run in entrant.runs}
    lines = []
    for standing in standings(entrant_of, entries):
        names, plan = dict.fromkeys(entrant_of[run] for run in standing.confirmatory), standing.plan
        line = f'Confirmatory, in {plan.metric}, by the plan "{plan.hypothesis}" of {standing.registered}: {listing(names)}.'
        if standing.missing:
            line += f" Of that plan {len(standing.missing)} runs are missing ({listing(standing.missing[:3])})."
        lines.append(line)
    return [*lines, "All else is exploratory."] if lines else []


def _key(run: Run) -> tuple[str, str]:
    """What a ledger knows a run by."""
    return str(run.about.get("name")), str(run.about.get("started"))


def cost(entrant: Entrant, entries: Sequence[Entry]) -> str:
    """What it took to tune a method: configurations, trainings and time, where the ledger knows."""
    found = budgets(entries).get(entrant.runs[0].about.get("method", ""))
    if found is None:
        return "-"
    return f"{found.configs} configurations, {found.trainings} trainings, {duration(found.seconds)}"
