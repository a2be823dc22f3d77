"""The commands of ``recsys``: their arguments, and where each is done. Imports nothing heavy."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

# The options of an experiment, in the order of a config file; known here so that a misspelt one is refused without importing torch.
ROLES = ("data", "split", "model", "sampler", "loss", "batches", "fit", "evaluation", "seed", "split_seed")

OVERRIDES = """\
Any option of the config can be given here, by its dotted path:
  --model.dim=32                     one option (the value is YAML: 3, 1e-3, true, null, '[recall@10]')
  --sampler=Uniform --sampler.num=4  another class, from its defaults; the order does not matter
  --sampler.base.num=16              an option of a part inside a part
  --sampler='{TopK: {k: 8, base: {Uniform: {num: 64}}}}'   a whole part
Options of the classes:
  --model.help                       which models there are
  --model.help=MF                    what MF takes
The parts: """ + ", ".join(ROLES)


class UsageError(Exception):
    """A command line that cannot be understood: one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; see {self.prog} --help")


Argument = tuple[tuple[str, ...], dict[str, Any]]


def argument(*names: str, **settings: Any) -> Argument:
    """The arguments of ``argparse.ArgumentParser.add_argument``, kept for later."""
    return names, settings


@dataclass
class Command:
    """A command: its help, the function that does it (``module:function``, imported only when it runs), and its arguments."""

    name: str
    help: str
    runs: str
    arguments: list[Argument] = field(default_factory=list)
    overrides: bool = False

    def parser(self) -> argparse.ArgumentParser:
        parser = _Parser(
            prog=f"recsys {self.name}",
            description=self.help,
            epilog=OVERRIDES if self.overrides else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for names, settings in self.arguments:
            parser.add_argument(*names, **settings)
        return parser

    def own(self) -> list[str]:
        """The options that are this command's own, not overrides of a config."""
        return ["--help", *(name for names, _ in self.arguments for name in names if name.startswith("-"))]


_CONFIG = argument("config", metavar="CONFIG", type=Path, nargs="?", help="a YAML file that describes an experiment")
_RUNS = argument("--runs", metavar="DIR", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")
_JSON = argument("--json", action="store_true", help="end with one line of JSON on standard output")
_RUN = argument("run", metavar="RUN", help="the folder of a run, or its name below --runs")
_TRACKING = argument(
    "--tracking",
    choices=["mlflow", "file", "none"],
    default=None,
    help="record the run in MLflow, in its folder, or not at all (default: mlflow if MLFLOW_TRACKING_URI is set, else file)",
)
_SOURCE = argument("source", metavar="SOURCE|CONFIG", nargs="?", help="a source class (MovieLens) or a config file")

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("quickstart", "train and compare three methods on a simulated shop log", "pipelines.quickstart:quickstart", [_RUNS, _JSON]),
        Command(
            "train",
            "train and evaluate the experiment in a config file",
            "pipelines.train:train",
            [
                _CONFIG,
                argument("--name", metavar="NAME", help="name of the run and of its folder (default: file name and config fingerprint)"),
                argument("--resume", action="store_true", help="continue the interrupted run of this name, or of this config"),
                _RUNS,
                _TRACKING,
                _JSON,
            ],
            overrides=True,
        ),
        Command(
            "evaluate",
            "evaluate a stored run again, with other metrics if wanted",
            "pipelines.evaluate:evaluate",
            [
                _RUN,
                argument("--metrics", metavar="NAME", nargs="+", help="metrics to compute, such as recall@50 (default: those of the run)"),
                _RUNS,
                _JSON,
            ],
        ),
        Command(
            "recommend",
            "recommend items with a stored run, to one user, one history or a file of them",
            "pipelines.recommend:recommend",
            [
                _RUN,
                argument("--user", metavar="ID", help="a user of the training data"),
                argument("--history", metavar="A,B,C", help="item ids, oldest first"),
                argument("--input", metavar="FILE", type=Path, help="Parquet with the column user, or history (lists of item ids)"),
                argument("--output", metavar="FILE", type=Path, help="Parquet to write (with --input)"),
                argument("--k", type=int, default=20, help="how many items (default: 20)"),
                _RUNS,
            ],
        ),
        Command(
            "compare",
            "compare stored runs on the same test queries, with confidence intervals",
            "pipelines.compare:compare",
            [
                argument("run", metavar="RUN", nargs="+", help="folders of runs, or their names below --runs; the first is the baseline"),
                argument("--metrics", metavar="NAME", nargs="+", help="metrics to compare (default: recall and ndcg of the runs)"),
                _RUNS,
                _JSON,
            ],
        ),
        Command(
            "config",
            "check a config and print it resolved, every option with its value",
            "pipelines.train:show_config",
            [_CONFIG],
            overrides=True,
        ),
        Command("data describe", "read a data set and print what is in it", "pipelines.data:describe", [_SOURCE, _JSON], overrides=True),
        Command(
            "data download",
            "fetch a named data set from its publisher into the cache",
            "pipelines.data:download",
            [_SOURCE],
            overrides=True,
        ),
    )
}
