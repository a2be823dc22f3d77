"""``recsys quickstart``: three methods on a simulated shop log, tracked and compared. Needs no network and no file."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import sys
from pathlib import Path

from pipelines.compare import compared, comparison_table, notes
from pipelines.runs import CONFIG
from pipelines.tables import console
from pipelines.train import run_in
from recsys.data.sources import Simulated
from recsys.experiment import Experiment
from recsys.fit import Fit
from recsys.models import MF, Popular
from recsys.optimizers import Adam
from recsys.run import Run
from recsys.run_folder import new_folder, writable
from recsys.sampling import TopK, Uniform
from recsys.splitting import GlobalTime

GROUP = "quickstart"


def experiments() -> dict[str, Experiment]:
    """The three, by name: a baseline, and one model with two ways of choosing negatives. All else is equal."""
    data, split = Simulated(), GlobalTime()
    fit = Fit(epochs=10, optimizer=Adam(lr=0.01), patience=2)
    return {
        "popular": Experiment(data=data, split=split, model=Popular()),
        "mf-uniform": Experiment(data=data, split=split, model=MF(), sampler=Uniform(), fit=fit),
        "mf-topk": Experiment(data=data, split=split, model=MF(), sampler=TopK(Uniform(num=8), k=1), fit=fit),
    }


def quickstart(args: argparse.Namespace) -> int:
    """Train the three, compare them, and say how to go on."""
    tracking = "mlflow" if importlib.util.find_spec("mlflow") else "file"
    if tracking == "file":
        print("recsys: note: MLflow is not installed, so the runs are recorded in their folders only", file=sys.stderr)
    writable(args.runs)
    runs = [one(name, experiment, args.runs, tracking) for name, experiment in experiments().items()]
    rows = compared(runs)
    out = console()
    out.print(comparison_table(runs, rows))
    for line in notes(runs, rows):
        out.print(line, soft_wrap=True)
    for line in next_steps(runs, tracking):
        out.print(line, soft_wrap=True, markup=False)
    if args.json:
        print(json.dumps({"runs": [{"run": run.id, "metrics": run.metrics, "seconds": round(run.seconds, 3)} for run in runs]}))
    return 0


def one(name: str, experiment: Experiment, runs: Path, tracking: str) -> Run:
    """Run one experiment in a new folder."""
    print(f"{name}:", file=sys.stderr)
    folder = new_folder(runs, f"{GROUP}-{name}", experiment.fingerprint())
    return run_in(folder, experiment, group=GROUP, tracking=tracking)


def next_steps(runs: list[Run], tracking: str) -> list[str]:
    """Commands to go on with."""
    last = runs[-1].folder
    lines = [f"Another sampler or loss:  recsys train {last / CONFIG} --sampler=Popularity --loss=Softmax"]
    if tracking == "mlflow":
        lines.insert(0, f"All curves and numbers:   {ui_command()}")
    return lines


def ui_command() -> str:
    """The command that opens the MLflow UI on the store that was used, from whichever folder."""
    from recsys.tracking import MLflowTracker

    store = MLflowTracker(experiment=GROUP, run_name=GROUP).store
    return shlex.join([str(Path(sys.executable).with_name("mlflow")), "ui", "--backend-store-uri", store])
