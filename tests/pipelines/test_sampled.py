"""What sampled candidates would have said of stored runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import cli
from pipelines.sampled import swaps
from recsys.run import load

CONFIG = """
data: {Simulated: {users: 120, items: 40, clicks: 2500}}
split: GlobalTime
model: {MF: {dim: 4}}
fit: {epochs: 2}
evaluation: {metrics: [recall@5, recall@5~uniform9], select: recall@5}
"""


def test_the_expectation_is_near_the_sample_and_exact_at_its_ends(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    Path("tiny.yaml").write_text(CONFIG)
    assert cli.main(["train", "tiny.yaml", "--name", "mf", "--tracking", "none"]) == 0
    capsys.readouterr()
    assert cli.main(["sampled", "mf", "--metric", "recall@5", "--num", "9", "100000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["mf"]
    exact = load("runs/mf").metrics["test/recall@5"]
    assert found["recall@5"] == pytest.approx(exact, abs=1e-12) and found["recall@5~uniform100000"] == pytest.approx(exact, abs=1e-9)
    assert (
        found["recall@5~uniform9"] == pytest.approx(load("runs/mf").metrics["test/recall@5~uniform9"], abs=0.05)
        and found["recall@5~uniform9"] > exact
    )
    assert cli.main(["sampled", "mf", "--metric", "coverage@5"]) == 2
    assert "must be a metric of each query" in capsys.readouterr().err
    assert cli.main(["sampled", "mf", "--metric", "recall@5"]) == 0
    assert "The order of the runs is the same" in capsys.readouterr().out


def test_runs_that_change_places_are_named() -> None:
    assert swaps({"a": [0.2, 0.1], "b": [0.1, 0.9]}, ["ndcg@10", "ndcg@10~uniform99"]) == [
        "ndcg@10~uniform99 would put b over a, against the exact order."
    ]
