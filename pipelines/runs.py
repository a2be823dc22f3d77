"""Which folder a run lies in, and who records it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.classes import suggestion
from recsys.errors import RunError
from recsys.run_folder import RUN, find, new_folder, writable

if TYPE_CHECKING:
    import polars as pl

    from recsys.comparison import Entrant
    from recsys.experiment import Experiment
    from recsys.run import Run
    from recsys.tracking import Tracker

CONFIG, SEEDS = "config.yaml", "seeds.json"


def folder_for(experiment: Experiment, runs: Path, *, stem: str, name: str | None, resume: bool) -> Path:
    """The folder of a new run, or of the one to be continued: by its name, else the newest of the same config.

    A run that was killed before it left a trace is begun again by ``resume``, with a note.

    Raises:
        RunError: no run can be written there, or the name is taken or no plain folder name.
    """
    writable(runs)
    if name is not None:
        return _named(runs, name, resume)
    fingerprint = experiment.fingerprint()
    found = find(runs, fingerprint) if resume else []
    if resume and not found:
        print(f"recsys: note: nothing to resume: no run in {runs} has this config; it is begun now", file=sys.stderr)
    return found[0] if found else new_folder(runs, stem, fingerprint)


def _named(runs: Path, name: str, resume: bool) -> Path:
    if not re.fullmatch(r"\w[\w.+@-]*", name):
        raise RunError(f"--name {name!r} is not allowed; allowed are letters, digits and _ . + @ - (it names a folder)")
    if len(name.encode()) > 200:
        raise RunError(f"--name has {len(name):,} letters; it names a folder, which takes up to 200")
    folder = runs / name
    there = (folder / RUN).exists()
    if there and not resume:
        raise RunError(f"the run {name!r} exists already ({folder}); continue it with --resume, or choose another --name")
    if resume and not there:
        missing = f"nothing to resume: no run {name!r} in {runs}; it is begun now"
        print(f"recsys: note: {missing}{suggestion(name, names_in(runs))}", file=sys.stderr)
    return folder


def find_run(run: str, runs: Path) -> Path:
    """The folder of a stored run, given by its path, its name, or its id in MLflow.

    Raises:
        RunError: there is none.
    """
    for folder in (Path(run), runs / run):
        if (folder / RUN).is_file():
            return folder
    from recsys.tracking.mlflow_runs import fetch, is_run_id

    if is_run_id(run):
        return fetch(run)
    names = names_in(runs)
    there = f"{runs} has {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}" if names else f"{runs} has none"
    raise RunError(f"no run at {run!r}; give the folder of a run or its name below --runs ({there}){suggestion(run, names)}")


def load_runs(names: Sequence[str], runs: Path) -> list[Run]:
    """Finished runs, by path or name; classes of the user's own are found from the current folder."""
    from pipelines.classes import see_current_folder
    from recsys.run import load

    see_current_folder()
    return [load(find_run(name, runs)) for name in names]


def entrants_of(names: Sequence[str], runs: Path) -> list[Entrant]:
    """Methods to compare: runs, and folders of several seeds, by path or name.

    Raises:
        RunError: there is none of that name, or two have the same.
    """
    from pipelines.classes import see_current_folder
    from pipelines.seeds import entrant
    from recsys.comparison import Entrant

    see_current_folder()
    found = []
    for name in names:
        group = next((folder for folder in (Path(name), runs / name) if (folder / SEEDS).is_file()), None)
        if group is not None:
            found.append(entrant(group))
        else:
            (run,) = load_runs([name], runs)
            found.append(Entrant(run.id, (run,)))
    if twice := sorted({one.name for one in found if sum(other.name == one.name for other in found) > 1}):
        raise RunError(f"two runs are called {twice[0]}; a comparison tells runs by their names, so name each once, or rename a folder")
    return found


def experiment_of(run: Run) -> Experiment:
    """The experiment that a stored run was made with.

    Raises:
        RunError: it cannot be made again.
    """
    from recsys.experiment import Experiment
    from recsys.part import build

    try:
        return Experiment(**build(run.about["spec"]))
    except (ValueError, TypeError) as error:
        raise RunError(f"the experiment of {run.id} cannot be made again: {error}; its classes must be importable and unchanged") from None


def read_table(path: Path, option: str) -> pl.DataFrame:
    """The table in a Parquet, CSV or TSV file that an option names.

    Raises:
        RunError: it cannot be read.
    """
    import polars as pl

    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{option} {path} cannot be read as Parquet, CSV or TSV: {error}") from None


def names_in(runs: Path) -> list[str]:
    """The names of the runs in a folder."""
    return sorted(path.parent.name for name in (RUN, SEEDS) for path in runs.glob(f"*/{name}"))


def make_tracker(kind: str | None, folder: Path, experiment: Experiment, *, group: str) -> Tracker | None:
    """The tracker that ``--tracking`` asks for; MLflow by default where MLFLOW_TRACKING_URI is set, else a file in the run's folder.

    Tags say at a glance what ran: the classes on each axis, the seed, the commit.
    """
    kind = kind or ("mlflow" if os.environ.get("MLFLOW_TRACKING_URI") else "file")
    if kind == "none":
        return None
    from recsys.tracking import FileTracker, MLflowTracker

    tags = tags_of(experiment)
    if kind == "mlflow":
        return MLflowTracker(experiment=group, run_name=folder.name, folder=folder, tags=tags)
    return FileTracker(folder, tags=tags)


def tags_of(experiment: Experiment) -> dict[str, str]:
    """What a list of runs should show."""
    from recsys.compatibility import title
    from recsys.environment import git_state

    axes = {name: getattr(experiment, name) for name in ("data", "split", "model", "sampler", "loss")}
    tags = {name: title(part) for name, part in axes.items() if part is not None} | {"seed": str(experiment.seed)}
    commit, _ = git_state()
    return tags | {"mlflow.source.name": "recsys train"} | ({"mlflow.source.git.commit": commit} if commit else {})
