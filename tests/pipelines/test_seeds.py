"""A config with several seeds: the same runs as one by one, and what they say together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import cli
from recsys.run import load

CONFIG = """
data: {Simulated: {users: 80, items: 30, clicks: 1200}}
split: GlobalTime
model: {MF: {dim: 4}}
fit: {epochs: 2}
evaluation: {metrics: [recall@5, coverage@5], select: recall@5}
seed: [3, 5]
"""


@pytest.fixture(scope="module")
def place(workplace: Path) -> Path:
    (workplace / "many.yaml").write_text(CONFIG)
    assert cli.main(["train", "many.yaml", "--name", "many", "--tracking", "none"]) == 0
    return workplace


def test_each_seed_is_the_run_it_would_be_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert cli.main(["train", "many.yaml", "--name", "alone", "--seed=5", "--tracking", "none"]) == 0
    together, alone = load("runs/many/seed-5"), load("runs/alone")
    assert together.metrics == alone.metrics and together.per_query.equals(alone.per_query)
    told = json.loads(Path("runs/many/seeds.json").read_text())
    values = [load(f"runs/many/seed-{seed}").metrics["test/recall@5"] for seed in (3, 5)]
    found = told["metrics"]["test/recall@5"]
    assert told["runs"] == ["seed-3", "seed-5"] and found["seeds"] == {"3": values[0], "5": values[1]}
    assert found["mean"] == pytest.approx(sum(values) / 2) and found["both"][0] <= found["queries"][0] < found["mean"]
    assert "queries" not in told["metrics"]["test/coverage@5"]


def test_an_interrupted_series_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    before = Path("runs/many/seed-3/run.json").read_text()
    assert cli.main(["train", "many.yaml", "--name", "many", "--tracking", "none"]) == 2
    assert "is there already; continue it with --resume" in capsys.readouterr().err
    assert cli.main(["train", "many.yaml", "--name", "many", "--seed=[3, 5, 8]", "--tracking", "none", "--resume", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["run"] == "many" and list(said["metrics"]["test/recall@5"]["seeds"]) == ["3", "5", "8"]
    assert Path("runs/many/seed-3/run.json").read_text() == before  # not trained again


def test_seeds_are_one_method_in_a_comparison(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    assert cli.main(["train", "many.yaml", "--name", "wide", "--model.dim=8", "--tracking", "none"]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "many", "wide", "--json"]) == 0
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)["rows"] if row["metric"] == "recall@5"}
    assert len(rows["wide"]["seeds"]) == 2 and rows["wide"]["both"] is not None and rows["wide"]["difference"] is not None


@pytest.mark.parametrize("given", ["[1, 1]", "[]", "[a]", "[1.5]", "[true]"])
def test_what_is_no_list_of_seeds(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str) -> None:
    monkeypatch.chdir(place)
    assert cli.main(["train", "many.yaml", f"--seed={given}"]) == 2
    assert "is no list of different whole numbers" in capsys.readouterr().err


def test_the_resolved_config_keeps_the_list(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    capsys.readouterr()
    assert cli.main(["config", "many.yaml"]) == 0
    text = capsys.readouterr().out
    Path("resolved.yaml").write_text(text)
    assert cli.main(["config", "resolved.yaml"]) == 0
    assert capsys.readouterr().out == text and "seed: [3, 5]" in text
