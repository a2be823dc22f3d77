from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recsys.errors import RunError
from recsys.tracking import FileTracker, MLflowTracker
from recsys.tracking.file import read

pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all tests: making its tables takes a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def tracker(uri: str, request: pytest.FixtureRequest, tmp_path: Path) -> MLflowTracker:
    return MLflowTracker(experiment=request.node.name, run_name="one", uri=uri, folder=tmp_path / "run", tags={"git_commit": "abc"})


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


def history(uri: str, run_id: str | None, name: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client(uri).get_metric_history(run_id, name))


def again(tracker: MLflowTracker, **changes: Any) -> MLflowTracker:
    """A tracker as a second process would make it."""
    return MLflowTracker(
        **{"experiment": tracker.experiment, "run_name": tracker.run_name, "uri": tracker.uri, "folder": tracker.folder, **changes}
    )


class Gone:
    """A store that is out of reach: every call fails."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> None:
            raise ConnectionError("nobody answers\nsecond line")

        return fail


def test_a_run_arrives_whole(tracker: MLflowTracker, uri: str, tmp_path: Path):
    tracker.params({"model": {"class_path": "recsys.models.MF", "init_args": {"dim": 64}}, "seed": 1})
    for epoch in range(1, 4):
        tracker.metrics({"valid/recall@20": epoch / 10, "loss": 1 / epoch}, epoch)
    tracker.metrics({"test/ndcg@10~uniform99": 0.25})
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "test.parquet").write_bytes(b"x")
    tracker.artifact(tmp_path / "config.json")
    tracker.artifact(tmp_path / "queries")
    tracker.close()
    run = client(uri).get_run(tracker.run_id)
    assert run.info.run_name == "one"
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model": "recsys.models.MF", "model.dim": "64", "seed": "1"}
    assert run.data.tags["git_commit"] == "abc"
    assert history(uri, tracker.run_id, "valid/recall_at_20") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert history(uri, tracker.run_id, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert history(uri, tracker.run_id, "test/ndcg_at_10-uniform99") == [(0, 0.25)]
    assert {file.path for file in client(uri).list_artifacts(tracker.run_id)} == {"config.json", "queries"}
    assert [file.path for file in client(uri).list_artifacts(tracker.run_id, "queries")] == ["queries/test.parquet"]


def test_artifacts_of_a_local_store_lie_beside_it_wherever_the_process_works(tracker: MLflowTracker, uri: str, tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    tracker.artifact(tmp_path / "config.json")
    tracker.close()
    beside = Path(uri.removeprefix("sqlite:///")).parent / "mlruns"
    assert [path.name for path in beside.rglob("*.json") if tracker.run_id in path.parts] == ["config.json"]


def test_more_parameters_and_metrics_than_a_call_may_carry(tracker: MLflowTracker, uri: str):
    tracker.params({f"p{i}": i for i in range(250)})
    tracker.metrics({f"m{i}": float(i) for i in range(2300)}, 1)
    tracker.close()
    run = client(uri).get_run(tracker.run_id)
    assert run.data.params == {f"p{i}": str(i) for i in range(250)}
    assert run.data.metrics == {f"m{i}": float(i) for i in range(2300)}


def test_a_long_parameter_is_cut_and_says_so(tracker: MLflowTracker, uri: str):
    tracker.params({"long": "x" * 7000, "short": "y" * 6000})
    tracker.close()
    params = client(uri).get_run(tracker.run_id).data.params
    assert params["long"] == "x" * 5999 + "…"
    assert params["short"] == "y" * 6000


def test_nan_is_a_value(tracker: MLflowTracker, uri: str):
    tracker.metrics({"loss": math.nan}, 1)
    tracker.close()
    ((step, value),) = history(uri, tracker.run_id, "loss")
    assert step == 1 and math.isnan(value)


def test_numbers_are_held_back_and_sent_together(uri: str, monkeypatch: pytest.MonkeyPatch):
    tracker = MLflowTracker(experiment="held back", run_name="r", uri=uri, flush_seconds=3600)
    tracker.open()
    calls = []
    send = tracker._client.log_batch
    monkeypatch.setattr(tracker._client, "log_batch", lambda *a, **k: (calls.append(len(k["metrics"])), send(*a, **k)))
    for epoch in range(50):
        tracker.metrics({"loss": 1.0, "seconds": 2.0}, epoch)
    assert calls == []
    tracker.flush(now=True)
    assert calls == [100]
    tracker.close()
    assert len(history(uri, tracker.run_id, "loss")) == 50


@pytest.mark.parametrize("by", ["run_id", "folder", "run_id without a folder"])
def test_a_continued_run_is_the_same_run_and_logs_nothing_twice(tracker: MLflowTracker, uri: str, by: str):
    tracker.params({"lr": 0.1, "epochs": 3})
    for epoch in (1, 2, 3):
        tracker.metrics({"loss": float(epoch)}, epoch)
    tracker.flush(now=True)  # and is killed; its checkpoint was of epoch 1
    identifier = {"run_id": {"run_id": tracker.run_id}, "folder": {}, "run_id without a folder": {"run_id": tracker.run_id, "folder": None}}
    second = again(tracker, **identifier[by])
    second.params({"lr": 0.1, "epochs": 4})
    for epoch in (2, 3, 4):
        second.metrics({"loss": float(epoch) + 100}, epoch)
    second.close()
    assert second.run_id == tracker.run_id
    assert history(uri, tracker.run_id, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 104.0)]
    run = client(uri).get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1", "epochs": "3"}
    assert run.data.tags["changed.epochs"] == "4"
    assert "changed.lr" not in run.data.tags


def test_what_a_killed_process_had_not_sent_is_sent_when_the_run_is_continued(tracker: MLflowTracker, uri: str):
    tracker.flush_seconds = 3600
    tracker.metrics({"loss": 1.0}, 1)
    tracker.metrics({"loss": 2.0}, 2)
    assert history(uri, tracker.run_id, "loss") == []
    second = again(tracker)
    second.metrics({"loss": 3.0}, 3)
    second.close()
    assert second.run_id == tracker.run_id
    assert history(uri, tracker.run_id, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_store_that_fails_in_mid_run_is_a_warning_and_nothing_is_lost_when_it_comes_back(tracker: MLflowTracker, uri: str):
    tracker.flush_seconds = 0
    tracker.metrics({"loss": 1.0}, 1)
    working, tracker._client = tracker._client, Gone()
    with pytest.warns(RuntimeWarning, match=r"MLflow at sqlite.* failed: nobody answers; the run goes on, next attempt in 60 s$"):
        tracker.metrics({"loss": 2.0}, 2)
    tracker.metrics({"loss": 3.0}, 3)  # no second attempt, no second warning, no waiting
    tracker.params({"late": 1})
    tracker._client = working
    tracker.close()
    assert history(uri, tracker.run_id, "loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    run = client(uri).get_run(tracker.run_id)
    assert (run.data.params, run.info.status) == ({"late": "1"}, "FINISHED")


def test_a_store_that_stays_away_leaves_all_in_the_folder_to_be_sent_later(tracker: MLflowTracker, uri: str, tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    tracker.flush_seconds = 0
    tracker.open()
    tracker._client = Gone()
    with pytest.warns(RuntimeWarning, match="failed"):
        tracker.params({"dim": 8})
    tracker.metrics({"loss": 1.0}, 1)
    tracker.artifact(tmp_path / "config.json")
    with pytest.warns(RuntimeWarning, match=r"4 records did not reach MLflow at sqlite.*run has them: .*: nobody answers$"):
        tracker.close()
    assert history(uri, tracker.run_id, "loss") == []
    later = again(tracker)
    assert later.folder is not None
    later.replay(later.folder)
    run = client(uri).get_run(tracker.run_id)
    assert later.run_id == tracker.run_id
    assert (run.data.params, run.data.metrics, run.info.status) == ({"dim": "8"}, {"loss": 1.0}, "FINISHED")
    assert [file.path for file in client(uri).list_artifacts(tracker.run_id)] == ["config.json"]


def test_a_run_tracked_in_files_can_be_sent_to_mlflow_with_its_times(uri: str, tmp_path: Path):
    offline = FileTracker(tmp_path)
    offline.params({"dim": 8})
    offline.metrics({"loss": 1.0}, 1)
    offline.close("failed")
    (written,) = [record["time"] for record in read(tmp_path) if record["kind"] == "metrics"]
    tracker = MLflowTracker(experiment="offline", run_name="r", uri=uri)
    tracker.replay(tmp_path)
    run = client(uri).get_run(tracker.run_id)
    assert (run.data.params, run.info.status) == ({"dim": "8"}, "FAILED")
    (point,) = client(uri).get_metric_history(tracker.run_id, "loss")
    assert (point.step, point.value, point.timestamp) == (1, 1.0, int(written * 1000))


def test_a_folder_whose_run_is_of_another_store_begins_anew_there_with_all_it_holds(tracker: MLflowTracker, tmp_path: Path):
    tracker.metrics({"loss": 1.0}, 1)
    tracker.close()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    moved = again(tracker, uri=other)
    moved.metrics({"loss": 2.0}, 2)
    moved.close()
    assert moved.run_id != tracker.run_id
    assert history(other, moved.run_id, "loss") == [(1, 1.0), (2, 2.0)]


def test_the_store_is_the_argument_else_the_variable_else_a_file_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert MLflowTracker(experiment="e", run_name="r", uri="sqlite:///a/b.db").store == f"sqlite:///{tmp_path}/a/b.db"
    assert MLflowTracker(experiment="e", run_name="r").store == "http://127.0.0.1:9"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert MLflowTracker(experiment="e", run_name="r").store == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_store_that_cannot_be_opened_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str):
    with pytest.raises(RunError, match=r"^cannot open MLflow at nosuch://x; start it, or keep the record in a file: [^\n]*$"):
        MLflowTracker(experiment="e", run_name="r", uri="nosuch://x").params({})
    with pytest.raises(RunError, match="cannot open MLflow at sqlite"):
        MLflowTracker(experiment="e", run_name="r", uri=uri, run_id="0" * 32).open()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RunError, match=r"cannot open MLflow at http://127\.0\.0\.1:9"):
        MLflowTracker(experiment="e", run_name="r", uri="http://127.0.0.1:9").open()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write the run's record"):
        MLflowTracker(experiment="e", run_name="r", uri=uri, folder=tmp_path / "file" / "run").open()


def test_a_deleted_experiment_says_what_to_do(uri: str):
    MLflowTracker(experiment="gone", run_name="r", uri=uri).close()
    client(uri).delete_experiment(client(uri).get_experiment_by_name("gone").experiment_id)
    with pytest.raises(RunError, match=r"'gone'.*was deleted; restore it or choose another name"):
        MLflowTracker(experiment="gone", run_name="r", uri=uri).open()


@pytest.mark.parametrize("wrong", [{"experiment": ""}, {"run_name": ""}, {"flush_seconds": -1.0}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=r"experiment|flush_seconds"):
        MLflowTracker(**{"experiment": "e", "run_name": "r", **wrong})


@pytest.mark.parametrize(("given", "expected"), [(None, "true"), ("false", "false")])
def test_no_usage_data_is_sent_unless_the_user_asks_for_it(given: str | None, expected: str):
    code = (
        "import sys, os; from recsys.tracking import MLflowTracker; assert 'mlflow' not in sys.modules;"
        "from recsys.tracking.mlflow_store import import_mlflow; import_mlflow();"
        "from mlflow.telemetry.utils import is_telemetry_disabled;"
        "print(os.environ['MLFLOW_DISABLE_TELEMETRY'], is_telemetry_disabled())"
    )
    # MLflow keeps quiet in tests and on build servers by itself; that is not what is tested
    kept = ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    if given is not None:
        environment["MLFLOW_DISABLE_TELEMETRY"] = given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == expected
    if expected == "true":
        assert done.stdout.split()[1] == "True"
