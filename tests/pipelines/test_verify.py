"""``recsys verify`` finds what was tampered with, ``recsys reproduce`` where two trainings part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from pipelines import cli
from recsys import environment
from recsys.run import load
from recsys.verification import compare_repetition

CONFIG = """
data: {Simulated: {users: 120, items: 40, clicks: 2500}}
split: GlobalTime
model: {MF: {dim: 4}}
sampler: {Uniform: {num: 2}}
fit: {epochs: 2, optimizer: {Adam: {lr: 0.01}}}
evaluation: {metrics: [recall@5, ndcg@5, coverage@5], select: ndcg@5}
"""


@pytest.fixture(scope="module")
def place(workplace: Path) -> Path:
    (workplace / "tiny.yaml").write_text(CONFIG)
    assert cli.main(["train", "tiny.yaml", "--name", "mf", "--tracking", "none"]) == 0
    return workplace


@pytest.fixture
def tampered(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Copies the run, lets a function spoil the copy, and gives what verify then says by check, and its exit code."""
    monkeypatch.chdir(place)

    def run(spoil: Callable[[Path], object]) -> tuple[int, dict[str, tuple[str, str]]]:
        shutil.rmtree("runs/copy", ignore_errors=True)
        shutil.copytree("runs/mf", "runs/copy")
        spoil(Path("runs/copy"))
        capsys.readouterr()
        code = cli.main(["verify", "copy", "--json"])
        checks = json.loads(capsys.readouterr().out)["checks"]
        return code, {check["name"]: (check["status"], check["said"]) for check in checks}

    return run


def about(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads((folder / "run.json").read_text())
    change(found)
    (folder / "run.json").write_text(json.dumps(found))


def test_a_sound_run_is_sound(tampered: Any) -> None:
    code, checks = tampered(lambda folder: None)
    assert code == 0 and {status for status, _ in checks.values()} == {"ok"}
    assert set(checks) == {
        "configuration",
        "values of queries",
        "intervals",
        "code and machine",
        "data",
        "split",
        "ledger",
        "ranking",
    }


def better(found: dict[str, Any]) -> None:
    found["metrics"]["test/recall@5"] += 1e-12


def other_option(found: dict[str, Any]) -> None:
    found["spec"]["model"]["init_args"]["init_std"] = 0.5


def other_interval(found: dict[str, Any]) -> None:
    found["intervals"]["test/ndcg@5"][0] *= 0.99


def coverage(found: dict[str, Any]) -> None:
    found["metrics"]["test/coverage@5"] = 1.0


def other_data(found: dict[str, Any]) -> None:
    found["data"]["fingerprint"] = "0" * 16


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (better, {"values of queries", "ranking"}),
        (other_option, {"configuration"}),
        (other_interval, {"intervals"}),
        (coverage, {"ranking"}),
        (other_data, {"data"}),
    ],
)
def test_a_record_that_was_changed_is_found(tampered: Any, change: Callable[[dict[str, Any]], None], wrong: set[str]) -> None:
    code, checks = tampered(lambda folder: about(folder, change))
    assert code == 1 and {name for name, (status, _) in checks.items() if status == "wrong"} == wrong, checks


def test_changed_values_lists_and_weights_are_found(tampered: Any) -> None:
    def values(folder: Path) -> None:
        frame = pl.read_parquet(folder / "test.parquet")
        frame.with_columns(pl.col("recall@5").reverse()).write_parquet(folder / "test.parquet")  # the mean stays

    def lists(folder: Path) -> None:
        frame = pl.read_parquet(folder / "test_lists.parquet")
        frame.with_columns(pl.col("items").list.reverse()).write_parquet(folder / "test_lists.parquet")

    def weights(folder: Path) -> None:
        stored = torch.load(folder / "model.pt", weights_only=True)
        stored["state"]["item.weight"][0] += 1.0
        torch.save(stored, folder / "model.pt")

    for spoil in (values, lists, weights):
        code, checks = tampered(spoil)
        assert code == 1 and checks["ranking"][0] == "wrong", spoil.__name__
        assert checks["values of queries"][0] == "ok", spoil.__name__


def test_another_machine_is_a_change_and_no_fault(tampered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = environment.facts()
    monkeypatch.setattr(environment, "facts", lambda: {**now, "cpu": "another", "threads": 64})
    code, checks = tampered(lambda folder: None)
    assert code == 0 and checks["code and machine"][0] == "changed"
    assert "64 now" in checks["code and machine"][1] and "another now" in checks["code and machine"][1]


def test_a_ledger_without_the_run_and_a_broken_one(tampered: Any, place: Path) -> None:
    (path,) = (place / "cache" / "ledgers").glob("*.jsonl")
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    try:
        path.write_text(lines[0])
        code, checks = tampered(lambda folder: None)
        assert code == 0 and checks["ledger"][0] == "changed" and "1 of the run's 2 entries" in checks["ledger"][1]
        path.write_text(lines[0].replace("MF", "SASRec") + "".join(lines[1:]))
        code, checks = tampered(lambda folder: None)
        assert code == 1 and checks["ledger"][0] == "wrong" and "from line 1 on" in checks["ledger"][1]
    finally:
        path.write_text(whole)


def test_reproduce_gives_the_same_to_the_bit(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    assert cli.main(["reproduce", "mf", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "bit-identical" and found["largest"] == 0.0 and found["again"] == "mf-again"
    assert cli.main(["reproduce", "mf"]) == 2  # the name is taken


def test_where_two_trainings_part(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert cli.main(["train", "tiny.yaml", "--name", "other", "--seed=1", "--tracking", "none"]) == 0
    first, other = load("runs/mf"), load("runs/other")
    found = compare_repetition(first, other, tolerance=0.0)
    assert found.verdict == "different" and found.said.startswith("they part in phase select, epoch 1: loss was ")
    gap = max(abs(first.metrics[name] - other.metrics[name]) for name in first.metrics if name.startswith("test/"))
    assert found.largest == gap > 0 and compare_repetition(first, other, tolerance=gap).verdict == "within tolerance"

    shutil.rmtree("runs/same", ignore_errors=True)
    shutil.copytree("runs/mf", "runs/same")
    stored = torch.load("runs/same/model.pt", weights_only=True)
    stored["state"]["user.weight"][3, 1] += 1e-6
    torch.save(stored, "runs/same/model.pt")
    found = compare_repetition(first, load("runs/same"))
    assert found.verdict == "within tolerance" and found.said == "all values are equal, and the weights user.weight are not"
    lines = Path("runs/same/history.jsonl").read_text().splitlines(keepends=True)
    Path("runs/same/history.jsonl").write_text("".join(lines[:-1]))
    assert f"had {len(lines)} epochs, and the second {len(lines) - 1}" in compare_repetition(first, load("runs/same")).said
