"""Results kept beside configs: recorded from real runs only, refused when a config has moved on, and shown in a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.results import PLACE, table_of, with_tables

ROOT = Path(__file__).parents[2]
CONFIG = """\
data: {Simulated: {users: 60, items: 200, clicks: 20}}
split: LastN
model: Popular
seed: 0
"""


@pytest.fixture
def shop(workplace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with one config and a finished run of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "shop").mkdir(parents=True)
    (tmp_path / "configs" / "shop" / "popular.yaml").write_text(CONFIG)
    assert main(["train", "configs/shop/popular.yaml", "--name", "one", "--tracking", "none"]) == 0
    return tmp_path


def add(*runs: str) -> int:
    return main(["results", "add", "configs/shop/popular.yaml", *runs])


def test_a_run_is_recorded_and_shown_with_its_interval_and_what_was_published(shop: Path):
    assert add("one") == 0
    about = json.loads((shop / "runs" / "one" / "run.json").read_text())
    (record,) = json.loads((shop / "configs" / "shop" / "results.json").read_text())["popular"]["runs"]
    assert record["metrics"]["test/recall@20"] == about["metrics"]["test/recall@20"]
    assert record["chosen_on"] == "valid"
    (shop / "configs" / "shop" / "published.yaml").write_text("popular: {recall@20: 0.5, ndcg@20: 0.25, source: a paper}\n")
    row = table_of(Path("configs/shop"))[2]
    value, (low, high) = about["metrics"]["test/recall@20"], about["intervals"]["test/recall@20"]
    assert row.startswith(f"| `popular` | {value:.4f} ({low:.4f} to {high:.4f}) |")
    assert row.endswith(f"| 1, {about['started'][:10]} | 0.5000 / 0.2500 (a paper) |")


def test_several_seeds_are_a_mean_and_a_deviation_and_one_seed_counts_once(shop: Path):
    assert main(["train", "configs/shop/popular.yaml", "--name", "two", "--tracking", "none", "--seed=1"]) == 0
    assert add("one", "two") == 0
    assert add("two") == 0
    records = json.loads((shop / "configs" / "shop" / "results.json").read_text())["popular"]["runs"]
    assert [record["seed"] for record in records] == [0, 1]
    value = records[0]["metrics"]["test/recall@20"]
    assert f"| {value:.4f} ± 0.0000 |" in table_of(Path("configs/shop"))[2]  # Popular knows no seed


def test_a_split_that_moves_with_the_seed_is_the_same_config(shop: Path, capsys: pytest.CaptureFixture[str]):
    common = ["train", "configs/shop/popular.yaml", "--tracking", "none"]
    assert main([*common, "--name", "moved", "--seed=3", "--split_seed=3"]) == 0 and add("moved") == 0
    assert main([*common, "--name", "apart", "--seed=3", "--split_seed=4"]) == 0 and add("apart") == 2
    assert "apart was not made with" in capsys.readouterr().err


def test_a_run_of_other_settings_is_refused(shop: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "configs/shop/popular.yaml", "--name", "other", "--tracking", "none", "--split.n=2"]) == 0
    assert add("other") == 2
    assert "other was not made with configs/shop/popular.yaml as it is now" in capsys.readouterr().err
    assert not (shop / "configs" / "shop" / "results.json").exists()


def test_a_config_that_was_changed_takes_its_figures_with_it(shop: Path, capsys: pytest.CaptureFixture[str]):
    assert add("one") == 0
    config = shop / "configs" / "shop" / "popular.yaml"
    config.write_text("# a comment changes nothing\n" + CONFIG)
    assert main(["results", "table", "configs/shop"]) == 0
    config.write_text(CONFIG.replace("LastN", "{LastN: {n: 2}}"))
    assert main(["results", "table", "configs/shop"]) == 2
    assert "popular.yaml was changed after its result was recorded" in capsys.readouterr().err


def test_the_table_is_written_between_the_marks_of_a_document_and_nowhere_else(shop: Path):
    assert add("one") == 0
    document = shop / "README.md"
    document.write_text("before\n<!-- results of shop: ndcg@20, recall@20 -->\nold\n<!-- end of results -->\nafter\n")
    for _ in range(2):  # writing again changes nothing
        assert main(["results", "table", "configs", "--into", "README.md"]) == 0
        lines = document.read_text().splitlines()
        assert lines[0] == "before" and lines[-1] == "after" and "old" not in lines
        assert lines[2].startswith("| config | test ndcg@20 | test recall@20 |") and len(lines) == 7


def test_the_tables_of_the_readme_are_those_of_the_recorded_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert PLACE.search(text)
    assert with_tables(text, ROOT / "configs") == text, "run: recsys results table configs --into README.md"


@pytest.mark.parametrize("recorded", sorted(ROOT.glob("configs/*/results.json")), ids=lambda path: path.parent.name)
def test_every_recorded_config_is_still_what_was_run(recorded: Path):
    assert len(table_of(recorded.parent)) >= 3
