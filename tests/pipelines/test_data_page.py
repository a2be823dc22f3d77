from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines import charts
from pipelines.audit import audit
from pipelines.data_page import write_page
from pipelines.describe import describe
from recsys.data.describe import Survey, cleaning_table, survey
from recsys.errors import ConfigError

CLEANING = [
    {"step": "Threshold(least=2.0)", "fit": None, "fold": None, "events": [200, 150], "owners": [20, 19], "items": [30, 28]},
    {"step": "KCore(owner=2, item=2, fit='all')", "fit": "all", "fold": None, "events": [150, 120], "owners": [19, 15], "items": [28, 14]},
    {"step": "MinSupport(5)", "fit": "train", "fold": "refit", "events": [100, 90], "owners": [15, 15], "items": [14, 12]},
]
AUDIT = {
    "status": "red",
    "checks": [
        {"name": "training after the first test event", "status": "red", "text": "Test: 3 training events after it.", "details": {}},
        {"name": "drift along the log", "status": "not applicable", "text": "Fewer than 50 <users>.", "details": {}},
    ],
}


def a_log(events: int = 200) -> Survey:
    g = np.random.default_rng(0)
    start = datetime(2026, 1, 1)
    return survey(
        pl.DataFrame(
            {
                "user": g.integers(20, size=events),
                "item": (30 * g.random(events) ** 2).astype(int),
                "time": [start + timedelta(minutes=int(m)) for m in g.integers(60 * 24 * 40, size=events)],
                "weight": g.integers(1, 6, size=events).astype(float),
                "kind": g.choice(["view", "<b>buy</b>"], size=events),
                "part": g.choice(["train", "test"], size=events),
            }
        )
    )


class Reader(HTMLParser):
    """Open elements, headings and cells of a page; every element that is not empty must be closed in its place."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [str(value) for name, value in attrs if name in ("href", "src", "xlink:href") and not str(value).startswith("#")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and data.strip():
            self.words.append(" ".join(data.split()))


def test_a_page_holds_everything_and_needs_nothing(tmp_path: Path) -> None:
    found = a_log()
    written = write_page(tmp_path / "page" / "index.html", "Shop <1>", found.facts, found.tables, CLEANING, AUDIT)
    page = written[0].read_text()
    read = Reader(page)
    names = {"lengths", "popularity", "days", "hours", "weights", "kinds", "parts", "cleaning"}
    assert {path.name for path in written} == {path.name for path in (tmp_path / "page").iterdir()}
    assert {path.stem for path in written if path.suffix == ".parquet"} == names
    assert set(read.links) == {"facts.json", *(f"{name}.parquet" for name in names)} and not re.search(r"https?://(?!www\.w3\.org)", page)
    assert "Shop <1>" in read.words and "<b>buy" not in page
    assert read.counts["h1"] == 1 and read.counts["h2"] == 6 and "script" not in read.counts
    assert read.counts["svg"] == 10  # popularity, concentration, time, week, lengths, weights, kinds, parts, cleaning before and after
    assert f"200 events of 20 users on {found.facts['items']} items, from 2026-01-01 to 2026-02-09." in read.words
    assert json.loads((tmp_path / "page" / "facts.json").read_text()) == found.facts
    for name, table in {**found.tables, "cleaning": cleaning_table(CLEANING)}.items():
        assert pl.read_parquet(tmp_path / "page" / f"{name}.parquet").equals(table)
    again = write_page(tmp_path / "again" / "index.html", "Shop <1>", found.facts, found.tables, CLEANING, AUDIT)
    assert again[0].read_text() == page


def test_cleaning_and_audit_are_told_in_words(tmp_path: Path) -> None:
    found = a_log()
    words = Reader(write_page(tmp_path / "a.html", "Shop", found.facts, found.tables, CLEANING, AUDIT)[0].read_text()).words
    row = words[words.index("150 → 120") - 2 :][:8]
    kcore = ["KCore(owner=2, item=2, fit='all')", "all events", "150 → 120", "30 (20 %)", "19 → 15", "4 (21 %)", "28 → 14", "14 (50 %)"]
    assert row == kcore
    assert words[words.index("MinSupport(5)", words.index("counted in")) + 1] == "training + validation events"
    at = words.index("Test: 3 training events after it.")
    assert words[at - 2 : at] == ["training after the first test event", "red"]
    assert "not applicable" in words and "Fewer than 50 <users>." in words
    plain = write_page(tmp_path / "b.html", "Shop", found.facts, found.tables)[0].read_text()
    assert "What cleaning removed" not in plain and "Leak audit" not in plain


def test_colours_are_those_of_the_page() -> None:
    drawn = charts.popularity(a_log().tables["popularity"])
    assert "var(--accent)" in drawn and "var(--ink)" in drawn
    assert not re.search(r"#0[1-4]0[1-4]0[1-4]|#000000|#ffffff|fill: black", drawn)
    assert drawn.startswith("<svg role=") and "<metadata" not in drawn and "<!DOCTYPE" not in drawn


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"user": [1], "item": [1], "time": [datetime(2026, 1, 1)], "weight": [0.0]}),
        pl.DataFrame({"session": ["a", "b"], "item": [1, 1]}),
        pl.DataFrame({"user": [1, 2], "item": [1, 1], "time": [datetime(1970, 1, 1), datetime(2199, 12, 31)]}),
        pl.DataFrame({name: np.arange(60) for name in ("user", "item", "weight")}).with_columns(kind=pl.format("the kind no {}", "item")),
    ],
)
def test_small_and_strange_logs_have_pages(tmp_path: Path, frame: pl.DataFrame) -> None:
    found = survey(frame)
    emptied = [{"step": "KCore()", "fit": "all", "fold": None, "events": [0, 0], "owners": [0, 0], "items": [0, 0]}]
    page = Reader(write_page(tmp_path / "index.html", "Log", found.facts, found.tables, emptied)[0].read_text())
    assert page.counts["svg"] >= 4 and "nan" not in " ".join(page.words).lower().split()


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = a_log()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r'pip install "recsys-axes\[plot\]"'):
        write_page(tmp_path / "index.html", "Log", found.facts, found.tables)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ the commands

SHOP = "data: {Simulated: {clicks: 2500, users: 60, items: 80}}\nsplit: %s\nmodel: Popular\n"
CROOKED = """
from recsys.splitting import LastN

