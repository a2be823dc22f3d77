"""Bad input through the command line: each mistake is one line that says what to do, with exit code 2 and nothing on standard output."""

from __future__ import annotations

import errno
import importlib.util
import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines import cli
from recsys.run import Run

CONFIG = """
data: {Table: {path: good.csv, user: user, time: time, time_unit: s}}
split: GlobalTime
model: {MF: {dim: 4}}
sampler: {Uniform: {num: 2}}
fit: {epochs: 1}
evaluation: {metrics: [recall@5], select: ndcg@5}
"""
TRAIN = ("train", "shop.yaml", "--tracking", "none")
Refused = Callable[..., str]


def events() -> pl.DataFrame:
    rows = [((7 * n) % 61, (11 * n + n // 61) % 43, 1_600_000_000 + 1000 * n) for n in range(2000)]
    return pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")


@pytest.fixture(scope="module")
def shop(workplace: Path) -> Path:
    """A folder with a table, a config and a finished run, ``first``."""
    events().write_csv("good.csv")
    Path("shop.yaml").write_text(CONFIG)
    Path("a-file").write_text("in the way")
    assert cli.main([*TRAIN, "--name", "first"]) == 0
    return workplace


@pytest.fixture
def refused(shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """The one error line of a command that is refused."""
    monkeypatch.chdir(shop)

    def run(*argv: str) -> str:
        capsys.readouterr()
        code = cli.main(list(argv))
        out, err = capsys.readouterr()
        lines = [line.removeprefix("recsys: error: ") for line in err.splitlines() if line.startswith("recsys: error: ")]
        assert code == 2 and out == "" and len(lines) == 1 and "Traceback" not in err, err
        return lines[0]

    return run


GOOD = events()
TABLES: dict[str, tuple[pl.DataFrame | str | bytes, str]] = {
    "missing column": (GOOD.rename({"item": "product"}), "no column 'item' (named for item) among 'user', 'product', 'time'; say which"),
    "wrong type of ids": (GOOD.with_columns(pl.col("user") + 0.5), "column 'user' is Float64; ids through floats change silently"),
    "wrong type of time": (GOOD.with_columns(time=pl.lit("2026-01-01")), "time column 'time' is String and time_unit=s; use dates or ISO"),
    "empty file": ("", "t.csv is empty; give a file with a header and at least one event"),
    "header only": ("user,item,time\n", "t.csv has a header and nothing else: there are no events (0 rows); give at least one"),
    "wrong separator": (
        GOOD.write_csv(separator=";"),
        "t.csv has a single column 'user;item;time'; if the separator is ';', say separator=';'",
    ),
    "binary": (b"\x00\x01\x02" * 999, "t.csv is not text: it holds zero bytes; give .csv or .tsv (plain or .gz), or .parquet"),
    "no value": (GOOD.with_columns(item=pl.when(pl.col("item") > 0).then("item")), "has no value, as in"),
    "milliseconds": (GOOD.with_columns(pl.col("time") * 1000), "times lie between 1970 and 2200: check time_unit"),
    "one item": (GOOD.with_columns(item=1), "GlobalTime left no validation query of 2,000 events: of the"),
    "one event": (GOOD.head(1), "no event is earlier than the test cut"),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(refused: Refused, name: str) -> None:
    content, message = TABLES[name]
    path = Path("t.csv")
    path.write_bytes(content if isinstance(content, bytes) else (content if isinstance(content, str) else content.write_csv()).encode())
    assert message in refused(*TRAIN, "--data.path=t.csv", "--runs", "bad")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.path=absent.csv"], "no file at absent.csv; check the path (the current folder is "),
        (["--data.path=runs"], "runs is a folder; name a file, or a pattern such as runs/*.parquet"),
        (["--data.user=item"], "data: Table maps column 'item' twice; each column has one role"),
        (
            ["--data.time=null", "--split=LastN"],
            "split: LastN needs 'order' (it holds out the last events of each owner), which Table does not",
        ),
        (["--split.test=1990-01-01"], "no event is earlier than the test cut at 1990-01-01 00:00:00; the events run from 2020-09-13"),
        (["--model=mf"], "model: no Model or ClosedForm is called 'mf'; allowed: "),
        (["--model={mf: {dim: 3}}"], "SASRec, SLIM, SessionKNN, SessionPopular, SimpleX. Did you mean 'MF'?"),
        (["--model={MF: {}, Popular: {}}"], "model: MF, Popular are 2 classes, and one Model or ClosedForm is needed; choose one"),
        (["--model.dim=9" + "9" * 20], "does not fit in 64 bits; give a smaller number"),
        (["--fit.optimizer=adam"], "or the import path of an Optimizer of your own. Did you mean 'Adam'?"),
        (["--loss=./own.py"], "loss: './own.py' is no import path; write my_file.MyClass for a class in my_file.py of the current folder"),
        (["--loss=nowhere.Mine"], "loss: no class at 'nowhere.Mine': there is no module 'nowhere' here or installed; allowed: "),
        (["--name", "x" * 300], "--name has 300 letters; it names a folder, which takes up to 200"),
        (["--runs", "a-file"], "a-file is a file, so a-file cannot be a run folder; choose another with --runs"),
        (["--runs", "a-file/below"], "a-file is a file, so a-file/below cannot be a run folder; choose another with --runs"),
        (
            ["--runs", ".", "--name", "a-file"],
            "the run folder a-file cannot be written (File exists); choose another with --runs or --name",
        ),
        (["--runs", "/proc/none"], "cannot be written"),
    ],
)
def test_options(refused: Refused, options: list[str], message: str) -> None:
    assert message in refused(*TRAIN, *options)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("wrong_syntax", "def x(:\n", "importing 'wrong_syntax' failed: SyntaxError: invalid syntax ("),
        (
            "wrong_import",
            "import nonexistent_thing\n",
            "importing 'wrong_import' failed: ModuleNotFoundError: No module named 'nonexistent_thing'",
        ),
        ("wrong_exit", "raise SystemExit(3)\n", "importing 'wrong_exit' failed: SystemExit: 3 ("),
        ("wrong_name", "class Other: ...\n", "no class at 'wrong_name.Mine': module 'wrong_name' has no attribute 'Mine'; allowed: "),
        (
            "wrong_init",
            "from recsys.losses import BPR\nclass Mine(BPR):\n    def __init__(self):\n        super().__init__()\n        {}['x']\n",
            "making Mine failed: KeyError: 'x' (",
        ),
    ],
)
def test_files_of_the_user(refused: Refused, shop: Path, name: str, code: str, message: str) -> None:
    (shop / f"{name}.py").write_text(code)
    said = refused(*TRAIN, f"--loss={name}.Mine")
    assert message in said
    if " failed: " in said:
        assert f"{shop / name}.py:" in said, "the line of the user's file is named"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{[a]: 1}\n", "line 1: a list or mapping stands where a name is expected; write name: value"),
        ("data: 'x\n", "not valid YAML: "),
        ("käse".encode("latin-1"), "cannot be read as a YAML file: byte 1 is not UTF-8 text"),
        ("", "is empty; an experiment is a mapping with data, split and model"),
    ],
)
def test_config_files(refused: Refused, text: str | bytes, message: str) -> None:
    Path("c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused("train", "c.yaml")
    assert said.startswith("c.yaml: ") and message in said


def test_a_table_where_a_config_is_expected(refused: Refused) -> None:
    assert refused("data", "describe", "good.csv") == (
        "good.csv is a table, not a config; write: recsys data describe Table --data.path=good.csv --data.user=COLUMN --data.item=COLUMN"
    )
    assert "is empty" in refused("data", "describe", "Table", "--data.path=" + _empty(), "--data.user=user")


def _empty() -> str:
    Path("empty.csv").write_text("")
    return "empty.csv"


def test_too_little_memory_says_what_to_make_smaller(refused: Refused) -> None:
    said = refused(*TRAIN, "--model.dim=99999999999", "--name", "huge")
    assert "there is not enough memory (" in said and "GiB are asked for at once); make the model's dim, the sampler's num" in said


def test_a_full_disk_says_that_the_run_can_go_on(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/full/model.pt")

    with monkeypatch.context() as patch:
        patch.setattr("recsys.job.write_model", full)
        said = refused(*TRAIN, "--name", "full")
    assert said == "No space left on device: runs/full/model.pt cannot be read or written; a run that was begun goes on with --resume"
    assert cli.main([*TRAIN, "--name", "full", "--resume"]) == 0


def test_evaluation_refuses_what_is_not_as_it_was(refused: Refused, shop: Path) -> None:
    run = shop / "runs" / "other"
    shutil.copytree(shop / "runs" / "first", run)
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**about, "status": "running"}))
    assert refused("evaluate", "other") == "the run in runs/other is running, not finished; continue it with the same command and --resume"
    spec = {**about["spec"], "loss": {"class_path": "recsys.losses.Gone", "init_args": {}}}
    (run / "run.json").write_text(json.dumps({**about, "spec": spec}))
    assert refused("evaluate", "other").startswith("the experiment of other cannot be made again: no class at 'recsys.losses.Gone'")
    (run / "run.json").write_text(json.dumps({**about, "data": {**about["data"], "fingerprint": "0"}}))
    assert refused("evaluate", "other") == ("the data have changed since other was tested; its numbers cannot be made again, train it anew")
    shutil.rmtree(run)


