"""``recsys interpolate``: what lies between two versions of a model."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from pipelines.evaluate import looked_at, test_part
from pipelines.runs import experiment_of, load_runs
from pipelines.tables import console, number, plain_table
from recsys.comparison import refuse_others
from recsys.errors import RunError
from recsys.files import finite
from recsys.interpolation import interpolate as mixed


def interpolate(args: argparse.Namespace) -> int:
    """Mix the weights of two runs in several shares and measure each mixture on the test part."""
    if args.points < 2:
        raise RunError(f"--points {args.points}: both ends are measured, so there are at least 2")
    first, second = load_runs([args.first, args.second], args.runs)
    refuse_others([first, second])
    experiment = experiment_of(first)
    evaluation = experiment.evaluation.with_metrics(args.metrics)
    fold = test_part(first, experiment)
    shares = [n / (args.points - 1) for n in range(args.points)]
    looked_at(first, experiment, evaluation.metrics)
    found = list(mixed(first, second, shares, train=fold.train, holdout=fold.holdouts["test"], evaluation=evaluation))
    if args.json:
        print(json.dumps(finite({"first": first.id, "second": second.id, "points": [asdict(point) for point in found]})))
        return 0
    names = list(found[0].summary)
    table = plain_table(f"from {first.id} to {second.id}", "share of the second", *names, f"lost ({names[0]})", "gained")
    for point in found:
        flips = ("", "") if point.share == 0 else (f"{100 * point.lost:.2f} %", f"{100 * point.gained:.2f} %")
        table.add_row(f"{point.share:.2f}", *(number(value) for value in point.summary.values()), *flips)
    console().print(table)
    console().print(
        f"Lost: queries with a hit by {first.id} and none by the mixture. This is the test part: a share chosen here is optimistic.",
        markup=False,
    )
    return 0
