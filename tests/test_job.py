"""Runs from end to end: what they leave behind, and that a killed one ends as if nothing had happened."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

import recsys
from recsys import Experiment, Fit, RunError
from recsys.batching import Shuffled
from recsys.data.sources import Frame, Simulated, Table
from recsys.files import read_tensors
from recsys.losses import BPR, Loss
from recsys.models import MF, Popular
from recsys.optimizers import SGD, Adam
from recsys.run_folder import RunFolder, find, new_folder
from recsys.splitting import LastN
from recsys.tracking import FileTracker
from recsys.tracking.file import read

SCRIPT = Path(__file__).with_name("interrupted.py")
described = importlib.util.spec_from_file_location("interrupted", SCRIPT)
assert described is not None and described.loader is not None
interrupted = importlib.util.module_from_spec(described)
described.loader.exec_module(interrupted)


class Killed(BaseException):
    """Stands for a kill that Python still notices."""


def left(folder: Path) -> dict[str, Any]:
    """What a run left, without clocks."""
    about = json.loads((folder / "run.json").read_text())
    kept = {name: about[name] for name in ("metrics", "intervals", "selection", "facts", "status")}
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    history = [{k: v for k, v in line.items() if "seconds" not in k and k != "sampler.time_share"} for line in lines]
    return {
        **kept,
        "history": history,
        "model": read_tensors(folder / "model.pt")["state"],
        "test": pl.read_parquet(folder / "test.parquet"),
    }


def assert_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one["model"].keys() == two["model"].keys()
    assert all(torch.equal(one["model"][name], two["model"][name]) for name in one["model"])
    assert one["test"].equals(two["test"])
    assert {k: v for k, v in one.items() if k not in ("model", "test")} == {k: v for k, v in two.items() if k not in ("model", "test")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, Any]:
    """The run that nothing disturbed."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = tmp_path_factory.mktemp("whole") / "run"
    interrupted.experiment().run(folder, cache=cache)
    return left(folder)


def test_a_run_killed_in_every_phase_ends_bit_for_bit_the_same(tmp_path: Path, cache: Path, whole: dict[str, Any]):
    folder = tmp_path / "run"
    for point in ("prepare:0", "select:0", "select:29", "refit:17", "test:0"):
        done = subprocess.run([sys.executable, str(SCRIPT), str(folder), str(cache), point], capture_output=True, text=True, check=False)
        assert done.returncode == -9, done.stderr
        with pytest.raises(RunError, match="not finished"):
            recsys.load(folder)
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder), str(cache), "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same(left(folder), whole)
    assert not (folder / "progress.pt").exists()


@pytest.mark.parametrize("lazy", [False, True], ids=["adam", "lazy adam"])
def test_a_run_stopped_at_random_steps_ends_the_same(tmp_path: Path, cache: Path, whole: dict[str, Any], lazy: bool):
    torch.use_deterministic_algorithms(True)
    if lazy:
        interrupted.experiment(lazy).run(tmp_path / "whole", cache=cache)
        whole = left(tmp_path / "whole")
    draw, folder, tracker = random.Random(5), tmp_path / "run", None
    for _ in range(6):
        point = f"{draw.choice(['select', 'select', 'refit'])}:{draw.randrange(1, 60)}"
        tracker = FileTracker(tmp_path / "tracked")

        def end() -> None:
            raise Killed

        try:
            interrupted.experiment(lazy).run(folder, progress=interrupted.Stop(point, end), tracker=tracker, resume=True, cache=cache)
        except Killed:
            continue
    interrupted.experiment(lazy).run(folder, tracker=FileTracker(tmp_path / "tracked"), resume=True, cache=cache)
    assert_same(left(folder), whole)
    logged = [(name, line["step"]) for line in read(tmp_path / "tracked") if line["kind"] == "metrics" for name in line["values"]]
    assert logged and len(logged) == len(set(logged)), "a metric was recorded twice"