def test_recommendations_to_unknown_users_and_of_unknown_items(refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("recommend", "first", "--user", "99999") == "users unknown to the model: 99999; give their histories instead"
    assert cli.main(["recommend", "first", "--history", "12345, 1", "--k", "2"]) == 0
    assert capsys.readouterr().err == "recsys: warning: items unknown to the model are ignored: 12345\n"
    assert cli.main(["recommend", "first", "--history", "", "--k", "2"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"user": [1.5]}), "user is Float64, not user ids; ids are integers or texts"),
        (pl.DataFrame({"user": [1, None]}), "user has no value in 1 rows; drop them first"),
        (pl.DataFrame({"history": [[[1]]]}), "history is List(List(Int64)), not lists of item ids; ids are integers or texts"),
        (pl.DataFrame({"history": [1]}), "history is Int64, not lists of item ids"),
        (pl.DataFrame({"user": [99_999]}), "users unknown to the model: 99999; give their histories instead"),
    ],
)
def test_files_to_recommend_to(refused: Refused, frame: pl.DataFrame, message: str) -> None:
    frame.write_parquet("asked.parquet")
    assert message in refused("recommend", "first", "--input", "asked.parquet", "--output", "lists.parquet")


def test_an_output_that_cannot_be_written_is_refused_before_the_work(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def recommend(*_: object, **__: object) -> None:
        raise AssertionError("the work was done")

    monkeypatch.setattr(Run, "recommend", recommend)
    pl.DataFrame({"user": [1]}).write_parquet("asked.parquet")
    asked = ("recommend", "first", "--input", "asked.parquet", "--output")
    assert refused(*asked, "runs") == "--output runs is a folder; give the name of a Parquet file"
    assert refused(*asked, "none/lists.parquet").endswith("/none; make it first, or choose another place")
    assert refused("recommend", "first", "--input", "none.parquet", "--output", "o.parquet").startswith("--input none.parquet is no file")


def test_log_records_are_lines_like_the_others(
    refused: Refused, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setenv("RECSYS_CACHE", str(shop / "a-file"))
    assert cli.main([*TRAIN, "--name", "no-cache", "--json"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "recsys: warning: prepared data are not kept: " in err and "set RECSYS_CACHE to a folder that can" in err
    assert not logging.getLogger("recsys").handlers, "the handler goes with the command"
    assert cli.main([*TRAIN, "--name", "small-unit", "--data.time_unit=ms", "--json"]) == 0
    assert "recsys: warning: good.csv: times run from 1970-01-19 " in capsys.readouterr().err


def test_a_tracker_that_cannot_be_used_is_refused_before_training(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/none/mlflow.db")
    monkeypatch.setattr("recsys.job.Job._select", lambda *_: pytest.fail("it trained"))
    if importlib.util.find_spec("mlflow"):
        said = refused("train", "shop.yaml", "--name", "unreachable")
        assert said.startswith("cannot open MLflow at sqlite:////proc/none/mlflow.db; start it, or keep the record in a file: ")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert refused("train", "shop.yaml", "--name", "not-installed") == (
        "tracking with MLflow needs the package mlflow; install recsys-axes[tracking], or track in files"
    )


def test_help_shows_an_example_that_fits_80_columns(refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "example:\n  recsys train configs/movielens-small/mf-bpr.yaml --name first --model.dim=32\n" in out
    assert max(map(len, out.splitlines())) <= 80
    for command in ([], ["data"], ["train", "--sampler.help"], ["train", "--data.help"]):
        assert cli.main(command) == 0
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 88
