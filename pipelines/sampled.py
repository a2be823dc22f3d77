"""``recsys sampled``: what sampled metrics would have said of stored runs."""

from __future__ import annotations

import argparse
import json

from pipelines.evaluate import looked_at, test_part
from pipelines.runs import experiment_of, load_runs
from pipelines.tables import console, number, plain_table
from recsys.errors import RunError
from recsys.evaluation import mean
from recsys.files import finite
from recsys.metrics import Metric, expected_sampled, metric
from recsys.ranks import full_ranks


def sampled(args: argparse.Namespace) -> int:
    """For each run the exact value of a metric and its expectation with fewer candidates, from the ranks of the relevant items."""
    chosen = metric(args.metric)
    if not isinstance(chosen, Metric):
        raise RunError(
            f"--metric {args.metric}: it must be a metric of each query, such as ndcg@10, and not one of all lists or of samples"
        )
    runs = load_runs(args.run, args.runs)
    found: dict[str, list[float]] = {}
    for run in runs:
        experiment = experiment_of(run)
        fold = test_part(run, experiment)
        looked_at(run, experiment, [f"{chosen.name}~uniform{n}" for n in args.num])
        masks = experiment.evaluation.masks(fold.train.owner_kind)
        ranks = full_ranks(run.recommender, fold.holdouts["test"], fold.train.num_items, mask_seen=masks)
        found[run.id] = [mean(expected_sampled(chosen, ranks, n)) for n in (None, *args.num)]
    names = [chosen.name, *(f"{chosen.name}~uniform{n}" for n in args.num)]
    if args.json:
        print(json.dumps(finite({name: dict(zip(names, values, strict=True)) for name, values in found.items()})))
        return 0
    table = plain_table("what fewer candidates would have said", "run", *names)
    for name, values in found.items():
        table.add_row(name, *(number(value) for value in values))
    console().print(table)
    for line in swaps(found, names):
        console().print(line, markup=False)
    return 0


def swaps(found: dict[str, list[float]], names: list[str]) -> list[str]:
    """Which runs change places, a sentence for each number of candidates."""
    lines = []
    for at, name in enumerate(names[1:], 1):
        pairs = [f"{a} over {b}" for a in found for b in found if found[a][0] < found[b][0] and found[a][at] > found[b][at]]
        if pairs:
            lines.append(f"{name} would put {', '.join(pairs)}, against the exact order.")
    return lines or ["The order of the runs is the same whatever the number of candidates; their distances are not."]