def test_selection_replays_its_trace_when_refitting(whole: dict[str, Any]):
    trace, history = whole["selection"]["trace"], whole["history"]
    selected = [line for line in history if line["phase"] == "select"]
    refitted = [line for line in history if line["phase"] == "refit"]
    best = max(selected, key=lambda line: line["valid/ndcg@10"])
    assert whole["selection"]["epoch"] == best["epoch"] == len(trace) == len(refitted)
    assert whole["selection"]["value"] == whole["metrics"]["valid/ndcg@10"] == best["valid/ndcg@10"]
    assert not any(name.startswith("valid/") for line in refitted for name in line)


def log() -> pl.DataFrame:
    """Two tastes; every user has all items of its own but a few."""
    user = [u for u in range(30) for i in range(24) if (u + i) % 2 == 0 and (u * 7 + i) % 5]
    item = [i for u in range(30) for i in range(24) if (u + i) % 2 == 0 and (u * 7 + i) % 5]
    return pl.DataFrame(
        {
            "who": [f"u{u}" for u in user],
            "what": [f"i{i}" for i in item],
            "when": [(i * 7 + u * 5) % 24 for u, i in zip(user, item, strict=True)],
        }
    )


def run_of(folder: Path, cache: Path, **changed: Any) -> recsys.Run:
    data = Frame(log(), user="who", item="what", order="when")
    plan = Fit(epochs=30, optimizer=Adam(lr=0.05), patience=None, device="cpu")
    return Experiment(**{"data": data, "split": LastN(), "model": MF(dim=8), "fit": plan, **changed}).run(folder, cache=cache)


def test_the_library_in_ten_lines(tmp_path: Path, cache: Path):
    run = run_of(tmp_path / "first", cache, batches=Shuffled(size=32))
    assert run.metrics["test/recall@10"] > 0.9 > run_of(tmp_path / "popular", cache, model=Popular()).metrics["test/recall@10"] + 0.1
    loaded = recsys.load(tmp_path / "first")
    assert loaded.metrics == run.metrics and loaded.id == "first"
    found = loaded.recommend([["i0", "i2", "i4"], ["i1", "i3"], []], k=5)
    assert found.columns == ["query", "rank", "item", "score"] and found["rank"].to_list() == [1, 2, 3, 4, 5] * 3
    parity = {q: {int(i[1:]) % 2 for i in found.filter(pl.col("query") == q)["item"]} for q in (0, 1)}
    assert parity == {0: {0}, 1: {1}}  # folded in from the history alone
    assert not set(found.filter(pl.col("query") == 0)["item"]) & {"i0", "i2", "i4"}
    user = loaded.recommend(users=["u3"], k=3)
    assert user["user"].to_list() == ["u3"] * 3
    assert not set(user["item"]) & set(log().filter(pl.col("who") == "u3").sort("when")["what"][:-1])
    assert {c.name for c in (tmp_path / "first").iterdir()} >= {
        "run.json",
        "model.pt",
        "items.parquet",
        "owners.parquet",
        "test.parquet",
        "valid.parquet",
    }
    assert len(loaded.history) == 30 + loaded.about["selection"]["epoch"]


def test_recommend_says_what_is_wrong(tmp_path: Path, cache: Path):
    run = run_of(tmp_path / "run", cache, model=Popular())
    with pytest.warns(UserWarning, match="items unknown to the model are ignored: nonsense"):
        assert len(run.recommend([["i0", "nonsense"]], k=2)) == 2
    with pytest.raises(RunError, match="users unknown to the model: nobody; give their histories"):
        run.recommend(users=["u1", "nobody"])
    with pytest.raises(RunError, match=r"either histories .* or users"):
        run.recommend()
    with pytest.raises(RunError, match="k is 0"):
        run.recommend([["i0"]], k=0)


def test_the_history_of_a_closed_form_is_readable_and_selection_survives_a_kill(tmp_path: Path, cache: Path):
    run = run_of(tmp_path / "popular", cache, model=Popular())
    assert run.history["loss"].to_list() == [None, None] and run.about["selection"]["epoch"] == 1

    experiment = interrupted.experiment()
    kept = RunFolder.write_progress

    def killed_after_writing(folder: RunFolder, state: dict[str, Any]) -> None:
        kept(folder, state)
        if state["phase"] == "refit":
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunFolder, "write_progress", killed_after_writing)
        experiment.run(tmp_path / "run", cache=cache)
    assert "selection" in experiment.run(tmp_path / "run", resume=True, cache=cache).about


