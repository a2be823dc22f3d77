"""The page of a comparison: complete, true to the numbers, and in need of nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from pipelines import cli
from recsys.run import load

pytest.importorskip("matplotlib")
CONFIG = """
data: {Simulated: {users: 150, items: 40, clicks: 3000}}
split: GlobalTime
model: {MF: {dim: 4}}
fit: {epochs: 2}
evaluation: {metrics: [recall@5, ndcg@5], select: recall@5}
"""


@pytest.fixture(scope="module")
def folder(workplace: Path) -> Path:
    (workplace / "one.yaml").write_text(CONFIG)
    for name, more in (("a", []), ("b", ["--model.dim=8"]), ("pop", ["--model=Popular"]), ("many", ["--seed=[1, 2]"])):
        assert cli.main(["train", "one.yaml", "--name", name, "--tracking", "none", *more]) == 0
    assert cli.main(["compare", "a", "b", "pop", "many", "--output", "out"]) == 0
    return workplace / "out"


class Balanced(HTMLParser):
    """Refuses tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "br", "hr", "img", "link", "input", "path", "use", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "use", "rect", "line"):
            assert self.open.pop() == tag


def test_the_page_needs_nothing_and_is_well_formed(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    outside = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert all((folder / name).is_file() for name in outside) and len(outside) == 4
    assert not re.search(r"<script|url\(http|@import", text)
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    for heading in ("recall@5", "ndcg@5", "Slices", "What it costs", "Seeds", "What the numbers mean"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("<svg") == 4  # two metrics, time, popularity


def test_the_tables_have_the_numbers_of_the_runs(folder: Path) -> None:
    rows = pl.read_csv(folder / "comparison.csv")
    assert rows["method"].to_list() == ["a", "b", "pop", "many"] * 2
    for name in ("a", "b", "pop"):
        run = load(folder.parent / "runs" / name)
        (row,) = rows.filter((pl.col("method") == name) & (pl.col("metric") == "ndcg@5")).to_dicts()
        assert row["mean"] == pytest.approx(run.metrics["test/ndcg@5"]) and row["queries"] == len(run.per_query["ndcg@5"].drop_nans())
        assert f"{run.metrics['test/ndcg@5']:.4f}" in (folder / "index.html").read_text()
        assert f"{run.metrics['test/ndcg@5']:.4f}" in (folder / "comparison.md").read_text()
    slices = pl.read_csv(folder / "slices.csv").filter((pl.col("metric") == "recall@5") & (pl.col("kind") == "history"))
    for name in ("a", "pop"):
        parts = slices.filter(pl.col("method") == name)
        whole = rows.filter((pl.col("method") == name) & (pl.col("metric") == "recall@5"))["mean"][0]
        assert (parts["mean"] * parts["queries"]).sum() / parts["queries"].sum() == pytest.approx(whole)
    values = pl.read_parquet(folder / "values.parquet")
    assert set(values.columns[1:]) == {
        *(f"{metric}, {name}" for name in ("a", "b", "pop") for metric in ("recall@5", "ndcg@5")),
        *(f"{metric}, many, seed {seed}" for seed in (1, 2) for metric in ("recall@5", "ndcg@5")),
    }
