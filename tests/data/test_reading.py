"""Block-wise reading is the same as reading at once, and keeps every id as it is."""

from __future__ import annotations

import csv
import gc
import gzip
import io
import json
import tempfile
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import check
from recsys.data.reading.delimited import Delimited
from recsys.data.reading.deliver import deliver
from recsys.data.reading.jsonlines import JSONLines
from recsys.data.reading.plan import IdType, Plan
from recsys.data.reading.quarantine import SCHEMA, Quarantine
from recsys.data.reading.streams import ahead
from recsys.data.sources import Frame, RecBole, Simulated, Table
from recsys.errors import ConfigError, DataError

NAMES = {"user": "u", "item": "i", "kind": "k"}
IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)
ROWS = st.lists(st.tuples(IDS, IDS, st.sampled_from(["a", 'b"c', "d,\ne", "ü\r\nx"])), min_size=1, max_size=30)


def read(file: Delimited | JSONLines, quarantine: Quarantine | None = None, ids: IdType = "text") -> pl.DataFrame:
    header = file.header() if isinstance(file, Delimited) else None
    head = file.head(NAMES, header) if isinstance(file, Delimited) else file.head(NAMES, ids)
    plan = Plan.of(NAMES, [head], ids=ids, time_unit="auto")
    chunks = file.chunks(plan, header) if isinstance(file, Delimited) else file.chunks(plan)
    return pl.concat(list(deliver(chunks, plan, quarantine, origin="it")))


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, size=st.integers(16, 200), newline=st.sampled_from(["\n", "\r\n"]), bom=st.booleans())
def test_csv_in_small_blocks(rows: list[tuple[str, str, str]], size: int, newline: str, bom: bool) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows([("u", "i", "k"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        path.write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.getvalue().encode())
        small, whole = read(Delimited(path, size=size)), read(Delimited(path))
        assert small.equals(whole) and whole.rows() == rows
        path.write_bytes(gzip.compress(path.read_bytes()))
        assert read(Delimited(path, size=size)).equals(whole)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, size=st.integers(16, 200), ascii_only=st.booleans(), tight=st.booleans())
def test_json_lines_in_small_blocks(rows: list[tuple[str, str, str]], size: int, ascii_only: bool, tight: bool) -> None:
    between = (",", ":") if tight else (", ", ": ")
    lines = [json.dumps({"u": u, "x": [{"u": 1}], "k": k, "i": i}, ensure_ascii=ascii_only, separators=between) for u, i, k in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_bytes("\n".join(lines).encode())
        small, whole = read(JSONLines(path, size=size)), read(JSONLines(path))
        assert small.equals(whole) and whole.rows() == rows


BROKEN = st.lists(st.sampled_from(["a,b,c", 'a,"b\nb",c', "a,b", "a,b,c,d", 'a,b"b,c', 'a,"b"b,c', 'a,"b,c', "", "a,\xe4,c"]), max_size=25)


@settings(max_examples=150, deadline=None)
@given(lines=BROKEN, size=st.integers(8, 60), newline=st.sampled_from(["\n", "\r\n"]))
def test_bad_records_are_the_same_whatever_the_blocks(lines: list[str], size: int, newline: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        path.write_bytes(newline.join(["u,i,k", "x,y,z", *lines, "x,y,z"]).encode("latin-1"))
        found = []
        for block in (size, 1 << 20):
            quarantine = Quarantine()
            frame = read(Delimited(path, size=block), quarantine)
            found.append((frame.rows(), quarantine.frame().rows()))
        assert found[0] == found[1]


def test_line_numbers_count_every_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b'\n\nu,i,k\n\n1,"2\n\n2",a\n3\n\n4,,a\n"5\n5\n5",6\n7,8,\xe4\n9,8,a\n10, ,a')
    quarantine = Quarantine()
    frame = read(Delimited(path), quarantine)
    assert frame.rows() == [("1", "2\n\n2", "a"), ("9", "8", "a")]
    assert quarantine.frame().select("line", "column", "value", "text").rows() == [
        (8, None, None, "3"),
        (10, "i", None, "4,,a"),
        (11, None, None, '"5\n5\n5",6'),
        (14, None, None, "7,8,\ufffd"),
        (16, "i", " ", "10, ,a"),
    ]


def test_a_mark_that_is_never_closed_costs_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text('u,i,k\n1,"2,a\n' + "3,4,b\n" * 1000)
    for size, limit in [(64, 200), (1 << 20, 200), (1 << 20, 1 << 20)]:
        quarantine = Quarantine()
        assert len(read(Delimited(path, size=size, limit=limit), quarantine)) == 1000
        assert quarantine.frame()["line"].to_list() == [2]


@pytest.mark.parametrize("pack", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet", "arrow", "feather", "ipc", "inter"])
def test_each_format_gives_the_same_events(tmp_path: Path, form: str, pack: str) -> None:
    frame = pl.DataFrame(
        {"u": [2**53 + 1, 2**31, -3], "i": ["é", "e\u0301", "007"], "t": [1_600_000_000_123, 1_600_000_001_000, 0], "w": [1.5, 2, 3]},
        strict=False,
    )
    frame = frame.with_columns(k=pl.Series(["clicks", "carts", "clicks"]), p=pl.Series(["train", "test", "valid"]))
    path = tmp_path / f"log.{form}{pack}"
    options: dict[str, Any] = {"user": "u", "item": "i", "time": "t", "time_unit": "ms", "weight": "w", "kind": "k", "part": "p"}
    plain = tmp_path / f"plain.{form}"
    if form in ("csv", "tsv"):
        frame.write_csv(plain, separator="," if form == "csv" else "\t")
    elif form == "inter":
        frame.rename({name: f"{name}:{'float' if name in 'tw' else 'token'}" for name in frame.columns}).write_csv(plain, separator="\t")
    elif form == "jsonl":
        frame.write_ndjson(plain)
    elif pack:
        return
    else:
        (frame.write_parquet if form == "parquet" else frame.write_ipc)(plain)
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[pack](plain.read_bytes()))
    source = RecBole(path, **options) if form == "inter" else Table(path, **options)
    found = pl.concat(list(source.batches()))
    assert found.equals(pl.concat(list(Frame(frame, **options).batches())))
    assert found.equals(source.events().collect()) and found.equals(check(source.events()))
    assert found["user"].to_list() == [2**53 + 1, 2**31, -3] and found["item"].to_list() == ["é", "e\u0301", "007"]
    assert found["time"].to_list()[0] == datetime(2020, 9, 13, 12, 26, 40, 123_000)
    assert found.schema == {
        "user": pl.Int64, "item": pl.String, "time": pl.Datetime("us"), "weight": pl.Float32, "kind": pl.String,
        "part": pl.Enum(["train", "valid", "test"]),
    }  # fmt: skip


def test_ids_as_texts_or_integers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,item\n1,2\n" * 1 + "".join(f"{n},{n}\n" for n in range(12_000)) + "x1,007\n")
    with pytest.raises(DataError, match=r"line 12003 is 'x1'; .*, or read all ids as texts with ids='text'"):
        list(Table(tmp_path / "a.csv", user="u").batches())
    last = list(Table(tmp_path / "a.csv", user="u", ids="text").batches())[-1]
    assert last.row(-1) == ("x1", "007")
    (tmp_path / "b.csv").write_text("u,item\n1,NaN\n2,null\n")
    with pytest.raises(DataError, match=r"line 2 is 'NaN'"):
        list(Table(tmp_path / "b.csv", user="u").batches())
    assert pl.concat(list(Table(tmp_path / "b.csv", user="u", ids="text").batches()))["item"].to_list() == ["NaN", "null"]
    (tmp_path / "c.jsonl").write_text('{"u": 1, "item": "2"}\n{"u": "x", "item": 3}\n{"u": 12345678901234567890, "item": 4}\n')
    found = pl.concat(list(Table(tmp_path / "c.jsonl", user="u", ids="text").batches())).rows()
    assert found == [("1", "2"), ("x", "3"), ("12345678901234567890", "4")]
    pl.DataFrame({"u": ["1", "x"], "item": [2, 3]}).write_parquet(tmp_path / "d.parquet")
    quarantine = Quarantine()
    kept = list(Table(tmp_path / "d.parquet", user="u", ids="integer").batches(quarantine))
    assert kept[0].rows() == [(1, 2)] and quarantine.frame().select("line", "column", "value").rows() == [(1, "u", "x")]
    with pytest.raises(ConfigError, match="ids='number'; allowed are auto, integer, text"):
        Table("a.csv", user="u", ids="number")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="on_error='skip'; allowed are raise, quarantine"):
        Table("a.csv", user="u", on_error="skip")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2026-01-31", datetime(2026, 1, 31)),
        ("2026-01-31T12:30:00.25", datetime(2026, 1, 31, 12, 30, 0, 250_000)),
        ("2026-01-31 12:30", datetime(2026, 1, 31, 12, 30)),
        ("2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30)),
        ("2026-01-31T12:30:00+02:00", datetime(2026, 1, 31, 10, 30)),
        ("2026-01-31 12:30:00 UTC", datetime(2026, 1, 31, 12, 30)),
    ],
)
def test_times_that_are_texts(tmp_path: Path, text: str, want: datetime) -> None:
    (tmp_path / "a.csv").write_text(f"u,item,t\n1,2,{text}\n")
    assert next(Table(tmp_path / "a.csv", user="u", time="t").batches())["time"].to_list() == [want]


