"""``recsys evaluate --lists``: lists from any other program, judged by the same rules."""

from __future__ import annotations

import argparse
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.config import load
from pipelines.evaluate import as_library, evaluated_table, print_theirs
from pipelines.runs import experiment_of, load_runs
from pipelines.tables import console
from recsys import environment, files
from recsys.data.log import Fold, Prepared
from recsys.errors import RunError
from recsys.evaluation import Evaluated, Evaluation, batch_means
from recsys.evaluation import evaluate_lists as measure
from recsys.experiment import Experiment
from recsys.ledger import Ledger
from recsys.lists import lists_of
from recsys.part import fingerprint, knobs
from recsys.run_folder import LISTS, QUERIES, RUN, RunFolder
from recsys.slices import described
from recsys.statistics import interval


def evaluate_lists(args: argparse.Namespace) -> int:
    """Measure the lists in a file on the test part of a run or of a config; with ``--name`` keep them as a run that can be compared."""
    experiment = load(Path(args.run)) if str(args.run).endswith((".yaml", ".yml")) else experiment_of(*load_runs([args.run], args.runs))
    evaluation = experiment.evaluation
    if args.metrics:
        evaluation = Evaluation(**(knobs(evaluation) | {"metrics": args.metrics}))
    folder = None if args.name is None else args.runs / args.name
    if folder is not None and (folder / RUN).exists():
        raise RunError(f"the run {args.name!r} exists already ({folder}); choose another --name")
    table = read(args.lists)
    data = experiment.prepare()
    fold = experiment.tested(experiment.with_noise(data))
    train, holdout = fold.train, fold.holdouts["test"]
    lists = lists_of(table, holdout, fold.items)
    measured = measure(lists, holdout, counts=train.counts, owner_kind=train.owner_kind, evaluation=evaluation, train=train)
    if folder is not None:
        keep(folder, args.lists, experiment, evaluation, data, fold, measured)
    name = args.name or args.lists.name
    batched = batch_means(measured.per_query, args.batches_of) if args.batches_of is not None else {}
    theirs = {} if args.as_library is None else as_library(args.as_library, measured, fold)
    if args.json:
        ours = {f"test/{metric}": value for metric, value in {**measured.summary, **batched}.items()}
        print(json.dumps(files.finite({"run": name, "metrics": ours} | ({args.as_library: theirs} if theirs else {}))))
        return 0
    console().print(evaluated_table(name, measured, batched, seed=experiment.seed))
    for line in remarks(measured):
        console().print(line, markup=False)
    if theirs:
        print_theirs(args.as_library, theirs)
    return 0


def read(path: Path) -> pl.DataFrame:
    """The table in a file.

    Raises:
        RunError: it cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"--lists {path} cannot be read as Parquet, CSV or TSV: {error}") from None


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


def keep(
    folder: Path, source: Path, experiment: Experiment, evaluation: Evaluation, data: Prepared, fold: Fold, measured: Evaluated
) -> None:
    """Leave what a run leaves, but for a model."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    spec: dict[str, Any] = {
        name: value for name, value in experiment.spec().items() if name in ("data", "clean", "split", "seed", "split_seed")
    }
    spec |= {"lists": {"file": source.name, "sha256": digest}}
    identity, method = fingerprint(spec), f"lists of {source.name}"
    split = fingerprint({"split": experiment.split, "clean": list(experiment.clean), "seed": experiment.split_seed})
    columns = [name for name in measured.summary if name in measured.per_query.columns]
    spans = {f"test/{name}": interval(measured.per_query[name], seed=experiment.seed) for name in columns}
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
                "data": {"fingerprint": data.fingerprint, "split_fingerprint": split, "report": data.report},
                "metrics": {f"test/{name}": value for name, value in measured.summary.items()},
                "facts": {"test": measured.facts},
                "intervals": {name: [span.low, span.high] for name, span in spans.items()},
                "ledger": {"tested": seal},
                "seconds": 0.0,
                "peak_rss_mb": None,
            }
        )
