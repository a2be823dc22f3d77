"""Runs compared from what MLflow has of them, when their folders are gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import cli
from recsys.run import load
from recsys.tracking.mlflow_runs import fetch, is_run_id, search

pytest.importorskip("mlflow")
CONFIG = """
data: {Simulated: {users: 80, items: 30, clicks: 1200}}
split: GlobalTime
model: {MF: {dim: 4}}
fit: {epochs: 1}
evaluation: {metrics: [recall@5], select: recall@5}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two runs in a store, their metrics, and no folder of either."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RECSYS_CACHE", str(folder / "cache"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        Path("tiny.yaml").write_text(CONFIG)
        for name, more in (("a", []), ("pop", ["--model=Popular"])):
            assert cli.main(["train", "tiny.yaml", "--name", name, *more]) == 0
        metrics = {name: load(f"runs/{name}").metrics for name in ("a", "pop")}
        shutil.rmtree("runs")
        yield metrics


def test_runs_are_compared_by_id_and_by_query(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ids = search("tags.model LIKE '%'")
    assert len(ids) == 2 and all(map(is_run_id, ids))
    capsys.readouterr()
    assert cli.main(["compare", *ids, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["run"]: pytest.approx(row["mean"]["mean"]) for row in rows} == {n: m["test/recall@5"] for n, m in store.items()}
    assert cli.main(["compare", ids[0], "--query", "tags.model = 'Popular'", "--json"]) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["a", "pop"]
    assert search("metrics.`test/recall_at_5` > 2") == []
    assert fetch(ids[0]).name == "a" and fetch(ids[0]) == fetch(ids[0])


def test_what_mlflow_does_not_have(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, said in (
        (["compare", "0" * 32, "1" * 32], "MLflow has no run " + "0" * 32),
        (["compare", "--query", "nonsense here"], "MLflow does not answer the query"),
        (["compare", "--query", "tags.model = 'Nothing'"], "a comparison needs at least two runs, and none is named"),
    ):
        assert cli.main(argv) == 2
        assert said in capsys.readouterr().err
