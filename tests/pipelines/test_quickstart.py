"""The quick start's three experiments: what they are, and that the command trains, compares and says how to go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import cli, quickstart
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
        assert folder.name.startswith(f"quickstart-{name}-") and folder.name in out
    assert "against the first" in out and "shared test queries" in out and "recsys train runs/quickstart-mf-" in out


def test_the_ui_command_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert quickstart.ui_command().endswith(f"mlflow ui --backend-store-uri sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert quickstart.ui_command().endswith("--backend-store-uri http://host:5000")
