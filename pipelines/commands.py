"""The commands of ``recsys``: their arguments, and where each is done. Imports nothing heavy."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

# The options of an experiment, in the order of a config file; known here so that a misspelt one is refused without importing torch.
ROLES = ("data", "clean", "split", "noise", "model", "examples", "sampler", "loss", "batches", "fit", "evaluation", "seed", "split_seed")

OVERRIDES = """\
Any option of the config can be given here, by its dotted path:
  --model.dim=32                     one option; the value is YAML
  --evaluation.metrics='[recall@10]' a list
  --sampler=Uniform --sampler.num=4  another class, from its defaults
  --sampler.base.num=16              an option of a part inside a part
  --sampler='{TopK: {k: 8, base: {Uniform: {num: 64}}}}'   a whole part
  --sampler=my_file.MySampler        a class of your own, in my_file.py here
Help on the classes:
  --model.help                       which models there are
  --model.help=MF                    what MF takes
The parts of an experiment:
""" + textwrap.fill(", ".join(ROLES), 78, initial_indent="  ", subsequent_indent="  ")

CONFIG_EXAMPLE = "configs/movielens-small/mf-bpr.yaml"


class UsageError(Exception):
    """A command line that cannot be understood: one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; see {self.prog} --help")


def in_columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Names and what they mean, in lines that fit the terminal."""
    indent = max((len(name) for name, _ in rows), default=0) + 4
    width = max(shutil.get_terminal_size().columns - 1, indent + 30)
    return ["\n".join(textwrap.wrap(f"  {name:<{indent - 4}}  {text}", width, subsequent_indent=" " * indent)) for name, text in rows]


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
    example: str = ""

    def parser(self) -> argparse.ArgumentParser:
        parser = _Parser(
            prog=f"recsys {self.name}",
            description=self.help,
            epilog="\n\n".join([f"example:\n  {self.example}"] * bool(self.example) + [OVERRIDES] * self.overrides),
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
_JSON = argument("--json", action="store_true", help="print one line of JSON on standard output instead of tables")
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
            example=f"recsys train {CONFIG_EXAMPLE} --name first --model.dim=32",
        ),
        Command(
            "evaluate",
            "evaluate a stored run again, with other metrics if wanted, or lists that another program made",
            "pipelines.evaluate:evaluate",
            [
                argument("run", metavar="RUN", help="the folder of a run, or its name below --runs; with --lists a config file too"),
                argument("--metrics", metavar="NAME", nargs="+", help="metrics to compute, such as recall@50 (default: those of the run)"),
                argument(
                    "--batches-of",
                    metavar="N",
                    type=int,
                    help="beside them the means of the means of batches of N users or sessions, which some published code reports",
                ),
                argument(
                    "--as",
                    dest="as_library",
                    metavar="LIBRARY",
                    help="beside them what another library would report of the same lists, such as recbole or rectools",
                ),
                argument(
                    "--unbiased",
                    metavar="PROPENSITY",
                    help="beside them estimates for all relevant items, not only the observed, such as '{ItemPowerLaw: {power: 0.5}}'",
                ),
                argument("--clip", metavar="P", type=float, default=0.1, help="least propensity of the clipped estimate (default: 0.1)"),
                argument(
                    "--lists",
                    metavar="FILE",
                    type=Path,
                    help="measure these lists on the test part of RUN: Parquet or CSV; user (or session, position), item, score or rank",
                ),
                argument("--name", metavar="NAME", help="keep the lists as a run of this name, to compare (with --lists)"),
                _RUNS,
                _JSON,
            ],
            example="recsys evaluate first --metrics recall@50 ndcg@50",
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
                argument("--allow", metavar="FILE", type=Path, help="recommend these only: one id a line, or Parquet with the column item"),
                argument("--deny", metavar="FILE", type=Path, help="never recommend these items"),
                _RUNS,
            ],
            example="recsys recommend first --user 7 --k 10 --deny sold-out.txt",
        ),
        Command(
            "similar",
            "the items most like some items, by a stored run",
            "pipelines.recommend:similar",
            [
                _RUN,
                argument("--item", metavar="ID", nargs="+", required=True, help="item ids"),
                argument("--k", type=int, default=10, help="how many similar items (default: 10)"),
                argument("--output", metavar="FILE", type=Path, help="write them as Parquet instead"),
                _RUNS,
            ],
            example="recsys similar first --item 47 --k 5",
        ),
        Command(
            "export",
            "write the model of a stored run as ONNX, with its ids, for a service without torch",
            "pipelines.recommend:to_onnx",
            [
                _RUN,
                argument("--output", metavar="DIR", type=Path, required=True, help="a new folder"),
                argument("--k", type=int, default=20, help="how many items the graph gives (default: 20)"),
                argument("--index", action="store_true", help="an index for approximate search too, with its measured recall"),
                _RUNS,
            ],
            example="recsys export first --output served",
        ),
        Command(
            "compare",
            "compare stored runs on the same test queries, with confidence intervals",
            "pipelines.compare:compare",
            [
                argument(
                    "run", metavar="RUN", nargs="*", help="folders of runs, names below --runs or MLflow ids; the first is the baseline"
                ),
                argument("--query", metavar="FILTER", help="and the runs that an MLflow filter finds, such as \"tags.model = 'MF'\""),
                argument("--metrics", metavar="NAME", nargs="+", help="metrics to compare (default: recall and ndcg of the runs)"),
                argument(
                    "--output", metavar="DIR", type=Path, help="write a page with plots, and tables (Markdown, CSV, Parquet) there too"
                ),
                argument(
                    "--groups", metavar="FILE", type=Path, help="Parquet or CSV: a column that identifies queries, others to slice by"
                ),
                argument("--despite", metavar="FACT", nargs="+", help="facts that may differ, such as candidates; the result says so"),
                _RUNS,
                _JSON,
            ],
            example="recsys compare first second third --metrics recall@20",
        ),
        Command(
            "interpolate",
            "measure mixtures of the weights of two versions of a model, and the queries that each loses",
            "pipelines.interpolate:interpolate",
            [
                argument("first", metavar="RUN", help="the version in use: folder of a run, or its name below --runs"),
                argument("second", metavar="RUN", help="the new version"),
                argument("--points", metavar="N", type=int, default=5, help="how many mixtures, both ends included (default: 5)"),
                argument("--metrics", metavar="NAME", nargs="+", help="metrics to compute (default: those of the first run)"),
                _RUNS,
                _JSON,
            ],
            example="recsys interpolate monday tuesday --points 5 --metrics recall@20",
        ),
        Command(
            "sampled",
            "show what metrics of sampled candidates would have said of stored runs, from the exact ranks",
            "pipelines.sampled:sampled",
            [
                argument("run", metavar="RUN", nargs="+", help="folders of runs, or their names below --runs"),
                argument("--metric", metavar="NAME", default="ndcg@10", help="the metric (default: ndcg@10)"),
                argument("--num", metavar="N", type=int, nargs="+", default=[99, 999], help="sampled candidates (default: 99 and 999)"),
                _RUNS,
                _JSON,
            ],
            example="recsys sampled first second --metric hit_rate@10 --num 99",
        ),
        Command(
            "register",
            "freeze a plan (hypothesis, metric, methods, seeds) before its first run; comparisons then tell confirmatory from exploratory",
            "pipelines.register:register_plan",
            [argument("plan", metavar="PLAN", type=Path, help="a YAML file; its methods are configs, by their path from there"), _JSON],
            example="recsys register plan.yaml",
        ),
        Command(
            "verify",
            "hold a stored run against its data, its configuration, its environment and itself; exit code 1 if something is wrong",
            "pipelines.verify:verify",
            [_RUN, _RUNS, _JSON],
            example="recsys verify first",
        ),
        Command(
            "reproduce",
            "train a stored run again in another folder and say whether it came out the same, and where the two part",
            "pipelines.verify:reproduce",
            [
                _RUN,
                argument("--name", metavar="NAME", help="name of the new run (default: that of the run, and -again)"),
                argument("--tolerance", metavar="X", type=float, default=1e-3, help="difference of test metrics (default: 0.001)"),
                argument("--resume", action="store_true", help="continue a repetition that was interrupted"),
                _RUNS,
                _TRACKING,
                _JSON,
            ],
            example="recsys reproduce first",
        ),
        Command(
            "replay",
            "look inside a training step of a run: its rows, candidates, scores, losses and gradients",
            "pipelines.replay:replay",
            [
                _RUN,
                argument("--step", metavar="N", type=int, required=True, help="which step of the epoch, from 1"),
                argument("--epoch", metavar="E", type=int, help="which epoch, from 1 (default: that of the stored weights)"),
                argument("--phase", choices=["select", "refit"], help="which training (default: that of the stored weights)"),
                argument("--exact", action="store_true", help="train again up to the step, so that every number is the run's own"),
                argument("--rows", metavar="M", type=int, default=5, help="how many rows to show (default: 5)"),
                argument("--output", metavar="FILE", type=Path, help="write all rows and candidates as Parquet there too"),
                _RUNS,
            ],
            example="recsys replay first --epoch 3 --step 10 --exact --output step.parquet",
        ),
        Command(
            "results add",
            "record finished runs (one a seed) as what a config reaches, beside the config",
            "pipelines.results:add",
            [
                argument("config", metavar="CONFIG", type=Path, help="the config that the runs were made with"),
                argument("run", metavar="RUN", nargs="+", help="folders of runs, or their names below --runs"),
                _RUNS,
            ],
            example=f"recsys results add {CONFIG_EXAMPLE} first",
        ),
        Command(
            "results table",
            "the recorded results of a folder of configs as a Markdown table",
            "pipelines.results:table",
            [
                argument("folder", metavar="DIR", type=Path, help="a folder of configs; with --into, the folder above those"),
                argument("--metrics", metavar="NAME", nargs="+", help="metrics to show (default: recall@20 and ndcg@20)"),
                argument("--into", metavar="FILE", type=Path, help="write the tables into this document, between its marks"),
            ],
            example="recsys results table configs --into README.md",
        ),
        Command(
            "config",
            "check a config and print it resolved, every option with its value",
            "pipelines.train:show_config",
            [_CONFIG],
            overrides=True,
            example=f"recsys config {CONFIG_EXAMPLE} --loss=Softmax",
        ),
        Command(
            "data describe",
            "read a data set and say what is in it: on the terminal, and as a page with plots",
            "pipelines.describe:describe",
            [
                _SOURCE,
                argument("--output", metavar="DIR", type=Path, help="write index.html and tables (Parquet) there too"),
                _JSON,
            ],
            overrides=True,
            example="recsys data describe Table --data.path=shop.csv --data.user=customer --data.item=product --output shop",
        ),
        Command(
            "data prepare",
            "read, clean, split and encode the data of a config file; a run then begins at once",
            "pipelines.data:prepare",
            [
                _CONFIG,
                argument("--verify", action="store_true", help="compare what is there with its checksums, and mend it"),
                _JSON,
            ],
            overrides=True,
            example=f"recsys data prepare {CONFIG_EXAMPLE} --verify",
        ),
        Command(
            "data audit",
            "look for leaks between training and test in the data of a config file; exit code 1 if there is one",
            "pipelines.audit:audit",
            [_CONFIG, _JSON],
            overrides=True,
            example=f"recsys data audit {CONFIG_EXAMPLE}",
        ),
        Command(
            "data download",
            "fetch a named data set from its publisher into the cache, checked",
            "pipelines.data:download",
            [_SOURCE],
            overrides=True,
            example="recsys data download MovieLens",
        ),
        Command(
            "data generate",
            "write a log of any size: sessions like OTTO's (.jsonl) or ratings (.csv)",
            "pipelines.generate:generate",
            [
                argument("file", metavar="FILE", type=Path, help="the file to write; its ending says the kind"),
                argument("--rows", metavar="N", type=int, default=1_000_000, help="how many events (default: 1000000)"),
                argument("--seed", metavar="S", type=int, default=0, help="of everything in it (default: 0)"),
                argument("--force", action="store_true", help="replace a file that is there"),
            ],
            example="recsys data generate big.jsonl --rows 20000000",
        ),
    )
}