def test_without_refit_the_model_of_the_best_epoch_is_tested(tmp_path: Path, cache: Path):
    run = run_of(tmp_path / "run", cache, fit=Fit(epochs=4, refit=False, device="cpu"))
    assert {line["phase"] for line in run.history.to_dicts()} == {"select"}
    assert len(run.train) < len(run_of(tmp_path / "refit", cache, model=Popular()).train)


class Exploding(Loss):
    def forward(self, scored: Any) -> torch.Tensor:
        return scored.positive * torch.where(scored.batch.row.max() > 100, torch.nan, 1.0)


def test_a_loss_that_is_not_finite_stops_the_run_with_a_dump(tmp_path: Path, cache: Path):
    with pytest.raises(RunError, match=r"the loss is nan at epoch 1, step 1; .* the batch is in .*nonfinite\.pt"):
        run_of(tmp_path / "run", cache, loss=Exploding())
    dump = read_tensors(tmp_path / "run" / "nonfinite.pt")
    assert {"target", "owner", "positive", "negative", "candidates"} <= dump.keys()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_a_diverging_run_is_stopped_too(tmp_path: Path, cache: Path):
    plan = Fit(epochs=300, optimizer=SGD(lr=1e30), device="cpu", patience=None)
    with pytest.raises(recsys.RecsysError, match="has diverged, lower the learning rate"):
        run_of(tmp_path / "run", cache, fit=plan, loss=BPR())


def test_a_folder_in_use_taken_or_of_another_configuration_is_refused(tmp_path: Path, cache: Path):
    run_of(tmp_path / "run", cache, model=Popular())
    with pytest.raises(RunError, match=r"holds a run already \(finished\); continue it with --resume, or choose another name"):
        run_of(tmp_path / "run", cache, model=Popular())
    other = Experiment(data=Simulated(), split=LastN(), model=Popular())
    with pytest.raises(RunError, match="holds a run of another configuration"):
        other.run(tmp_path / "run", resume=True, cache=cache)
    with RunFolder(tmp_path / "busy").locked(), pytest.raises(RunError, match="another process is at work"):
        run_of(tmp_path / "busy", cache)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"is a file, so .* cannot be a run folder"):
        run_of(tmp_path / "file" / "run", cache)


def test_changed_data_end_a_resumed_run_before_it_trains(tmp_path: Path, cache: Path):
    source = tmp_path / "log.csv"
    log().write_csv(source)
    data = Table(source, user="who", item="what", order="when")
    experiment = Experiment(data=data, split=LastN(), model=MF(dim=4), fit=Fit(epochs=3, device="cpu", checkpoint_seconds=0))

    def end() -> None:
        raise Killed

    with pytest.raises(Killed):
        experiment.run(tmp_path / "run", progress=interrupted.Stop("select:2", end), cache=cache)
    log().head(200).write_csv(source)
    with pytest.raises(RunError, match="the data have changed since"):
        experiment.run(tmp_path / "run", resume=True, cache=cache)


def test_runs_are_found_by_their_configuration(tmp_path: Path, cache: Path):
    experiment = Experiment(data=Simulated(users=60, items=30, clicks=900), split=LastN(), model=Popular())
    first = new_folder(tmp_path, "popular", experiment.fingerprint())
    experiment.run(first, cache=cache)
    second = new_folder(tmp_path, "popular", experiment.fingerprint())
    experiment.run(second, cache=cache)
    assert second.name == f"{first.name}-2"
    assert find(tmp_path, experiment.fingerprint()) == [second, first]
    assert find(tmp_path, "0000") == []
    with pytest.raises(RunError, match=r"no run in .*: it has no run\.json"):
        recsys.load(tmp_path / "nowhere")
