"""The quick start's three experiments: what they are, and that the command trains, compares and says how to go on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pipelines import cli, quickstart
from recsys.comparison import Comparison, Entrant, compare
from recsys.data.sources import Simulated
from recsys.experiment import Experiment
from recsys.fit import Fit
from recsys.models import MF, Popular
from recsys.run_folder import find
from recsys.splitting import GlobalTime


def test_the_three_share_data_split_and_evaluation_and_fit_together() -> None:
    three = quickstart.experiments()
    assert list(three) == ["popular", "mf-uniform", "mf-topk"]
    first = three["popular"].spec()
    for experiment in three.values():
        experiment.check()
        spec = experiment.spec()
        assert all(spec[part] == first[part] for part in ("data", "split", "evaluation", "seed"))
    assert three["mf-uniform"].spec()["fit"] == three["mf-topk"].spec()["fit"]


def test_the_command_trains_compares_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, split = Simulated(users=100, items=30, clicks=2000), GlobalTime()
    small = {
        "popular": Experiment(data=data, split=split, model=Popular()),
        "mf": Experiment(data=data, split=split, model=MF(dim=4), fit=Fit(epochs=1)),
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(quickstart, "experiments", lambda: small)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["quickstart"]) == 0
    out, err = capsys.readouterr()
    assert "MLflow is not installed" in err
    for name, experiment in small.items():
        (folder,) = find(Path("runs"), experiment.fingerprint())
        assert folder.name.startswith(f"quickstart-{name}-") and f"\n {name} " in out
    assert "against popular" in out and "shared test queries" in out and "recsys train runs/quickstart-mf-" in out
    assert "\x1b" not in out + err, "no colours in a pipe"
    said = " ".join(out.split())
    assert "What was compared: 2 recommenders learnt from the same simulated shop log (2,000 clicks of " in said
    assert "What the table says: " in said
    assert cli.main(["quickstart", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert [list(run) for run in json.loads(line)["runs"]] == [["run", "metrics", "seconds"]] * 2


def told(name: str, recall: list[float]) -> Any:
    about = {"data": {"fingerprint": "d", "report": {"events": 9, "owners": 3, "items": 4}}, "facts": {"test": {"mask_seen": True}}}
    frame = pl.DataFrame({"user": range(len(recall)), "recall@20": recall})
    return SimpleNamespace(id=name, about=about, per_query=frame, queries=None)


def compared(**runs: Any) -> Comparison:
    return compare([Entrant(name, (run,)) for name, run in runs.items()], ["recall@20"])


def test_the_explanation_names_the_best_and_what_cannot_be_told_from_it() -> None:
    good, same, bad = [1.0] * 20 + [0.0] * 4, [1.0] * 20 + [0.0, 1.0, 0.0, 0.0], [0.0] * 24
    _, says = quickstart.explanation(compared(bad=told("1", bad), good=told("2", good), same=told("3", same)))
    assert says.startswith(
        "What the table says: same has the best recall@20; its lead over bad is more than chance among test users explains (p < 0.05), "
        "and it cannot be told from good with this many test users."
    )
    _, says = quickstart.explanation(compared(good=told("2", good), bad=told("1", bad)))
    assert "good has the best recall@20; its lead over bad is more than chance" in says and "cannot be told" not in says


def test_the_ui_command_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert quickstart.ui_command().endswith(f"mlflow ui --backend-store-uri sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert quickstart.ui_command().endswith("--backend-store-uri http://host:5000")
