"""``recsys register``: a plan that is frozen before its first run."""

from __future__ import annotations

import argparse
import json

from pipelines import yaml_text
from pipelines.config import load
from pipelines.tables import console
from recsys.errors import ConfigError
from recsys.experiment import Experiment
from recsys.ledger import Ledger
from recsys.metrics import metric
from recsys.plan import Plan, register


def register_plan(args: argparse.Namespace) -> int:
    """Check a plan and its configs, and enter it in the ledger of their data."""
    plan = Plan.read(yaml_text.read(args.plan), str(args.plan))
    experiments = {name: load(args.plan.parent / name) for name in plan.all_methods}
    decides = metric(plan.metric).name
    for name, experiment in experiments.items():
        experiment.check()
        if decides not in (there := [m.name for m in experiment.evaluation.measures()]):
            raise ConfigError(f"{args.plan}: {name} does not measure {decides}; it has {', '.join(there)}")
    entry = register(plan, {name: e.identity() for name, e in experiments.items()}, ledger_of(experiments))
    if args.json:
        print(json.dumps({"registered": entry.at, "seal": entry.seal}))
    else:
        runs = len(plan.all_methods) * len(plan.seeds)
        console().print(f"Registered {entry.at} with {runs} runs to come; seal {entry.seal}.", markup=False, soft_wrap=True)
    return 0


def ledger_of(experiments: dict[str, Experiment]) -> Ledger:
    """The ledger of the data that all of them are tested on.

    Raises:
        ConfigError: they are tested on different data.
    """
    found = {name: experiment.prepare().fingerprint for name, experiment in experiments.items()}
    (first, one), *others = found.items()
    for name, fingerprint in others:
        if fingerprint != one:
            raise ConfigError(f"{first} and {name} are tested on different data or splits; the methods of a plan need the same")
    return Ledger(one)
