"""The command line, in this process on a tiny simulated log: results, files, and every message with its exit code."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines import cli
from pipelines.commands import COMMANDS, ROLES
from pipelines.config import load, loads
from recsys.experiment import Experiment
from recsys.run import Run

CONFIG = """
data: {Simulated: {users: 120, items: 40, clicks: 2500}}
split: GlobalTime
model: {MF: {dim: 4}}
sampler: {Uniform: {num: 2}}
fit: {epochs: 2, optimizer: {Adam: {lr: 0.01}}}
evaluation: {metrics: [recall@5, ndcg@5, coverage@5], select: ndcg@5}
"""
Said = Callable[..., tuple[int, str, str]]
COMMAND = Path(sys.executable).with_name("recsys")


@pytest.fixture(scope="module")
def shop(workplace: Path) -> Path:
    """A folder with a config and two finished runs, ``mf`` and ``top``."""
    (workplace / "tiny.yaml").write_text(CONFIG)
    assert cli.main(["train", "tiny.yaml", "--name", "mf", "--tracking", "none"]) == 0
    swap = ["--sampler=TopK", "--sampler.k=1", "--sampler.base={Uniform: {num: 4}}"]
    assert cli.main(["train", "tiny.yaml", "--name", "top", "--tracking", "file", *swap]) == 0
    return workplace


@pytest.fixture
def said(shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Runs a command in the shop's folder: exit code, standard output, standard error."""
    monkeypatch.chdir(shop)

    def run(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(list(argv))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def refused(said: Said, *argv: str) -> str:
    code, out, err = said(*argv)
    assert code == 2 and out == ""
    lines = [line for line in err.splitlines() if not line.startswith("recsys: note: ")]
    assert len(lines) == 1 and lines[0].startswith("recsys: error: "), err
    return lines[0].removeprefix("recsys: error: ")


def test_the_roles_known_without_torch_are_those_of_an_experiment() -> None:
    assert list(ROLES) == list(inspect.signature(Experiment).parameters)


def test_every_command_exists_and_has_help(said: Said) -> None:
    for name, command in COMMANDS.items():
        module, _, function = command.runs.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function))
        code, out, _ = said(*name.split(), "--help")
        assert code == 0 and command.help in out and out.startswith(f"usage: recsys {name}")
    code, out, _ = said("--help")
    assert code == 0 and all(name in out for name in COMMANDS)


def test_train_leaves_a_resolved_config_that_gives_the_same_experiment(shop: Path) -> None:
    for name in ("mf", "top"):
        experiment = load(shop / "runs" / name / "config.yaml")
        assert experiment.spec() == Run(shop / "runs" / name).about["spec"]
    top = Run(shop / "runs" / "top").about["spec"]
    assert top["sampler"] == {
        "class_path": "recsys.sampling.TopK",
        "init_args": {
            "k": 1,
            "screen": "float32",
            "base": {"class_path": "recsys.sampling.Uniform", "init_args": {"num": 4, "per": "row", "exclude": "positive"}},
        },
    }
    assert (shop / "runs" / "top" / "tracking.jsonl").exists() and not (shop / "runs" / "mf" / "tracking.jsonl").exists()


def test_train_json_ends_with_one_line_and_the_name_comes_from_the_file(said: Said, shop: Path) -> None:
    code, out, err = said("train", "tiny.yaml", "--json", "--model=Popular", "--sampler=null", "--seed", "3", "--runs", "others")
    assert code == 0 and len(out.splitlines()) == 1
    result = json.loads(out)
    assert list(result) == ["run", "metrics", "seconds", "peak_rss_mb"]
    assert result["run"].startswith("tiny-") and (shop / "others" / result["run"] / "run.json").exists()
    assert set(result["metrics"]) == {f"{part}/{name}" for part in ("valid", "test") for name in ("recall@5", "ndcg@5", "coverage@5")}
    assert result["seconds"] > 0 and result["peak_rss_mb"] > 1
    assert "select" in err and "test" in err


def test_a_finished_run_resumed_gives_its_result_again(said: Said) -> None:
    code, out, _ = said("train", "tiny.yaml", "--name", "mf", "--resume", "--tracking", "none", "--json")
    assert code == 0 and json.loads(out)["run"] == "mf"
    code, again, _ = said("train", "tiny.yaml", "--resume", "--tracking", "none", "--json")
    assert code == 0 and json.loads(again) == json.loads(out), "without a name, the run is found by its config"


