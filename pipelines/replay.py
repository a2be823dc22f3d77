"""``recsys replay``: a training step of a run, looked at from inside."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from pipelines.classes import see_current_folder
from pipelines.commands import UsageError
from pipelines.progress import progress_for
from pipelines.recommend import refuse_output, write
from pipelines.runs import experiment_of, find_run
from pipelines.tables import console, number, plain_table
from recsys.replay import Replayed
from recsys.replay import replay as again
from recsys.run import Run

SHOWN = 5
"""Candidates of a row on the terminal."""


def replay(args: argparse.Namespace) -> int:
    """Do a step again and print its first rows; the run itself is left as it is."""
    for name in ("step", "epoch", "rows"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise UsageError(f"recsys replay: --{name} is {value}; it is at least 1")
    if args.output is not None:
        refuse_output(args.output)
    see_current_folder()
    run = Run(find_run(args.run, args.runs))
    experiment = experiment_of(run)
    asked = {name: getattr(args, name) for name in ("step", "epoch", "phase", "exact")}
    if args.exact:
        with progress_for(sys.stderr, experiment.evaluation.selector) as progress:
            found = again(run, experiment, **asked, progress=progress)
    else:
        found = again(run, experiment, **asked)
    out = console()
    for line in about(run, found):
        out.print(line, markup=False, soft_wrap=True)
    out.print(shown(found, args.rows))
    if args.output is not None:
        write(found.table(), args.output)
    return 0


def about(run: Run, found: Replayed) -> list[str]:
    """What the step is, and whose numbers these are."""
    rows, width = found.scored.negative.shape
    valid = found.scored.draw.valid
    share = "" if valid is None or not width else f", {valid.double().mean():.1%} of them valid"
    each = f"{width:,} candidate{'' if width == 1 else 's'} each{share}" if width else "no candidates"
    return [
        f"{run.id}: step {found.step} of {found.steps} in epoch {found.epoch}, phase {found.phase}",
        f"Weights: {found.weights}.",
        *(f"Note: {note}." for note in found.notes),
        f"The step minimises {found.value:.9g}; {rows:,} rows, {each}. Held out: in the {found.held_out} part.",
    ]


def shown(found: Replayed, rows: int) -> Any:
    """The first rows, and of each the candidates that score highest, each item once."""
    lines = found.table(rows)
    names, width = lines.columns, found.scored.negative.shape[1]
    first = names.index("item") if width else len(names)  # from here on a column is the candidate's, before it the row's
    most = f"; of each the {SHOWN} different candidates that score highest" if width > SHOWN else ""
    total = len(found.losses)
    table = plain_table(f"{min(rows, total):,} of {total:,} rows{most}", *(name.replace("_", " ") for name in names))
    for part in lines.partition_by("row", maintain_order=True):
        if width:
            part = part.unique("item", maintain_order=True).sort("valid", "score", descending=True, maintain_order=True).head(SHOWN)
        for at, line in enumerate(part.iter_rows()):
            table.add_row(*("" if at and column < first else _cell(value) for column, value in enumerate(line)))
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 1e-3 else number(value)
    return str(value)
