"""Lists that another program made, judged by the same rules; and ours as another library would report them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import cli
from recsys import foreign
from recsys.run import load

CONFIG = """
data: {Simulated: {users: 120, items: 40, clicks: 2500}}
split: GlobalTime
model: {MF: {dim: 4}}
fit: {epochs: 2}
evaluation: {metrics: [recall@5, ndcg@5, ndcg@3, coverage@5, gini@5, intra_list_distance@5], select: ndcg@5}
"""


@pytest.fixture
def place(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace)
    (workplace / "tiny.yaml").write_text(CONFIG)
    if not Path("runs/mf").exists():
        assert cli.main(["train", "tiny.yaml", "--name", "mf", "--tracking", "none"]) == 0
    return workplace


def lists() -> pl.DataFrame:
    """The lists of the run with original ids, in the order of items: only ranks tell what comes first."""
    run = load("runs/mf")
    rows = run.lists.explode("items").drop_nulls()
    rows = rows.with_columns(run.items[rows["items"]].alias("item"), (pl.int_range(pl.len()).over("user") + 1).alias("rank"))
    return rows.select("user", "item", "rank").sort("item")


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["evaluate", *argv, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv"])
def test_our_own_lists_have_our_own_numbers(place: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    path = Path(f"lists.{kind}")
    if kind == "parquet":
        lists().with_columns(-pl.col("rank").alias("score")).drop("rank").write_parquet(path)
    else:
        lists().write_csv(path, separator="\t" if kind == "tsv" else ",")
    for target in ("mf", "tiny.yaml"):
        found = said(capsys, target, "--lists", str(path))
        assert found["metrics"] == {name: value for name, value in load("runs/mf").metrics.items() if name.startswith("test/")}


def test_lists_that_are_kept_compare_with_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists().filter(pl.col("rank") <= 2).write_parquet("short.parquet")
    found = said(capsys, "mf", "--lists", "short.parquet", "--name", "theirs")
    assert cli.main(["compare", "mf", "theirs", "--metrics", "recall@5", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[1]["mean"]["mean"] == pytest.approx(found["metrics"]["test/recall@5"]) and rows[1]["difference"]["mean"] < 0
    assert rows[1]["gained"] == 0.0
    assert cli.main(["evaluate", "mf", "--lists", "short.parquet", "--name", "theirs"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["evaluate", "mf", "--lists", "short.parquet"]) == 0
    assert "are shorter than the deepest metric looks" in capsys.readouterr().out


def test_items_of_the_own_history_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = load("runs/mf")
    had = pl.DataFrame({"user": run.owners[run.train.owners.numpy()], "item": run.items[run.train.items.long().numpy()]}).unique()
    had.group_by("user").head(1).with_columns(pl.lit(1.0).alias("score")).write_parquet("seen.parquet")
    assert cli.main(["evaluate", "mf", "--lists", "seen.parquet"]) == 0
    assert "100.0 % of the recommended items are in the query's own history" in capsys.readouterr().out


def wrong(name: str) -> pl.DataFrame:
    given = lists()
    return {
        "no item": given.drop("item"),
        "no order": given.drop("rank"),
        "no user": given.rename({"user": "who"}),
        "unknown": given.with_columns(pl.when(pl.col("rank") == 1).then(pl.lit("nothing")).otherwise("item").alias("item")),
        "twice": pl.concat([given, given.head(1).with_columns(pl.lit(9).cast(pl.Int64).alias("rank"))]),
        "others": given.with_columns(pl.lit("nobody").alias("user")),
    }[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no item", "the lists have no column item; needed are user, item, and rank or score"),
        ("no order", "neither a column rank nor a column score"),
        ("no user", "the lists have no column user"),
        ("unknown", "recommended items are not known from training, such as 'nothing'"),
        ("twice", "twice; an item has one rank"),
        ("others", "no row of the lists belongs to a test query"),
    ],
)
def test_lists_that_are_no_lists(place: Path, capsys: pytest.CaptureFixture[str], name: str, message: str) -> None:
    wrong(name).write_parquet("wrong.parquet")
    assert cli.main(["evaluate", "mf", "--lists", "wrong.parquet"]) == 2
    assert message in capsys.readouterr().err


def test_as_another_library_reports_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "mf", "--as", "rectools")
    assert set(found["rectools"]) >= {"NDCG@5", "NDCG@3", "Recall@5"}
    assert found["rectools"]["Recall@5"] == found["metrics"]["test/recall@5"]
    assert found["rectools"]["NDCG@5"] < found["metrics"]["test/ndcg@5"]  # the ideal list has all five terms
    lists().write_parquet("lists.parquet")
    assert said(capsys, "mf", "--lists", "lists.parquet", "--as", "rectools")["rectools"] == found["rectools"]
    assert cli.main(["evaluate", "mf", "--as", "rectools"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "as rectools reports it" in out and "version 0.17.0" in out
    assert cli.main(["evaluate", "mf", "--as", "rectool"]) == 2
    assert f"known: {', '.join(foreign.LIBRARIES)}" in capsys.readouterr().err


def test_estimates_for_all_relevant_items(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "mf", "--unbiased", "{ItemPowerLaw: {power: 0.0}}")
    assert set(found) == {"run", "metrics", "recall@5", "dcg@5", "dcg@3"}
    for name in ("recall@5", "dcg@3"):  # with equal propensities all estimates are the naive one
        assert found[name]["snips"]["mean"] == pytest.approx(found[name]["naive"]["mean"])
        assert found[name]["effective"] == pytest.approx(found[name]["pairs"])
    lists().write_parquet("lists.parquet")
    assert said(capsys, "mf", "--lists", "lists.parquet", "--unbiased", "{ItemPowerLaw: {power: 0.0}}")["recall@5"] == found["recall@5"]
    found = said(capsys, "mf", "--unbiased", "ItemPowerLaw")
    assert found["recall@5"]["effective"] < found["recall@5"]["pairs"]
    assert cli.main(["evaluate", "mf", "--unbiased", "ItemPowerLaw", "--metrics", "recall@5"]) == 0
    assert "if all relevant items had been observed" in capsys.readouterr().out
    for argv, message in (
        (["--unbiased", "PowerLaw"], "ItemPowerLaw"),
        (["--name", "kept"], "--name keeps lists that are given with --lists"),
        (["--unbiased", "ItemPowerLaw", "--clip", "2"], "clip is 2.0"),
    ):
        assert cli.main(["evaluate", "mf", *argv]) == 2
        assert message in capsys.readouterr().err