def test_resuming_what_was_killed_before_it_left_a_trace_begins_it(said: Said, shop: Path) -> None:
    short = ["--fit.epochs=1", "--fit.refit=false", "--tracking", "none", "--resume", "--json"]
    for name, hint in (("first", ""), ("fisrt", ". Did you mean 'first'?")):
        code, out, err = said("train", "tiny.yaml", "--runs", "named", "--name", name, *short)
        assert code == 0 and json.loads(out)["run"] == name
        assert err.splitlines()[0] == f"recsys: note: nothing to resume: no run {name!r} in named; it is begun now{hint}"
    code, out, err = said("train", "tiny.yaml", "--runs", "begun", *short)
    assert code == 0 and err.startswith("recsys: note: nothing to resume: no run in begun has this config; it is begun now")
    _, again, err = said("train", "tiny.yaml", "--runs", "begun", *short)
    assert json.loads(again) == json.loads(out) and "nothing to resume" not in err


def test_config_prints_what_reads_back(said: Said) -> None:
    code, out, err = said("config", "tiny.yaml", "--model.dim=8", "--fit.epochs", "7", "--loss=Softmax", "--evaluation.metrics=[recall@3]")
    assert code == 0 and err == ""
    experiment = loads(out)
    spec = experiment.spec()
    assert (
        spec["model"]["init_args"]["dim"] == 8
        and spec["fit"]["init_args"]["epochs"] == 7
        and spec["evaluation"]["init_args"]["metrics"] == ["recall@3"]
    )
    assert spec["loss"]["class_path"] == "recsys.losses.Softmax" and spec["sampler"]["init_args"]["num"] == 2


def test_evaluate_gives_the_numbers_of_the_run_and_others(said: Said, shop: Path) -> None:
    code, out, _ = said("evaluate", "mf", "--json")
    stored = {k: v for k, v in Run(shop / "runs" / "mf").metrics.items() if k.startswith("test/")}
    assert code == 0 and json.loads(out) == {"run": "mf", "metrics": stored}
    code, out, _ = said("evaluate", "runs/mf", "--metrics", "recall@1", "--json")
    assert code == 0 and "test/recall@1" in json.loads(out)["metrics"]
    code, out, _ = said("evaluate", "mf", "--batches-of", "10")
    assert code == 0 and "~batch10" in out and "mean of batch means" in out
    assert "no metric 'recal@1'; did you mean 'recall@1'?" in refused(said, "evaluate", "mf", "--metrics", "recal@1")


def test_recommend_to_a_user_a_history_and_a_file(said: Said, shop: Path) -> None:
    run = Run(shop / "runs" / "mf")
    user = run.owners[0]
    code, out, _ = said("recommend", "mf", "--user", str(user), "--k", "3")
    assert code == 0 and all(str(item) in out for item in run.recommend(users=[user], k=3)["item"])
    code, out, _ = said("recommend", "mf", "--history", f"{run.items[0]},{run.items[3]}", "--k", "2")
    assert code == 0 and all(str(item) in out for item in run.recommend([[run.items[0], run.items[3]]], 2)["item"])
    pl.DataFrame({"user": [user, run.owners[1]]}).write_parquet("users.parquet")
    code, _, _ = said("recommend", "mf", "--input", "users.parquet", "--output", "lists.parquet", "--k", "4")
    lists = pl.read_parquet("lists.parquet")
    assert code == 0 and lists.equals(run.recommend(users=[user, run.owners[1]], k=4)) and len(lists) == 8
    pl.DataFrame({"history": [[run.items[0]], None]}).write_parquet("histories.parquet")
    code, _, _ = said("recommend", "mf", "--input", "histories.parquet", "--output", "lists.parquet", "--k", "4")
    assert code == 0 and pl.read_parquet("lists.parquet")["query"].to_list() == [0] * 4 + [1] * 4


