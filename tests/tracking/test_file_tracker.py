from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import RunError
from recsys.tracking import FileTracker
from recsys.tracking.file import FILE, read


def kinds(folder: Path) -> list[str]:
    return [record["kind"] for record in read(folder)]


def points(folder: Path) -> list[tuple[str, int | None, float]]:
    return [(name, r["step"], value) for r in read(folder) if r["kind"] == "metrics" for name, value in r["values"].items()]


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path):
    tracker = FileTracker(tmp_path / "run", tags={"git_commit": "abc"})
    tracker.params({"model": {"dim": 8}})
    tracker.metrics({"loss": 0.5, "valid/recall@20": 0.1}, 1)
    tracker.metrics({"test/recall@20": 0.2})
    tracker.close()
    records = list(read(tmp_path / "run"))
    assert [r["kind"] for r in records] == ["open", "params", "metrics", "metrics", "close"]
    assert records[0]["tags"] == {"git_commit": "abc"}
    assert records[1]["values"] == {"model": {"dim": 8}}
    assert (records[2]["step"], records[2]["values"]) == (1, {"loss": 0.5, "valid/recall@20": 0.1})
    assert (records[3]["step"], records[3]["values"]) == (None, {"test/recall@20": 0.2})
    assert records[4]["status"] == "finished"


def test_a_record_is_on_disk_before_the_run_ends(tmp_path: Path):
    tracker = FileTracker(tmp_path)
    tracker.metrics({"loss": 1.0}, 1)
    assert points(tmp_path) == [("loss", 1, 1.0)]


@given(st.floats(width=64))
def test_every_float_survives_and_every_line_is_strict_json(value: float):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tracker = FileTracker(folder)
        tracker.metrics({"x": value}, 7)
        tracker.close()
        for line in (Path(folder) / FILE).read_text().splitlines():
            json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        ((_, _, found),) = points(Path(folder))
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_a_continued_run_writes_no_metric_twice_and_keeps_the_first_value(tmp_path: Path):
    first = FileTracker(tmp_path)
    for epoch in (1, 2, 3):
        first.metrics({"loss": float(epoch), "seconds": 0.1}, epoch)
    again = FileTracker(tmp_path)  # the first was killed, its checkpoint was of epoch 1
    for epoch in (2, 3, 4):
        again.metrics({"loss": float(epoch), "seconds": 0.2}, epoch)
    again.metrics({"loss": 9.0})
    again.metrics({"loss": 10.0})
    again.close()
    assert [p for p in points(tmp_path) if p[0] == "loss"] == [("loss", e, float(e)) for e in (1, 2, 3, 4)] + [("loss", None, 9.0)]
    assert [p[2] for p in points(tmp_path) if p[0] == "seconds"] == [0.1, 0.1, 0.1, 0.2]


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path):
    tracker = FileTracker(tmp_path)
    tracker.metrics({"loss": 1.0}, 1)
    with (tmp_path / FILE).open("a") as stream:
        stream.write('{"kind": "metrics", "step": 2, "val')
    assert points(tmp_path) == [("loss", 1, 1.0)]
    again = FileTracker(tmp_path)
    again.metrics({"loss": 2.0}, 2)
    assert points(tmp_path) == [("loss", 1, 1.0), ("loss", 2, 2.0)]
    assert kinds(tmp_path) == ["open", "metrics", "open", "metrics"]


def test_an_artifact_within_the_folder_stays_and_any_other_is_copied(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (tmp_path / "report.txt").write_text("hello")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "a.svg").write_text("<svg/>")
    tracker = FileTracker(folder)
    for path in (folder / "config.json", tmp_path / "report.txt", tmp_path / "plots"):
        tracker.artifact(path)
    assert [r["path"] for r in read(folder) if r["kind"] == "artifact"] == ["config.json", "artifacts/report.txt", "artifacts/plots"]
    assert (folder / "artifacts" / "report.txt").read_text() == "hello"
    assert (folder / "artifacts" / "plots" / "a.svg").read_text() == "<svg/>"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt"):
        tracker.artifact(tmp_path / "nowhere.txt")


def test_closing_twice_is_closing_once_and_a_closed_record_takes_nothing(tmp_path: Path):
    tracker = FileTracker(tmp_path)
    tracker.close("failed")
    tracker.close()
    assert [r["status"] for r in read(tmp_path) if r["kind"] == "close"] == ["failed"]
    with pytest.raises(RunError, match="closed"):
        tracker.metrics({"loss": 1.0}, 1)


def test_an_unknown_status_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"'done'.*finished, failed, killed"):
        FileTracker(tmp_path).close("done")  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write the run's record .* choose another output folder"):
        FileTracker(tmp_path / "file" / "run").params({})


def test_a_folder_without_a_record_reads_as_empty(tmp_path: Path):
    assert list(read(tmp_path)) == []
