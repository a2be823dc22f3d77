"""The installed command, ended by signals in mid-run: what it says, what it leaves, and that --resume ends with the same numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("recsys")
CONFIG = """
data: {Simulated: {users: 150, items: 60, clicks: 4000}}
split: GlobalTime
model: {MF: {dim: 4}}
batches: {Shuffled: {size: 128}}
fit: {epochs: 3, optimizer: {Adam: {lr: 0.02}}, patience: null, checkpoint_seconds: 0, device: cpu}
evaluation: {metrics: [recall@5], select: ndcg@5}
"""
Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("killed")
    (place / "k.yaml").write_text(CONFIG)
    return place


@pytest.fixture(scope="module")
def started(folder: Path) -> Started:
    environment = {**os.environ, "RECSYS_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)

    def start(name: str, *more: str) -> subprocess.Popen[str]:
        argv = [str(COMMAND), "train", "k.yaml", "--name", name, "--json", *more]
        return subprocess.Popen(argv, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def stop_at(process: subprocess.Popen[str], line: str, number: int) -> tuple[str, str]:
    """Send a signal when the run says a line that begins so; standard output and standard error."""
    assert process.stderr is not None
    said = []
    for text in process.stderr:
        said.append(text)
        if text.startswith(line):
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=120)
    return out, "".join(said) + err


@pytest.fixture(scope="module")
def whole(started: Started) -> dict[str, Any]:
    """The metrics of the run that nothing disturbed."""
    out, err = started("whole").communicate(timeout=120)
    assert len(out.splitlines()) == 1, err
    found: dict[str, Any] = json.loads(out)["metrics"]
    return found


def test_kill_9_in_mid_training_then_resume_gives_the_same_json(folder: Path, started: Started, whole: dict[str, Any]) -> None:
    for line in ("select: training", "select  epoch 1/", "refit: training"):
        process = started("killed", "--resume")
        out, err = stop_at(process, line, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL and out == "", err
        assert json.loads((folder / "runs" / "killed" / "run.json").read_text())["status"] == "running"
    assert (folder / "runs" / "killed" / "progress.pt").exists()
    process = started("killed", "--resume")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "continuing runs/killed in phase" in err
    assert json.loads(out)["metrics"] == whole
    assert not (folder / "runs" / "killed" / "progress.pt").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_end_says_how_to_go_on(
    folder: Path, started: Started, whole: dict[str, Any], number: signal.Signals, code: int
) -> None:
    name = f"asked-{number.name}"
    process = started(name)
    out, err = stop_at(process, "select  epoch 1/", number)
    assert process.returncode == code and out == "" and "Traceback" not in err
    assert err.splitlines()[-1] == f"recsys: stopped. To go on: recsys train k.yaml --name {name} --json --resume"
    assert json.loads((folder / "runs" / name / "run.json").read_text())["status"] == "killed"
    process = started(name, "--resume")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and json.loads(out)["metrics"] == whole, err
    records = [json.loads(line) for line in (folder / "runs" / name / "tracking.jsonl").read_text().splitlines()]
    logged = [(key, record["step"]) for record in records if record["kind"] == "metrics" for key in record["values"]]
    assert logged and len(logged) == len(set(logged)), "a metric was recorded twice"
    assert [record["status"] for record in records if record["kind"] == "close"] == ["killed", "finished"]


def test_a_folder_of_another_process_is_refused(started: Started) -> None:
    first = started("shared", "--fit.epochs=200")
    assert first.stderr is not None
    try:
        while not first.stderr.readline().startswith("select: training"):
            pass
        second = started("shared", "--fit.epochs=200", "--resume")
        out, err = second.communicate(timeout=120)
        assert second.returncode == 2 and out == ""
        assert err == "recsys: error: another process is at work in runs/shared; wait for it, or choose another name with --name\n"
    finally:
        first.kill()
        first.communicate()