def test_recommend_refuses(said: Said, tmp_path: Path) -> None:
    assert refused(said, "recommend", "mf") == "recsys recommend takes one of --user, --history and --input; given: none of them"
    assert refused(said, "recommend", "mf", "--user", "1", "--history", "2").endswith("given: --user and --history")
    assert refused(said, "recommend", "mf", "--input", "x.parquet") == "recsys recommend: --input and --output go together"
    assert refused(said, "recommend", "mf", "--user", "1", "--k", "0") == "recsys recommend: --k is 0; at least 1 item is recommended"
    assert refused(said, "recommend", "mf", "--user", "nobody").startswith("users unknown to the model: nobody")
    assert refused(said, "recommend", "mf", "--input", "none.parquet", "--output", "o").startswith(
        "--input none.parquet is no file; give a Parquet file with the column user or history"
    )
    pl.DataFrame({"who": [1]}).write_parquet(tmp_path / "w.parquet")
    assert "has the columns who; it needs one of user (ids) and history" in refused(
        said, "recommend", "mf", "--input", str(tmp_path / "w.parquet"), "--output", "o"
    )
    pl.DataFrame({"history": ["1,2"]}).write_parquet(tmp_path / "h.parquet")
    assert refused(said, "recommend", "mf", "--input", str(tmp_path / "h.parquet"), "--output", "o").endswith(
        "history is String, not lists of item ids"
    )


def test_recommend_from_lists_and_similar_items(said: Said, shop: Path, tmp_path: Path) -> None:
    run = Run(shop / "runs" / "mf")
    allow, deny = tmp_path / "allow.parquet", tmp_path / "deny.txt"
    run.items[:4].alias("item").to_frame().write_parquet(allow)
    deny.write_text(f"{run.items[1]}\n\n")
    pl.DataFrame({"history": [[]]}, schema={"history": pl.List(run.items.dtype)}).write_parquet(tmp_path / "h.parquet")
    asked = ("--input", str(tmp_path / "h.parquet"), "--output", str(tmp_path / "o.parquet"))
    code, _, _ = said("recommend", "mf", *asked, "--allow", str(allow), "--deny", str(deny))
    assert code == 0 and set(pl.read_parquet(tmp_path / "o.parquet")["item"]) == {run.items[0], run.items[2], run.items[3]}
    assert refused(said, "recommend", "mf", *asked, "--deny", "none.txt").startswith("--deny none.txt is no file; give a text file")
    allow.write_text("x")
    assert "--allow" in refused(said, "recommend", "mf", *asked, "--allow", str(allow))
    code, out, _ = said("similar", "mf", "--item", str(run.items[2]), "--k", "3")
    assert code == 0 and all(str(item) in out for item in run.similar([run.items[2]], 3)["similar"])
    code, _, _ = said("similar", "mf", "--item", str(run.items[2]), str(run.items[0]), "--output", str(tmp_path / "s.parquet"))
    assert code == 0 and len(pl.read_parquet(tmp_path / "s.parquet")) == 20
    assert refused(said, "similar", "mf", "--item", "nothing") == "items unknown to the model: nothing"


