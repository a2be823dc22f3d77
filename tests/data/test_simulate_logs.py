"""Generated log files: what is in them, that bytes repeat, that size changes nothing else; and the command that writes them."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.commands import UsageError
from pipelines.generate import generate
from recsys.data.simulate import logs, write_log
from recsys.errors import ConfigError


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "CHUNK", 1000)


def digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def test_sessions_are_like_otto(tmp_path: Path) -> None:
    path, rows = tmp_path / "log.jsonl", 400_000
    write_log(path, rows=rows, kind="otto", seed=1)
    first = path.read_text().split("\n", 1)[0]
    assert json.dumps(json.loads(first), separators=(",", ":")) == first and first.startswith('{"session":0,"events":[{"aid":')
    sessions = pl.read_ndjson(path)
    assert sessions["session"].to_list() == list(range(len(sessions)))
    length = sessions["events"].list.len()
    assert length.sum() == rows and length.max() <= 500 and length[:-1].min() >= 2
    assert 14.5 < length.mean() < 17.5 and 5 <= length.median() <= 7 and 130 < length.quantile(0.99) < 200
    assert length.top_k(len(length) // 100).sum() > 0.12 * rows  # heavy tailed
    events = sessions.explode("events").unnest("events")
    assert events.columns == ["session", "aid", "ts", "type"]
    shares = dict(events["type"].value_counts(normalize=True).rows())
    assert shares == pytest.approx({"clicks": 0.9, "carts": 0.075, "orders": 0.025}, abs=0.004)
    assert (events.select(pl.col("ts").diff().over("session")).to_series().drop_nulls() > 0).all()
    start = events.group_by("session", maintain_order=True).agg(pl.col("ts").first())["ts"]
    assert start.is_sorted() and start[0] >= logs.OTTO_START and start[-1] < logs.OTTO_START + logs.OTTO_PERIOD
    assert start[len(start) // 2] == pytest.approx(logs.OTTO_START + logs.OTTO_PERIOD / 2, abs=0.02 * logs.OTTO_PERIOD)


def test_popularity_is_zipf_like(tmp_path: Path) -> None:
    """The counts of the most popular ids against the law itself."""
    path, rows = tmp_path / "log.csv", 400_000
    write_log(path, rows=rows, kind="csv", seed=2)
    for column, number, exponent in (("user", rows // 33, 0.8), ("item", rows // 80, 0.9)):
        counts = pl.read_csv(path)[column].value_counts()["count"].sort(descending=True).to_numpy()
        weight = (np.arange(number) + 0.5 + 20.0) ** -exponent
        expected = rows * weight / weight.sum()
        assert counts[:50].sum() == pytest.approx(expected[:50].sum(), rel=0.04)
        assert counts[: number // 10].sum() == pytest.approx(expected[: number // 10].sum(), rel=0.04)
        assert 0.97 * number < len(counts) <= number


def test_ratings_with_exact_duplicates(tmp_path: Path, small_chunks: None) -> None:
    path = tmp_path / "log.csv"
    write_log(path, rows=60_030, kind="csv", seed=3)
    assert path.read_text().startswith("user,item,rating,timestamp\n")
    frame = pl.read_csv(path)
    assert len(frame) == 60_030 and set(frame["rating"]) == {1, 2, 3, 4, 5}
    assert len(frame) - len(frame.unique()) == 60_000 // 50
    assert frame["timestamp"].min() >= logs.CSV_START and frame["timestamp"].max() < logs.CSV_START + logs.CSV_PERIOD
    again = frame.with_row_index().filter(frame.is_duplicated())
    assert len(again) == 2 * 60_000 // 50  # pairs


@pytest.mark.parametrize("kind", ["otto", "csv"])
def test_any_number_of_rows_in_any_number_of_chunks(tmp_path: Path, kind: logs.Kind, small_chunks: None) -> None:
    for rows in (1, 2, 999, 1000, 1001, 3217):
        path, told = tmp_path / "log", []
        write_log(path, rows=rows, kind=kind, seed=4, on_progress=told.append)
        if kind == "csv":
            assert len(pl.read_csv(path)) == rows
        else:
            sessions = pl.read_ndjson(path)
            assert sessions["events"].list.len().sum() == rows and sessions["session"].to_list() == list(range(len(sessions)))
        assert told == [*range(1000, rows, 1000), rows]


def test_the_bytes_repeat_in_another_process_and_change_with_the_seed(tmp_path: Path) -> None:
    write = "write_log(f'there.{kind}', rows=5000, kind=kind, seed=5)"
    code = f"from recsys.data.simulate import write_log\nfor kind in ('otto', 'csv'):\n    {write}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    for kind in ("otto", "csv"):
        here, there, other = (tmp_path / f"{name}.{kind}" for name in ("here", "there", "other"))
        write_log(here, rows=5000, kind=kind, seed=5)
        write_log(other, rows=5000, kind=kind, seed=6)
        assert digest(here) == digest(there) != digest(other)


def test_an_interrupted_file_is_not_there(tmp_path: Path, small_chunks: None) -> None:
    def stop(done: int) -> None:
        if done == 2000:
            raise KeyboardInterrupt

    path = tmp_path / "log.csv"
    with pytest.raises(KeyboardInterrupt):
        write_log(path, rows=5000, kind="csv", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rows=0"):
        write_log(tmp_path / "x", rows=0, kind="csv")
    with pytest.raises(ConfigError, match="kind='json'; allowed are otto, csv"):
        write_log(tmp_path / "x", rows=1, kind="json")
    assert list(tmp_path.iterdir()) == []


def test_scattered_ids_are_a_permutation() -> None:
    """Every id of a small catalogue turns up: none is shared by two ranks."""
    for number in (1, 2, 7, 10, 100, 101):
        ids = logs._zipf(200_000, number, 0.85, np.random.default_rng(0))
        assert np.array_equal(np.unique(ids), np.arange(number))


# ---------------------------------------------------------------------------------------------------- recsys data generate
def arguments(path: Path, rows: int = 3000, seed: int = 7, force: bool = False) -> argparse.Namespace:
    return argparse.Namespace(file=path, rows=rows, seed=seed, force=force)


def test_the_command_writes_by_suffix_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str], small_chunks: None) -> None:
    for name, kind in (("a.jsonl", "otto"), ("b.CSV", "csv")):
        path, same = tmp_path / name, tmp_path / "same"
        assert generate(arguments(path)) == 0
        printed = capsys.readouterr()
        assert printed.out == f"{path}\n" and "3,000 of 3,000 events (100%)" in printed.err
        write_log(same, rows=3000, kind=kind, seed=7)
        assert path.read_bytes() == same.read_bytes()


def test_the_command_replaces_nothing_unless_told_to(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"log\.csv is there already; add --force"):
        generate(arguments(path))
    assert path.read_text() == "mine"
    assert generate(arguments(path, rows=10, force=True)) == 0 and len(pl.read_csv(path)) == 10


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("log.parquet", 5, r"ends in '.parquet'; write .jsonl"),
        ("log.csv", 0, "--rows=0"),
        ("no/log.csv", 5, "is in no folder"),
        (".csv", 5, "ends in ''"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path: Path, name: str, rows: int, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        generate(arguments(tmp_path / name, rows=rows))
    assert "\n" not in str(caught.value)
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        generate(arguments(tmp_path / "dir.csv"))
