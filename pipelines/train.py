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
    from recsys.experiment import Experiment
    from recsys.run import Run


def train(args: argparse.Namespace) -> int:
    """Check the config, train, evaluate, and print what came out."""
    if args.config is not None and not any(key.endswith(".help") for key, _ in args.overrides):
        from pipelines.seeds import seeds_of, train_seeds

        tree = yaml_text.read(args.config)
        if (seeds := seeds_of(tree, args.overrides)) is not None:
            return train_seeds(args, tree, seeds)
    experiment = experiment_of(args)
    if experiment is None:
        return 0
    from pipelines.runs import folder_for

    experiment.check()
    folder = folder_for(experiment, args.runs, stem=stem_of(args.config), name=args.name, resume=args.resume)
    try:
        run = run_in(folder, experiment, group=stem_of(args.config), tracking=args.tracking, resume=args.resume)
    except KeyboardInterrupt as stop:
        raise type(stop)(f"To go on: {resume_command(args)}") from None
    if args.json:
        print(result_line(run))
    else:
        report(run)
    return 0


def show_config(args: argparse.Namespace) -> int:
    """Check a config and print it in canonical form."""
    seeds = None
    if args.config is not None:
        from pipelines.seeds import seeds_of

        if (seeds := seeds_of(yaml_text.read(args.config), args.overrides)) is not None:
            args.overrides = [*(pair for pair in args.overrides if pair[0] != "seed"), ("seed", str(seeds[0]))]
    experiment = experiment_of(args)
    if experiment is None:
        return 0
    experiment.check()
    print(yaml_text.write(experiment.spec() | ({} if seeds is None else {"seed": seeds})), end="")
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


def run_in(folder: Path, experiment: Experiment, *, group: str, tracking: str | None, resume: bool = False) -> Run:
    """Run an experiment in a folder, with its resolved config beside the results.

    Raises:
        RunError: the folder cannot be written.
    """
    from pipelines.config import dump
    from pipelines.progress import progress_for
    from pipelines.runs import CONFIG, make_tracker
    from recsys.errors import RunError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(dump(experiment), encoding="utf-8")
    except OSError as error:
        raise RunError(f"the run folder {folder} cannot be written ({error.strerror}); choose another with --runs or --name") from None
    tracker = make_tracker(tracking, folder, experiment, group=group)
    with progress_for(sys.stderr, experiment.evaluation.selector) as progress:
        return experiment.run(folder, tracker=tracker, progress=progress, resume=resume)


def stem_of(config: Path) -> str:
    """What runs of a config file are called after: the file, or the run for a resolved config in its folder."""
    return config.absolute().parent.name if config.name == "config.yaml" else config.stem


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
    from pipelines.runs import CONFIG
    from pipelines.tables import console, duration, number, plain_table

    intervals = run.about.get("intervals", {})
    memory = "" if run.peak_rss_mb is None else f", {run.peak_rss_mb:,.0f} MiB at most"
    table = plain_table(f"{run.id}: {duration(run.seconds)}{memory}", "metric", "validation", "test", "95 % interval")
    for name in dict.fromkeys(key.partition("/")[2] for key in run.metrics):
        low_high = [number(value) for value in intervals.get(f"test/{name}", ())]
        valid, test = (number(run.metrics.get(f"{part}/{name}", float("nan"))) for part in ("valid", "test"))
        table.add_row(name, valid, test, " to ".join(low_high))
    out = console()
    out.print(table)
    out.print("Intervals: bootstrap over test queries. What another seed would change is not in them.")
    out.print(f"In {run.folder}: {CONFIG} (resolved), test.parquet (each query), history.jsonl (each epoch), model.pt", markup=False)
    who = "--user ID" if run.about["data"]["report"]["owner"] == "user" else "--history A,B,C"
    out.print("Next:", f"recsys recommend {run.folder} {who}", f"recsys compare {run.folder} ANOTHER_RUN", sep="\n  ", soft_wrap=True)
