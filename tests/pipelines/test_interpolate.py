"""Mixtures of two versions of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipelines import cli
from recsys.ledger import Ledger
from recsys.run import load

CONFIG = """
data: {Simulated: {users: 80, items: 30, clicks: 1200}}
split: GlobalTime
model: {MF: {dim: 4}}
fit: {epochs: 2}
evaluation: {metrics: [recall@5, coverage@5], select: recall@5}
"""


@pytest.fixture
def place(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace)
    (workplace / "one.yaml").write_text(CONFIG)
    for name, more in (("a", []), ("b", ["--seed=1"]), ("wide", ["--model.dim=8"]), ("biased", ["--model.bias=true"])):
        if not Path(f"runs/{name}").exists():
            assert cli.main(["train", "one.yaml", "--name", name, "--tracking", "none", *more]) == 0
    return workplace


def test_the_ends_are_the_two_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = load("runs/a"), load("runs/b")
    looks = len(Ledger(a.about["data"]["fingerprint"]).entries())
    capsys.readouterr()
    assert cli.main(["interpolate", "a", "b", "--points", "3", "--json"]) == 0
    first, middle, last = json.loads(capsys.readouterr().out)["points"]
    for end, run in ((first, a), (last, b)):
        assert end["summary"] == {name.removeprefix("test/"): v for name, v in run.metrics.items() if name.startswith("test/")}
    before, now = a.per_query["recall@5"], b.per_query["recall@5"]
    assert (first["lost"], first["gained"]) == (0.0, 0.0) and middle["share"] == 0.5
    assert last["lost"] == pytest.approx(((before > 0) & (now == 0)).mean()) and last["lost"] > 0
    assert last["gained"] == pytest.approx(((before == 0) & (now > 0)).mean())
    assert len(Ledger(a.about["data"]["fingerprint"]).entries()) == looks + 1


def test_the_middle_has_the_mean_weights(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recsys import interpolation

    seen = []
    model_of = interpolation.model_of
    monkeypatch.setattr(interpolation, "model_of", lambda stored, *rest: (seen.append(stored["state"]), model_of(stored, *rest))[1])
    assert cli.main(["interpolate", "a", "b", "--points", "3", "--json"]) == 0
    torch.testing.assert_close(seen[1]["item.weight"], (seen[0]["item.weight"] + seen[2]["item.weight"]) / 2)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["a", "wide"], "a and wide are not two versions of one model: their weights differ in item.weight, user.weight"),
        (["a", "biased"], "their weights differ in"),
        (["a", "b", "--points", "1"], "both ends are measured"),
    ],
)
def test_what_cannot_be_mixed(place: Path, capsys: pytest.CaptureFixture[str], argv: list[str], said: str) -> None:
    capsys.readouterr()
    assert cli.main(["interpolate", *argv]) == 2
    assert said in capsys.readouterr().err
