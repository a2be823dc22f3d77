"""``recsys evaluate``: the test part again, for a stored run."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.runs import experiment_of, load_runs
from pipelines.tables import console, number, plain_table
from recsys import foreign
from recsys.errors import RunError
from recsys.evaluation import Evaluated, Evaluation, batch_means
from recsys.evaluation import evaluate as measure
from recsys.files import finite
from recsys.ledger import Ledger
from recsys.part import knobs
from recsys.run import Run
from recsys.statistics import interval

if TYPE_CHECKING:
    from recsys.data.log import Fold
    from recsys.experiment import Experiment


def evaluate(args: argparse.Namespace) -> int:
    """Measure a stored run on its test part and print the numbers; the run itself is left as it is."""
    if args.lists is not None:
        from pipelines.given_lists import evaluate_lists

        return evaluate_lists(args)
    (run,) = load_runs([args.run], args.runs)
    measured, fold = evaluated_again(run, args.metrics)
    batched = batch_means(measured.per_query, args.batches_of) if args.batches_of is not None else {}
    theirs = {} if args.as_library is None else as_library(args.as_library, measured, fold)
    if args.json:
        ours = {f"test/{name}": value for name, value in {**measured.summary, **batched}.items()}
        print(json.dumps(finite({"run": run.id, "metrics": ours} | ({args.as_library: theirs} if theirs else {}))))
        return 0
    console().print(evaluated_table(run.id, measured, batched, seed=int(run.about["spec"]["seed"])))
    if theirs:
        print_theirs(args.as_library, theirs)
    return 0


def evaluated_again(run: Run, metrics: list[str] | None = None) -> tuple[Evaluated, Fold]:
    """The test part of a stored run, measured with other metrics, or with those of the run; and what it was measured on.

    Raises:
        ConfigError: an unknown metric.
        RunError: the data are not those the run was tested on.
    """
    experiment = experiment_of(run)
    evaluation = experiment.evaluation
    if metrics:
        evaluation = Evaluation(**(knobs(evaluation) | {"metrics": metrics}))
    fold = test_part(run, experiment)
    looked_at(run, experiment, evaluation.metrics)
    train, holdout = fold.train, fold.holdouts["test"]
    found = measure(run.recommender, holdout, counts=train.counts, owner_kind=train.owner_kind, evaluation=evaluation, train=train)
    return found, fold


def as_library(library: str, measured: Evaluated, fold: Fold) -> dict[str, float]:
    """The same lists under another library's definitions, at every k that was measured.

    Raises:
        ConfigError: an unknown library.
        RunError: not the catalogue was ranked.
    """
    if measured.facts["among"] != "catalogue":
        raise RunError("--as: other libraries rank the catalogue, and these lists are of the items that were shown; leave it out")
    holdout = fold.holdouts["test"]
    given = foreign.Given.of(measured.lists, holdout, fold.train.counts)
    depths = sorted({int(name.partition("~")[0].rpartition("@")[2]) for name in measured.summary})
    return {name: value for k in depths for name, value in foreign.values(library, given, k).items()}


def print_theirs(library: str, theirs: dict[str, float]) -> None:
    """A table of another library's numbers, and what they mean."""
    table = plain_table(f"as {library} reports it", "metric", "value")
    for name, value in theirs.items():
        table.add_row(name, number(value))
    console().print(table)
    console().print(" ".join(foreign.definition(library).split()), markup=False)


def test_part(run: Run, experiment: Experiment) -> Fold:
    """What the run was tested on.

    Raises:
        RunError: the data are not those any more.
    """
    data = experiment.prepare()
    if data.fingerprint != run.about["data"]["fingerprint"]:
        raise RunError(f"the data have changed since {run.id} was tested; its numbers cannot be made again, train it anew")
    return experiment.tested(experiment.with_noise(data))


def looked_at(run: Run, experiment: Experiment, metrics: Sequence[str]) -> None:
    """Say so in the ledger of the data."""
    known = {"run": run.about["name"], "started": run.about["started"], "config": experiment.identity(), "seed": experiment.seed}
    try:
        Ledger(run.about["data"]["fingerprint"]).add("evaluated", **known, method=experiment.method(), metrics=list(metrics))
    except OSError as error:
        warnings.warn(f"this look at the test part is not in the ledger of its data: {error}", stacklevel=2)


def evaluated_table(name: str, measured: Evaluated, batched: dict[str, float], *, seed: int) -> Any:
    """The metrics with their intervals; ``batched``: means of batch means."""
    table = plain_table(f"{name}, test", "metric", "value", "95 % interval")
    for metric, value in measured.summary.items():
        within = ""
        if metric in measured.per_query.columns:
            found = interval(measured.per_query[metric], seed=seed)
            within = f"{number(found.low)} to {number(found.high)}"
        table.add_row(metric, number(value), within)
    for metric, value in batched.items():
        table.add_row(metric, number(value), "mean of batch means")
    return table