def test_export_writes_a_folder(said: Said, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    code, out, _ = said("export", "mf", "--output", str(tmp_path / "served"), "--k", "3")
    assert code == 0 and out.strip().endswith("about.json, items.parquet, model.onnx, users.parquet")
    assert refused(said, "export", "mf", "--output", str(tmp_path / "served")).endswith("exists already; export to a new folder")


def test_compare_prints_paired_differences(said: Said, shop: Path) -> None:
    code, out, _ = said("compare", "mf", "top", "--metrics", "recall@5", "--json")
    assert code == 0
    assert len(out.splitlines()) == 1
    rows = json.loads(out)["rows"]
    a, b = (Run(shop / "runs" / name).per_query["recall@5"].drop_nans() for name in ("mf", "top"))
    assert [row["run"] for row in rows] == ["mf", "top"] and rows[0]["difference"] is None
    assert rows[0]["mean"]["mean"] == pytest.approx(a.mean(), abs=1e-12)
    assert rows[1]["difference"]["mean"] == pytest.approx(b.mean() - a.mean(), abs=1e-12)
    code, out, _ = said("compare", "mf", "top", "--metrics", "recall@5")
    assert code == 0 and "baseline" in out and "shared test queries" in out and "\x1b" not in out, "no colours in a pipe"


def test_compare_refuses(said: Said, shop: Path) -> None:
    assert refused(said, "compare", "mf") == "a comparison needs at least two runs, and 'mf' is one; name another"
    assert refused(said, "compare", "mf", "tpo").endswith("(runs has mf, top). Did you mean 'top'?")
    assert "--metrics recall@6: not measured for each query in all of these runs; there are recall@5, ndcg@5" in refused(
        said, "compare", "mf", "top", "--metrics", "recall@6"
    )
    code, _, _ = said("train", "tiny.yaml", "--name", "other", "--data.seed=9", "--fit.epochs=1", "--runs", "elsewhere")
    assert code == 0
    assert "mf and other were tested on different data or splits (fingerprints" in refused(said, "compare", "mf", "elsewhere/other")


def test_data_describe_and_download(said: Said) -> None:
    code, out, _ = said("data", "describe", "Simulated", "--data.clicks=500", "--data.users=50", "--json")
    assert code == 0 and json.loads(out)["events"] == 500
    code, out, _ = said("data", "describe", "tiny.yaml", "--json")
    assert code == 0 and json.loads(out)["events"] == 2500
    code, out, err = said("data", "download", "Simulated")
    assert code == 0 and out == "" and "reads no files" in err
    assert refused(said, "data", "describe", "MovieLense").endswith("Did you mean 'MovieLens'?")
    assert refused(said, "data", "describe").startswith("name a source class")
    assert refused(said, "data", "describe", "Simulated", "--model.dim=3").startswith("--model.dim has no part in this")
    code, out, _ = said("data", "describe", "--data.help")
    assert code == 0 and "MovieLens" in out and "Gowalla" in out


def test_help_on_parts(said: Said) -> None:
    code, out, _ = said("train", "--model.help")
    assert code == 0 and "MF" in out and "Popular" in out
    code, out, _ = said("train", "--model.help=MF")
    assert code == 0 and "--model.dim: int = 64" in out
    code, out, _ = said("train", "tiny.yaml", "--fit.optimizer.help", "Adam")
    assert code == 0 and "--fit.optimizer.lr: float" in out
    assert refused(said, "train", "--model.help=MFF").startswith("model: no Model or ClosedForm is called 'MFF'")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["trian"],
            "no command 'trian'; there are: compare, config, data, evaluate, export, interpolate, quickstart, recommend, "
            "register, replay, reproduce, results, sampled, similar, train, verify. Did you mean train?",
        ),
        (
            ["data", "decribe"],
            "recsys data: no command 'decribe'; there are: describe, prepare, audit, download, generate. Did you mean describe?",
        ),
        (["train"], "give a config file, such as configs/movielens-small/mf-bpr.yaml"),
        (["train", "tiny.yaml", "extra"], "recsys train: unrecognized arguments: extra; see recsys train --help"),
        (["train", "tiny.yaml", "--reusme"], "Did you mean --resume?"),
        (["train", "tiny.yaml", "--modle.dim=3"], "Did you mean --model.dim?"),
        (["train", "tiny.yaml", "--model.dim"], "recsys train: --model.dim needs a value: --model.dim=VALUE"),
        (["train", "tiny.yaml", "--model.dim", "--json"], "recsys train: --model.dim needs a value: --model.dim=VALUE"),
        (["train", "tiny.yaml", "--tracking", "paper"], "recsys train: argument --tracking: invalid choice: 'paper' (choose from"),
        (
            ["train", "tiny.yaml", "--model.dmi=3"],
            "model.dmi: MF has no option 'dmi'; it has: dim, bias, init_std, init_law, similarity, dropout. Did you mean 'dim'?",
        ),
        (["train", "tiny.yaml", "--model.dim=a"], "model.dim: 'a' (str) is not allowed; allowed: int"),
        (["train", "tiny.yaml", "--sampler=BPR"], "sampler: BPR is a Loss (recsys.losses.BPR), not a Sampler; allowed: "),
        (
            ["train", "tiny.yaml", "--fit.denominator=row"],
            "fit.denominator: 'row' (str) is not allowed; allowed: 'rows' or 'weights' or 'sum'. Did you mean 'rows'?",
        ),
        (["train", "tiny.yaml", "--sampler.num=0"], "sampler.num: Uniform: num is 0; at least 1 candidate must be drawn"),
        (["train", "tiny.yaml", "--model=Popular"], "sampler: Popular is solved in closed form and takes no sampler"),
        (["train", "none.yaml"], "none.yaml: no such config file"),
        (
            ["train", "tiny.yaml", "--name", "mf"],
            "the run 'mf' exists already (runs/mf); continue it with --resume, or choose another --name",
        ),
        (
            ["train", "tiny.yaml", "--name", "a/b"],
            "--name 'a/b' is not allowed; allowed are letters, digits and _ . + @ - (it names a folder)",
        ),
        (
            ["train", "tiny.yaml", "--runs", "tiny.yaml"],
            "tiny.yaml is a file, so tiny.yaml cannot be a run folder; choose another with --runs",
        ),
        (["evaluate", "nowhere"], "no run at 'nowhere'; give the folder of a run or its name below --runs (runs has mf, top)"),
    ],
)
def test_each_mistake_is_one_line_and_exit_code_2(said: Said, argv: list[str], message: str) -> None:
    assert message in refused(said, *argv)


