"""``recsys train`` and ``recsys config``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import yaml_text
from pipelines.commands import UsageError

if TYPE_CHECKING:
    from recsys.experiment import Experiment, Run


def train(args: argparse.Namespace) -> int:
    """Check the config, train, evaluate, and print what came out."""
    experiment = experiment_of(args)
    if experiment is None:
        return 0
    from pipelines.progress import progress_for
    from pipelines.run_folders import check_name, make_tracker, new_folder, resumed_folder, usable

    experiment.check()
    usable(args.runs)
    name = check_name(args.name) if args.name else derived_name(args.config, experiment)
    place = resumed_folder if args.resume else new_folder
    folder = place(args.runs, name, given=args.name is not None)
    tracker = make_tracker(args.tracking, folder, experiment=args.config.stem)
    try:
        with progress_for(sys.stderr) as progress:
            run = experiment.run(folder, tracker=tracker, progress=progress, resume=args.resume)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"To go on: {resume_command(args)}") from None
    if args.json:
        print(result_line(run))
    else:
        report(run)
    return 0


def show_config(args: argparse.Namespace) -> int:
    """Check a config and print it in canonical form."""
    experiment = experiment_of(args)
    if experiment is None:
        return 0
    from pipelines.config import dump

    experiment.check()
    print(dump(experiment), end="")
    return 0


def experiment_of(args: argparse.Namespace) -> Experiment | None:
    """The experiment of a config file and overrides; None after help on a part was printed.

    Raises:
        UsageError: no config file is given.
        ConfigError: it cannot be built.
    """
    tree: dict[str, Any] = {} if args.config is None else yaml_text.read(args.config)  # before anything slow is imported
    for key, value in args.overrides:
        if key.endswith(".help"):
            from pipelines.component_help import component_help

            print(component_help(tree, key.removesuffix(".help"), value))
            return None
    if args.config is None:
        raise UsageError("give a config file, such as configs/movielens-small/mf-bpr.yaml")
    from pipelines.config import resolve

    found = resolve(tree, args.overrides)
    for note in found.notes:
        print(f"recsys: note: {note}", file=sys.stderr)
    experiment: Experiment = found.experiment
    return experiment


def derived_name(config: Path, experiment: Experiment) -> str:
    """A run without a name of its own is called after its file and its settings, so that the same command finds it again."""
    from recsys.part import fingerprint

    stem = config.parent.name.rpartition("-")[0] or config.parent.name if config.name == "config.yaml" else config.stem
    return f"{stem}-{fingerprint(experiment)[:8]}"


def resume_command(args: argparse.Namespace) -> str:
    """The command that continues what was interrupted."""
    import shlex

    parts = ["recsys", "train", str(args.config), *(f"--{key}={value}" for key, value in args.overrides)]
    parts += ["--name", args.name] if args.name else []
    parts += ["--runs", str(args.runs)] if args.runs != Path("runs") else []
    parts += ["--tracking", args.tracking] if args.tracking else []
    return shlex.join([*parts, *(["--json"] if args.json else []), "--resume"])


def result_line(run: Run) -> str:
    """One line of JSON."""
    return json.dumps({"run": run.id, "metrics": run.metrics, "seconds": round(run.seconds, 3), "peak_rss_mb": run.peak_rss_mb})


def report(run: Run) -> None:
    """A table of the metrics with their intervals, and where things lie."""
    from pipelines.run_folders import CONFIG
    from pipelines.tables import console, duration, number, plain_table, with_interval
    from recsys.statistics import interval

    values = test_values(run.folder)
    names = list(dict.fromkeys(key.partition("/")[2] for key in run.metrics))
    table = plain_table(f"{run.name}: {duration(run.seconds)}, {run.peak_rss_mb:,.0f} MB at most", "metric", "validation", "test [95 % interval]")
    for name in names:
        valid, test = run.metrics.get(f"valid/{name}", float("nan")), run.metrics.get(f"test/{name}", float("nan"))
        table.add_row(name, number(valid), with_interval(interval(values[name])) if name in values else number(test))
    out = console()
    out.print(table)
    out.print("The interval is over queries, by the bootstrap; it leaves out what another seed would change.")
    out.print(f"run {run.id}: {run.folder} (config: {CONFIG}, values of each query: test.parquet)", soft_wrap=True)
    out.print(f"compare: recsys compare {run.folder} ANOTHER_RUN", soft_wrap=True)


def test_values(folder: Path) -> dict[str, Any]:
    """The per-query test values of a run by metric name; empty when it has none."""
    import polars as pl

    path = folder / "test.parquet"
    if not path.is_file():
        return {}
    frame = pl.read_parquet(path)
    return {name: frame[name].to_numpy() for name in frame.columns if "@" in name}
