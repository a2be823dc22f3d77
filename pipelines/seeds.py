"""A config with several seeds: a run for each, in one folder, and what they say together."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines import yaml_text
from pipelines.config import Override, resolve
from pipelines.runs import CONFIG, SEEDS
from pipelines.tables import console, duration, number, plain_table
from recsys import files
from recsys.comparison import Entrant
from recsys.errors import ConfigError, RunError
from recsys.run import Run, load
from recsys.run_folder import RUN
from recsys.statistics import Interval, interval_over


def seeds_of(tree: Mapping[str, Any], overrides: Sequence[Override]) -> list[int] | None:
    """The seeds, where the config or an override gives a list of them.

    Raises:
        ConfigError: they are no whole numbers, or one is there twice.
    """
    given = tree.get("seed")
    for key, text in overrides:
        if key == "seed":
            given = yaml_text.parse(text)
    if not isinstance(given, list):
        return None
    if not given or not all(isinstance(seed, int) and not isinstance(seed, bool) for seed in given) or len(set(given)) < len(given):
        raise ConfigError(f"seed: {given} is no list of different whole numbers, such as [0, 1, 2]")
    return given


def train_seeds(args: argparse.Namespace, tree: Mapping[str, Any], seeds: Sequence[int]) -> int:
    """Train with each seed in turn; finished ones are left as they are by ``--resume``."""
    from pipelines.train import run_in, stem_of

    others = [pair for pair in args.overrides if pair[0] != "seed"]
    experiments = {seed: resolve({**tree, "seed": seed}, others).experiment for seed in seeds}
    for experiment in experiments.values():
        experiment.check()
    first = experiments[seeds[0]]
    folder = args.runs / (args.name or f"{stem_of(args.config)}-{first.identity()[:6]}")
    if (folder / RUN).exists():
        raise RunError(f"{folder} holds a run already; several seeds want a folder of their own, choose another name with --name")
    if folder.exists() and not args.resume:
        raise RunError(f"{folder} is there already; continue it with --resume, or choose another name with --name")
    runs = []
    for seed, experiment in experiments.items():
        path = folder / f"seed-{seed}"
        run = run_in(path, experiment, group=stem_of(args.config), tracking=args.tracking, resume=args.resume and (path / RUN).exists())
        runs.append(run)
    together = summary(runs)
    files.write_json(folder / SEEDS, {"runs": [run.id for run in runs], **together})
    files.write_text(folder / CONFIG, (runs[0].folder / CONFIG).read_text())
    if args.json:
        print(json.dumps({"run": folder.name, **files.finite(together)}))
    else:
        report(folder, together)
    return 0


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """By test metric: the value of each seed, their mean, and intervals of it that allow for other queries, and for other seeds too."""
    found: dict[str, Any] = {}
    for name in (name for name in runs[0].metrics if name.startswith("test/")):
        each = {str(run.about["spec"]["seed"]): run.metrics[name] for run in runs}
        found[name] = {"mean": sum(each.values()) / len(each), "seeds": each}
        for over, within in intervals(runs, name.removeprefix("test/")).items():
            found[name][over] = [within.low, within.high]
    return {"identity": runs[0].about.get("identity"), "metrics": found, "seconds": sum(run.seconds for run in runs)}


def intervals(runs: Sequence[Run], metric: str) -> dict[str, Interval]:
    """ "queries": other queries, these seeds; "both": other seeds too. None of a metric that is not measured for each query."""
    if metric not in runs[0].per_query.columns:
        return {}
    table = [run.per_query[metric].to_numpy() for run in runs]
    if len({len(values) for values in table}) > 1:
        return {}  # each seed has a split of its own
    over = {"queries": interval_over("queries", table)}
    return over | ({"both": interval_over("both", table)} if len(runs) > 1 else {})


def report(folder: Path, together: Mapping[str, Any]) -> None:
    """A table of a :func:`summary`, seed by seed and together."""
    names = [f"seed {seed}" for seed in next(iter(together["metrics"].values()))["seeds"]]
    table = plain_table(
        f"{folder.name}: {duration(together['seconds'])}", "metric", *names, "mean", "over queries", "over queries and seeds"
    )
    for name, found in together["metrics"].items():
        spans = [" to ".join(number(value) for value in found.get(over, ())) for over in ("queries", "both")]
        table.add_row(name, *(number(value) for value in found["seeds"].values()), number(found["mean"]), *spans)
    console().print(table)
    console().print(
        f"In {folder}: {SEEDS}, and a run for each seed.", "Next:", f"  recsys compare ANOTHER_RUN {folder}", sep="\n", markup=False
    )


def entrant(folder: Path) -> Entrant:
    """The runs of a folder of seeds, as one method."""
    kept = json.loads((folder / SEEDS).read_text())["runs"]
    return Entrant(folder.absolute().name, tuple(load(folder / name) for name in kept))