def test_mistakes_are_found_before_data_are_read(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys.data.sources import Simulated

    def events(self: Simulated) -> pl.LazyFrame:
        raise AssertionError("data were read")

    monkeypatch.setattr(Simulated, "events", events)
    refused(said, "train", "tiny.yaml", "--data.seed=5", "--model.dim=a")
    refused(said, "train", "tiny.yaml", "--data.seed=5", "--runs", "tiny.yaml")
    with pytest.raises(AssertionError, match="data were read"):
        said("train", "tiny.yaml", "--data.seed=5", "--runs", "unread")


def test_several_mistakes_are_all_told(said: Said) -> None:
    code, _, err = said("train", "tiny.yaml", "--model.dmi=3", "--seed=x", "--loss=BRP")
    assert code == 2 and {line.split(":")[2].strip() for line in err.splitlines()} == {"model.dmi", "loss", "seed"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(said: Said, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be written" in refused(said, "train", "tiny.yaml", "--runs", str(tmp_path / "locked" / "runs"))


def test_a_note_says_what_a_change_of_class_leaves_behind(said: Said) -> None:
    _, _, err = said("config", "tiny.yaml", "--sampler=Unseen")
    assert err == "recsys: note: sampler: Unseen replaces Uniform and starts from its own defaults (num of the file not used)\n"


def test_ctrl_c_says_how_to_go_on(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recsys.learner.Learner._one_step", stop)
    code, out, err = said("train", "tiny.yaml", "--name", "stopped", "--model.dim=3", "--tracking", "none")
    assert code == 130 and out == ""
    assert err.splitlines()[-1] == "recsys: stopped. To go on: recsys train tiny.yaml --model.dim=3 --name stopped --tracking none --resume"
    monkeypatch.undo()


def test_warnings_are_one_line(said: Said, shop: Path) -> None:
    _, _, err = said("recommend", "mf", "--history", "0,123456")
    assert err == "recsys: warning: items unknown to the model are ignored: 123456\n"


def test_the_installed_command_is_not_shadowed_and_starts_without_torch(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "__init__.py").write_text("raise RuntimeError('the foreign package was imported')")
    (tmp_path / "recsys.py").write_text("raise RuntimeError('the foreign module was imported')")
    (tmp_path / "own.py").write_text("from recsys.losses import BPR\n\nclass Mine(BPR):\n    '''My loss.'''\n")
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PYTHONSAFEPATH": ""}

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(COMMAND), *argv], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    assert run("--help").returncode == 0
    found = run("config", "tiny.yaml", "--loss=own.Mine")
    assert found.returncode == 0, found.stderr
    assert "class_path: own.Mine" in found.stdout
    light = "main(['train', '--help']); main(['train', 'x.yaml', '--modle=3'])"
    code = f"import sys; from pipelines.cli import main; {light}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.data
def test_an_experiment_on_movielens(said: Said, data_root: Path, tmp_path: Path) -> None:
    code, out, _ = said("data", "describe", "MovieLens", f"--data.root={data_root}", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["owner"] == "user" and facts["events"] > 40_000
    films = CONFIG.replace("{Simulated: {users: 120, items: 40, clicks: 2500}}", f"{{MovieLens: {{root: '{data_root}'}}}}")
    (tmp_path / "ml.yaml").write_text(films)
    code, out, _ = said("train", str(tmp_path / "ml.yaml"), "--fit.epochs=1", "--runs", str(tmp_path), "--tracking", "none", "--json")
    assert code == 0 and 0 < json.loads(out)["metrics"]["test/recall@5"] < 1
