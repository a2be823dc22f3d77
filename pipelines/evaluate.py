"""``recsys evaluate``: the test part again, for a stored run."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines import yaml_text
from pipelines.config import resolve_option
from pipelines.runs import experiment_of, load_runs
from pipelines.tables import console, number, plain_table, with_interval
from recsys import foreign
from recsys.catalog import Catalog
from recsys.errors import RunError
from recsys.evaluation import Evaluated, batch_means
from recsys.evaluation import evaluate as measure
from recsys.files import finite
from recsys.ledger import Ledger
from recsys.propensity import Propensity
from recsys.run import Run
from recsys.unbiased import Gain, Unbiased, estimate, gains, pairs, propensities

if TYPE_CHECKING:
    from recsys.data.log import Fold
    from recsys.experiment import Experiment


def evaluate(args: argparse.Namespace) -> int:
    """Measure a stored run on its test part and print the numbers; the run itself is left as it is."""
    if args.lists is not None:
        from pipelines.given_lists import evaluate_lists

        return evaluate_lists(args)
    if args.name is not None:
        raise RunError("--name keeps lists that are given with --lists; a stored run has a name")
    (run,) = load_runs([args.run], args.runs)
    measured, fold = evaluated_again(run, args.metrics)
    show(args, run.id, measured, fold, seed=int(run.about["spec"]["seed"]))
    return 0


def show(args: argparse.Namespace, name: str, measured: Evaluated, fold: Fold, *, seed: int, remarks: Sequence[str] = ()) -> None:
    """Print what was measured on a fold, as a table or as JSON, and beside it what the options ask for."""
    batched = batch_means(measured.per_query, args.batches_of) if args.batches_of is not None else {}
    theirs = {} if args.as_library is None else as_library(args.as_library, measured, fold)
    estimates = {} if args.unbiased is None else unbiased(args.unbiased, args.clip, measured, fold)
    if args.json:
        ours = {f"test/{metric}": value for metric, value in {**measured.summary, **batched}.items()}
        more = ({args.as_library: theirs} if theirs else {}) | {metric: asdict(found) for metric, found in estimates.items()}
        print(json.dumps(finite({"run": name, "metrics": ours} | more)))
        return
    console().print(evaluated_table(name, measured, batched, seed=seed))
    for line in remarks:
        console().print(line, markup=False)
    if theirs:
        print_theirs(args.as_library, theirs)
    if estimates:
        print_unbiased(args.unbiased, estimates)


def evaluated_again(run: Run, metrics: list[str] | None = None) -> tuple[Evaluated, Fold]:
    """The test part of a stored run, measured with other metrics, or with those of the run; and what it was measured on.

    Raises:
        ConfigError: an unknown metric.
        RunError: the data are not those the run was tested on.
    """
    experiment = experiment_of(run)
    evaluation = experiment.evaluation.with_metrics(metrics)
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


class Exposure:
    """How likely a relevant item is to be observed, as the command line states it."""

    def __init__(self, *, propensity: Propensity) -> None:
        self.propensity = propensity


def unbiased(text: str, clip: float, measured: Evaluated, fold: Fold) -> dict[str, Unbiased]:
    """Recall and DCG at every k of a measured recall or ndcg, as if all relevant items had been observed.

    Raises:
        ConfigError: ``text`` names no propensity.
        RunError: neither recall nor ndcg was measured, or the clip is no probability.
    """
    propensity: Propensity = resolve_option({"propensity": yaml_text.parse(text)}, "propensity", root=Exposure)
    propensity.setup(Catalog(fold.train))
    holdout = fold.holdouts["test"]
    theta, (query, _) = propensities(propensity, holdout, fold.train), pairs(holdout)
    found: dict[str, Unbiased] = {}
    for name in measured.summary:
        kind, _, k = name.partition("@")
        if kind in ("recall", "ndcg") and k.isdigit():
            gain: Gain = "recall" if kind == "recall" else "dcg"
            try:
                found[f"{gain}@{k}"] = estimate(gains(measured.lists, holdout, int(k), gain), theta, query, clip=clip)
            except ValueError as error:
                raise RunError(f"--unbiased {text}: {error}") from None
    if not found:
        raise RunError("--unbiased estimates recall and dcg, and neither recall nor ndcg is among the metrics; add --metrics recall@20")
    return found


def print_unbiased(text: str, estimates: Mapping[str, Unbiased]) -> None:
    """A table of estimates."""
    table = plain_table(f"if all relevant items had been observed ({text})", "metric", "naive", "snips", "clipped", "ips, a query", "worth")
    for name, found in estimates.items():
        cells = (with_interval(each) for each in (found.naive, found.snips, found.clipped, found.ips))
        table.add_row(name, *cells, f"{found.effective:,.0f} of {found.pairs:,}")
    console().print(table)
    first = next(iter(estimates.values()))
    said = "Pairs are pooled, so that naive recall is not the mean over queries above. Worth: equally weighted pairs."
    console().print(said, *([f"Attention: {first.warning}."] if first.warning else []), markup=False)


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
    intervals = measured.intervals(seed)
    for metric, value in measured.summary.items():
        within = f"{number(intervals[metric].low)} to {number(intervals[metric].high)}" if metric in intervals else ""
        table.add_row(metric, number(value), within)
    for metric, value in batched.items():
        table.add_row(metric, number(value), "mean of batch means")
    return table