class Crooked(LastN):
    '''Promises a cut in time, and does something else.'''

    def promise(self, owner_kind):
        return "global"
"""
Shop = Callable[..., argparse.Namespace]


@pytest.fixture(scope="module")
def shop(workplace: Path) -> Shop:
    (workplace / "shop.yaml").write_text(SHOP % "LastN")
    (workplace / "crooked.py").write_text(CROOKED)
    (workplace / "crooked.yaml").write_text(SHOP % "crooked.Crooked")

    def args(**given: object) -> argparse.Namespace:
        return argparse.Namespace(**{"overrides": [], "json": False, "output": None, "command": "data describe", **given})

    return args


def test_describe_prints_and_writes(shop: Shop, capsys: pytest.CaptureFixture[str], workplace: Path) -> None:
    assert describe(shop(source="Simulated", overrides=[("data.clicks", "500"), ("data.users", "50")], output=workplace / "out")) == 0
    said = capsys.readouterr()
    assert "share of items with fewer than 5 events" in said.out and f"wrote {workplace / 'out' / 'index.html'}" in said.err
    page = (workplace / "out" / "index.html").read_text()
    assert "<h1>Simulated</h1>" in page and "Leak audit" not in page
    assert describe(shop(source="shop.yaml", json=True)) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 2500


def test_describe_of_an_experiment_has_the_audit(shop: Shop, capsys: pytest.CaptureFixture[str], workplace: Path) -> None:
    assert describe(shop(source="shop.yaml", output=workplace / "whole")) == 0
    words = Reader((workplace / "whole" / "index.html").read_text()).words
    assert "Simulated, shop.yaml" in words and "Leak audit" in words and "test pairs in training" in words


def test_audit_of_an_honest_split(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(shop(config=Path("shop.yaml"))) == 0
    said = capsys.readouterr().out
    assert "Leak audit of shop.yaml" in said and "No check is red. Say so where you report the numbers: training after the first" in said
    assert re.search(r"test pairs in training +green +Test: no test pair of \d+ in the training log\.", said)
    assert "\x1b" not in said  # no colours in a pipe; the words are there
    assert audit(shop(config=Path("shop.yaml"), json=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "amber" and len(found["checks"]) == 7 and re.fullmatch(r"[0-9a-f]{16}", found["fingerprint"])


def test_audit_of_a_split_that_breaks_its_promise(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(shop(config=Path("crooked.yaml"))) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"training after the first test event +RED +Test: [\d,]+ training events", said)
    assert "Red: training after the first test event. The test of this split does not mean what the split promises" in said
