"""``recsys evaluate``: the test part again, for a stored run."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipelines.runs import experiment_of, load_runs
from pipelines.tables import console, number, plain_table
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
    (run,) = load_runs([args.run], args.runs)
    measured = evaluated_again(run, args.metrics)
    batched = batch_means(measured.per_query, args.batches_of) if args.batches_of is not None else {}
    if args.json:
        print(json.dumps(finite({"run": run.id, "metrics": {f"test/{k}": v for k, v in {**measured.summary, **batched}.items()}})))
    else:
        console().print(_table(run, measured, batched))
    return 0


def evaluated_again(run: Run, metrics: list[str] | None = None) -> Evaluated:
    """The test part of a stored run, measured with other metrics, or with those of the run.

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
    train = fold.train
    holdout = fold.holdouts["test"]
    return measure(run.recommender, holdout, counts=train.counts, owner_kind=train.owner_kind, evaluation=evaluation, train=train)


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


def _table(run: Run, measured: Evaluated, batched: dict[str, float]) -> Any:
    table = plain_table(f"{run.id}, test", "metric", "value", "95 % interval")
    for name, value in measured.summary.items():
        within = ""
        if name in measured.per_query.columns:
            found = interval(measured.per_query[name], seed=int(run.about["spec"]["seed"]))
            within = f"{number(found.low)} to {number(found.high)}"
        table.add_row(name, number(value), within)
    for name, value in batched.items():
        table.add_row(name, number(value), "mean of batch means")
    return table
