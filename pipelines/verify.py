"""``recsys verify`` and ``recsys reproduce``: whether a stored run holds, and whether it can be had again."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from pipelines.runs import experiment_of, load_runs
from pipelines.tables import console, plain_table
from pipelines.train import run_in
from recsys.errors import RunError
from recsys.files import finite
from recsys.run import Run
from recsys.verification import Check, Repetition, compare_repetition
from recsys.verification import verify as checks_of

_MARK = {"ok": "[green]ok[/green]", "changed": "[yellow]changed[/yellow]", "wrong": "[red]wrong[/red]"}


def verify(args: argparse.Namespace) -> int:
    """Print what holds and what does not; exit code 1 if something is wrong."""
    (run,) = load_runs([args.run], args.runs)
    checks = checks_of(run, experiment_of(run))
    if args.json:
        print(json.dumps({"run": run.id, "checks": [asdict(check) for check in checks]}))
    else:
        _print(run, checks)
    return int(any(check.status == "wrong" for check in checks))


def reproduce(args: argparse.Namespace) -> int:
    """Train the experiment of a run again in another folder, and say where the two part; exit code 1 if they differ."""
    (run,) = load_runs([args.run], args.runs)
    if not args.tolerance >= 0:
        raise RunError(f"--tolerance {args.tolerance}: it is a difference of test metrics, at least 0")
    experiment = experiment_of(run)
    experiment.check()
    folder = run.folder.absolute().parent / (args.name or f"{run.id}-again")
    again = run_in(folder, experiment, group=run.id, tracking=args.tracking or "none", resume=args.resume)
    found = compare_repetition(run, again, tolerance=args.tolerance)
    if args.json:
        print(json.dumps(finite({"run": run.id, "again": again.id, **asdict(found)})))
    else:
        console().print(_sentence(run, again, found), markup=False, soft_wrap=True)
    return int(found.verdict == "different")


def _print(run: Run, checks: list[Check]) -> None:
    table = plain_table(run.id, "", "", "")
    table.columns[2].justify = "left"
    for check in checks:
        table.add_row(check.name, _MARK[check.status], check.said)
    console().print(table)


def _sentence(run: Run, again: Run, found: Repetition) -> str:
    apart = "" if found.verdict == "bit-identical" else f"; the test metrics differ by {found.largest:.2g} at most"
    return f"{run.id} and {again.id}: {found.verdict}. {found.said[:1].upper()}{found.said[1:]}{apart}."
