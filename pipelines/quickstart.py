"""``recsys quickstart``: three methods on a simulated shop log, tracked and compared. Needs no network and no file."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import shutil
import sys
from pathlib import Path

from pipelines.commands import CONFIG_EXAMPLE
from pipelines.compare import choose_metrics, comparison_table, notes
from pipelines.runs import CONFIG
from pipelines.tables import console
from pipelines.train import run_in
from recsys.comparison import LEVEL, Comparison, Entrant, compare
from recsys.data.sources import Simulated
from recsys.experiment import Experiment
from recsys.files import finite
from recsys.fit import Fit
from recsys.models import MF, Popular
from recsys.optimizers import Adam
from recsys.run import Run
from recsys.run_folder import new_folder, writable
from recsys.sampling import TopK, Uniform
from recsys.splitting import GlobalTime

GROUP = "quickstart"
DONE_BY = {
    "popular": "the same, most clicked items for everybody",
    "mf-uniform": "matrix factorisation, learning from items drawn at random as negatives",
    "mf-topk": "matrix factorisation, learning from the hardest of 8 items drawn",
}


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
    three = experiments()
    print("data: a shop log simulated here, split in time", file=sys.stderr)
    for experiment in three.values():  # before the runs, whose times shall compare
        experiment.prepare()
    done = {name: one(name, experiment, args.runs, tracking) for name, experiment in three.items()}
    runs = list(done.values())
    if args.json:
        results = [{"run": run.id, "metrics": run.metrics, "seconds": round(run.seconds, 3)} for run in runs]
        print(json.dumps(finite({"runs": results})))
        return 0
    entrants = [Entrant(name, (run,)) for name, run in done.items()]
    found = compare(entrants, choose_metrics(entrants, None))
    out = console()
    out.print(comparison_table(found))
    for line in [*notes(found), "", *explanation(found)]:
        out.print(line, markup=False)
    out.print("", *next_steps(runs, tracking), sep="\n", soft_wrap=True, markup=False)
    return 0


def one(name: str, experiment: Experiment, runs: Path, tracking: str) -> Run:
    """Run one experiment in a new folder."""
    print(f"{name}: {DONE_BY.get(name, type(experiment.model).__name__)}", file=sys.stderr)
    folder = new_folder(runs, f"{GROUP}-{name}", experiment.fingerprint())
    return run_in(folder, experiment, group=GROUP, tracking=tracking)


def explanation(found: Comparison) -> list[str]:
    """What was compared, and what the numbers say about the best, in a few sentences."""
    facts = found.baseline.runs[0].about["data"]["report"]
    metric = found.metrics[-1]
    groups = found.groups[metric]
    names = [entrant.name for entrant in found.entrants]
    first, *others = groups.order
    sure = [names[other] for other in others if groups.p[first, other] < 1 - LEVEL]
    unsure = [names[other] for other in others if names[other] not in sure]
    verdict = [f"its lead over {' and '.join(sure)} is more than chance among test users explains (p < 0.05)"] if sure else []
    verdict += [f"it cannot be told from {' and '.join(unsure)} with this many test users"] if unsure else []
    return [
        f"What was compared: {len(names)} recommenders learnt from the same simulated shop log ({facts['events']:,} clicks of "
        f"{facts['owners']:,} users on {facts['items']:,} items), and each was asked what the users click later. Recall is the share of "
        "those clicks that is in the list; ndcg counts a hit near the top of the list for more.",
        f"What the table says: {names[first]} has the best {metric}; {', and '.join(verdict)}. Other seeds or other data may order them "
        "otherwise.",
    ]


def next_steps(runs: list[Run], tracking: str) -> list[str]:
    """Commands to go on with."""
    last = runs[-1]
    recsys = "recsys" if shutil.which("recsys") else shlex.quote(str(Path(sys.executable).with_name("recsys")))
    lines = [
        "Next:",
        f"  what it recommends:       {recsys} recommend {last.folder} --user {last.owners[0]}",
        f"  another sampler or loss:  {recsys} train {last.folder / CONFIG} --sampler=Popularity --loss=Softmax",
    ]
    if Path(CONFIG_EXAMPLE).is_file():
        lines.append(f"  on real data:             {recsys} train {CONFIG_EXAMPLE}")
    if tracking == "mlflow":
        lines.insert(1, f"  all curves and numbers:   {ui_command()}")
    return lines


def ui_command() -> str:
    """The command that opens the MLflow UI on the store that was used, from whichever folder."""
    from recsys.tracking import MLflowTracker

    store = MLflowTracker(experiment=GROUP, run_name=GROUP).store
    return shlex.join([str(Path(sys.executable).with_name("mlflow")), "ui", "--backend-store-uri", store])
