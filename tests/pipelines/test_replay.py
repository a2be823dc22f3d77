"""``recsys replay`` on the command line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipelines import cli
from recsys.run import Run

CONFIG = """
data: {Simulated: {users: 80, items: 40, clicks: 1500}}
split: GlobalTime
model: {MF: {dim: 4}}
sampler: {Uniform: {num: 8, per: batch}}
batches: {Shuffled: {size: 128}}
fit: {epochs: 2, refit: false}
"""


@pytest.fixture(scope="module")
def shop(workplace: Path) -> Path:
    (workplace / "tiny.yaml").write_text(CONFIG)
    assert cli.main(["train", "tiny.yaml", "--name", "first", "--tracking", "none"]) == 0
    return workplace


def test_a_step_is_shown_and_written_whole(shop: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    run = Run(shop / "runs" / "first")
    asked = ["replay", "first", "--step", "2", "--epoch", "1", "--rows", "3", "--output", "step.parquet"]
    assert cli.main(asked) == 0
    out, err = capsys.readouterr()
    table = pl.read_parquet(shop / "step.parquet")
    assert len(table) == 128 * 8 and err == ""
    lines = out.splitlines()
    assert lines[0].startswith("first: step 2 of ") and lines[0].endswith(" in epoch 1, phase select")
    assert lines[1].startswith("Weights: of the best epoch, ")
    assert lines[1].endswith("; the draw is that of epoch 1, step 2, had the model been this one.")
    assert "128 rows, 8 candidates each, " in lines[2] and lines[2].endswith("Held out: in the valid part.")
    assert "3 of 128 rows; of each the 5 different candidates that score highest" in out
    assert lines[-1] == "1,024 rows in step.parquet"
    first = table.filter(pl.col("row") == 0).sort("valid", "score", descending=True, maintain_order=True)
    body = next(line.split() for line in lines if line.split()[:2] == ["0", str(first["user"][0])])
    assert body[2:4] == [str(first["target"][0]), str(first["target_popularity"][0])]
    assert body[6:8] == [str(first["item"][0]), str(first["popularity"][0])]
    at = lines.index(next(line for line in lines if line.split()[:2] == ["0", str(first["user"][0])]))
    shown = [body[6], *(line.split()[0] for line in lines[at + 1 : at + 5])]
    assert shown == [str(item) for item in first["item"].unique(maintain_order=True)[:5]]
    assert set(table["item"].unique()) <= set(run.items)


def test_trained_again_the_step_says_so_and_shows_how_far_it_is(shop: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert cli.main(["replay", "first", "--step", "1", "--epoch", "2", "--exact"]) == 0
    out, err = capsys.readouterr()
    assert "Weights: trained again up to this step: the run's own." in out
    assert err.splitlines()[0] == "replay: training again, up to the step asked for, at most 2 epochs" and "epoch 1/2" in err


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--step", "0"], "recsys replay: --step is 0; it is at least 1"),
        (["--step", "99"], "step is 99; epoch"),
        (["--step", "1", "--epoch", "7"], "epoch is 7; the phase select of first came to epoch 2"),
        (["--step", "1", "--phase", "refit"], "first was not refitted (fit.refit); its only phase is select"),
        (["--step", "1", "--output", "nowhere/step.parquet"], "--output nowhere/step.parquet: there is no folder"),
        ([], "recsys replay: the following arguments are required: --step"),
    ],
)
def test_what_cannot_be_is_one_line(shop: Path, capsys: pytest.CaptureFixture[str], asked: list[str], message: str):
    capsys.readouterr()
    assert cli.main(["replay", "first", *asked]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and message in err
