"""A plan is frozen before its first run, and runs are told apart by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines import cli
from recsys.errors import ConfigError
from recsys.ledger import Ledger
from recsys.plan import Plan, standings
from recsys.run import load

BASE = """
data: {Simulated: {users: 80, items: 30, clicks: 1200}}
split: GlobalTime
model: {MF: {dim: 4}}
fit: {epochs: 1}
evaluation: {metrics: [recall@5], select: recall@5}
"""
PLAN = """
hypothesis: more negatives help
metric: recall@5
baseline: one.yaml
methods: [two.yaml]
seeds: [0, 1]
stop: when all four runs are there
"""


@pytest.fixture(scope="module")
def place(workplace: Path) -> Path:
    (workplace / "one.yaml").write_text(BASE)
    (workplace / "two.yaml").write_text(BASE + "sampler: {Unseen: {num: 2}}\n")
    (workplace / "other.yaml").write_text(BASE.replace("clicks: 1200", "clicks: 1201"))
    (workplace / "plan.yaml").write_text(PLAN)
    return workplace


def train(config: str, name: str, *more: str) -> None:
    assert cli.main(["train", config, "--name", name, "--tracking", "none", *more]) == 0


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    assert cli.main(list(argv)) == 2
    return capsys.readouterr().err


def test_a_plan_from_its_file_to_its_last_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "odd.yaml").write_text(PLAN.replace("two.yaml", "other.yaml"))
    assert "one.yaml and other.yaml are tested on different data" in refused(capsys, "register", "odd.yaml")
    (place / "odd.yaml").write_text(PLAN.replace("recall@5", "ndcg@7"))
    assert "one.yaml does not measure ndcg@7; it has recall@5" in refused(capsys, "register", "odd.yaml")
    (place / "same.yaml").write_text(BASE + "seed: 3\n")
    (place / "odd.yaml").write_text(PLAN.replace("two.yaml", "same.yaml"))
    assert "the same configuration" in refused(capsys, "register", "odd.yaml")

    train("one.yaml", "before", "--seed=7")
    assert "one.yaml has been tested on these data already (run before" in refused(capsys, "register", "plan.yaml")
    run = load("runs/before")
    Ledger(run.about["data"]["fingerprint"]).path.unlink()
    capsys.readouterr()
    assert cli.main(["register", "plan.yaml", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    train("two.yaml", "two-0")
    assert cli.main(["register", "plan.yaml", "--json"]) == 0  # again, though it has begun: it is the same plan
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == first
    (place / "later.yaml").write_text(PLAN.replace("seeds: [0, 1]", "seeds: [0]"))
    assert "two.yaml has been tested" in refused(capsys, "register", "later.yaml")

    train("one.yaml", "one-0")
    train("one.yaml", "one-5", "--seed=5")
    names = ("before", "two-0", "one-0", "one-5")
    runs = [(run.about["name"], run.about["started"]) for run in (load(f"runs/{name}") for name in names)]
    entries = Ledger(run.about["data"]["fingerprint"]).entries()
    (found,) = standings(runs, entries)
    assert [name for name, _ in found.confirmatory] == ["two-0", "one-0"] and found.missing == ("one.yaml, seed 1", "two.yaml, seed 1")
    assert found.plan.hypothesis == "more negatives help" and found.registered == first["registered"]
    assert standings(runs[3:], entries) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrc": "x"}, "'metrc' is no part of a plan"),
        ({"metric": None}, "metric is None; it must be a str"),
        ({"methods": []}, "methods is \\[\\]"),
        ({"methods": ["a.yaml"]}, "named twice"),
        ({"seeds": [1, 1]}, "named twice"),
        ({"seeds": ["a"]}, "seeds are whole numbers"),
        ({"level": 5.0}, "level is 5.0"),
    ],
)
def test_a_plan_that_says_too_little(change: dict[str, object], said: str) -> None:
    tree = {"hypothesis": "h", "metric": "recall@5", "baseline": "a.yaml", "methods": ["b.yaml"], "stop": "at once", **change}
    with pytest.raises(ConfigError, match=said):
        Plan.read(tree, "plan.yaml")
    with pytest.raises(ConfigError, match="hypothesis is missing"):
        Plan.read({"metric": "recall@5"}, "plan.yaml")
