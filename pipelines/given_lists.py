"""``recsys evaluate --lists``: lists from any other program, judged by the same rules."""

from __future__ import annotations

import argparse
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.config import load
from pipelines.evaluate import show
from pipelines.runs import experiment_of, load_runs, read_table
from recsys import environment, files
from recsys.data.log import Fold, Prepared
from recsys.errors import RunError
from recsys.evaluation import Evaluated
from recsys.evaluation import evaluate_lists as measure
from recsys.experiment import Experiment
from recsys.ledger import Ledger
from recsys.lists import lists_of
from recsys.part import fingerprint
from recsys.run_folder import LISTS, QUERIES, RUN, RunFolder
from recsys.slices import described


def evaluate_lists(args: argparse.Namespace) -> int:
    """Measure the lists in a file on the test part of a run or of a config; with ``--name`` keep them as a run that can be compared."""
    experiment = load(Path(args.run)) if str(args.run).endswith((".yaml", ".yml")) else experiment_of(*load_runs([args.run], args.runs))
    evaluation = experiment.evaluation.with_metrics(args.metrics)
    folder = None if args.name is None else args.runs / args.name
    if folder is not None and (folder / RUN).exists():
        raise RunError(f"the run {args.name!r} exists already ({folder}); choose another --name")
    table = read_table(args.lists, "--lists")
    data = experiment.prepare()
    fold = experiment.tested(experiment.with_noise(data))
    train, holdout = fold.train, fold.holdouts["test"]
    lists = lists_of(table, holdout, fold.items)
    measured = measure(lists, holdout, counts=train.counts, owner_kind=train.owner_kind, evaluation=evaluation, train=train)
    if folder is not None:
        keep(folder, args.lists, experiment, data, fold, measured)
    show(args, args.name or args.lists.name, measured, fold, seed=experiment.seed, remarks=remarks(measured))
    return 0


def remarks(measured: Evaluated) -> list[str]:
    """What must be known of the lists before their numbers are believed."""
    facts, lines = measured.facts, []
    if facts["short_lists"]:
        short = f"{facts['short_lists']:,} of {facts['queries']:,} lists"
        lines.append(f"{short} are shorter than the deepest metric looks: their missing ranks are misses.")
    if facts["mask_seen"] and facts["seen_share"]:
        lines.append(
            f"{100 * facts['seen_share']:.1f} % of the recommended items are in the query's own history. Runs of ours may not recommend "
            "these (mask_seen), so the ranks they take here are lost."
        )
    return lines


def keep(folder: Path, source: Path, experiment: Experiment, data: Prepared, fold: Fold, measured: Evaluated) -> None:
    """Leave what a run leaves, but for a model."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    spec: dict[str, Any] = {
        name: value for name, value in experiment.spec().items() if name in ("data", "clean", "split", "seed", "split_seed")
    }
    spec |= {"lists": {"file": source.name, "sha256": digest}}
    identity, method = fingerprint(spec), f"lists of {source.name}"
    started = datetime.now(UTC).isoformat(timespec="microseconds")
    known = {"run": folder.absolute().name, "started": started, "seed": experiment.seed, "config": identity, "method": method}
    seal = Ledger(data.fingerprint).add("tested", **known).seal
    place = RunFolder(folder)
    with place.locked():
        measured.write(folder / "test.parquet")
        measured.write_lists(folder / LISTS)
        files.replace(folder / QUERIES, described(fold.holdouts["test"], fold.train.counts).write_parquet)
        files.replace(folder / "items.parquet", pl.DataFrame({"item": fold.items}).write_parquet)
        place.write_about(
            {
                "format": 1,
                "status": "finished",
                "started": started,
                "spec": spec,
                "fingerprint": identity,
                "identity": identity,
                "method": method,
                "name": folder.absolute().name,
                "environment": environment.facts(),
                "data": {"fingerprint": data.fingerprint, "split_fingerprint": experiment.split_fingerprint(), "report": data.report},
                "metrics": {f"test/{name}": value for name, value in measured.summary.items()},
                "facts": {"test": measured.facts},
                "intervals": {f"test/{name}": [x.low, x.high] for name, x in measured.intervals(experiment.seed).items()},
                "ledger": {"tested": seal},
                "seconds": 0.0,
                "peak_rss_mb": None,
            }
        )