def test_any_lazy_source_has_batches() -> None:
    source = Simulated(users=50, items=20, clicks=500)
    chunks = list(source.batches())
    assert pl.concat(chunks).equals(check(source.events()).select(chunks[0].columns))


def test_rows_below_the_least_weight_are_read_and_checked_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,item,w\n1,2,5\n,3,1\n4,5,1\n")
    source = Table(tmp_path / "a.csv", user="u", weight="w", min_weight=3)
    with pytest.raises(DataError, match=r"line 3 has no value"):
        list(source.batches())
    quarantine = Quarantine()
    assert len(pl.concat(list(source.batches(quarantine)))) == 2 and quarantine.rows == 1  # dropping them is a step, which is counted
    assert [type(step).__name__ for step in source.steps()] == ["Threshold"]


def test_a_quarantine_keeps_every_row_in_a_side_file(tmp_path: Path) -> None:
    count = 250_000
    (tmp_path / "a.csv").write_text("u,item\n1,2\n" + ",3\n" * count + "1," + "x" * 900 + "\n" + "1,\n")
    quarantine = Quarantine()
    list(Table(tmp_path / "a.csv", user="u", ids="text").batches(quarantine))
    assert quarantine.rows == count + 1
    quarantine.write(tmp_path / "bad.parquet")
    listed = pl.read_parquet(tmp_path / "bad.parquet")
    assert listed.schema == SCHEMA and listed["line"].to_list() == [*range(3, count + 3), count + 4]
    with pytest.raises(DataError, match=r"cannot be written to .*choose another place"):
        quarantine.write(tmp_path / "no" / "where" / "bad.parquet")


def test_text_in_a_quarantine_is_cut(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("u,item\n1,2\n," + "x" * 900 + "\n")
    quarantine = Quarantine()
    list(Table(tmp_path / "a.csv", user="u", ids="text").batches(quarantine))
    assert quarantine.frame()["text"].str.len_chars().to_list() == [500]


def test_reading_can_stop_early(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("u,i,k\n" + "1,2,a\n" * 10_000)
    file = Delimited(path, size=100)
    header = file.header()
    plan = Plan.of(NAMES, [file.head(NAMES, header)], ids="auto", time_unit="auto")
    chunks = file.chunks(plan, header)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    del chunks
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "recsys-read-ahead"]


def test_an_error_ahead_comes_after_what_was_before_it() -> None:
    def numbers() -> Any:
        yield 1
        yield 2
        raise DataError("three")

    found = []
    with pytest.raises(DataError, match="three"):
        for number in ahead(numbers()):
            found.append(number)
    assert found == [1, 2]
