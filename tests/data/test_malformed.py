"""Malformed input: every bad row ends the reading with its place and advice, or is set aside and listed; none is lost in silence."""

from __future__ import annotations

import gzip
import re
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.reading.quarantine import Quarantine
from recsys.data.sources import Source, Table
from recsys.errors import DataError

from .malformed import FORMATS, PACK, Log, cut_file, faults, make

ADVICE = re.compile(r"mend|drop|fill|convert|check|say |write|keep|quote|double|close|fetch|are finite|>= 0|written like|rename|give|save")
CASES = [(form, pack) for form in FORMATS for pack in (("",) if form in ("parquet", "arrow") else PACK)]


def events_of(source: Source, quarantine: Quarantine | None = None) -> list[tuple[Any, ...]]:
    frame = pl.concat(list(source.batches(quarantine)))
    seconds = pl.col("time").dt.epoch("s")
    return frame.with_columns(seconds, pl.col(pl.Enum).cast(pl.String)).rows()


def check_log(log: Log) -> None:
    """What is promised of a log with bad rows, in both modes."""
    with pytest.raises(DataError) as caught:
        events_of(log.source())
    said = str(caught.value)
    assert log.path.name in said and "\n" not in said and ADVICE.search(said), said
    assert re.search(rf"(line|row) {log.bad[0]}\b", said), (said, log.bad)
    quarantine = Quarantine()
    assert events_of(log.source(on_error="quarantine"), quarantine) == log.events
    listed = quarantine.frame()
    assert listed["line"].to_list() == log.bad and quarantine.rows == len(log.bad)
    assert listed["file"].unique().to_list() == [str(log.path)] and listed["reason"].null_count() == 0
    assert log.source(on_error="quarantine").events().collect().height == len(log.events)


@pytest.mark.parametrize(("form", "pack"), CASES)
def test_each_fault_alone(tmp_path: Path, form: str, pack: str) -> None:
    for number, fault in enumerate(faults(form)):
        check_log(make(tmp_path, form, pack, 12, {3 + number % 9: fault}))


def test_there_are_many_faults() -> None:
    assert sum(len(faults(form)) for form, _ in CASES) >= 200


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_faults_together(data: st.DataObject) -> None:
    form, pack = data.draw(st.sampled_from(CASES))
    size = data.draw(st.integers(8, 60))
    rows = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size // 3, unique=True))
    # a mark that is not closed and a later stray one are together a quoted field over several lines, which is well-formed
    kinds = sorted(faults(form).keys() - {data.draw(st.sampled_from(["never closed", "mark inside"]))})
    spoilt = {at: data.draw(st.sampled_from(kinds)) for at in rows}
    newline, bom = data.draw(st.sampled_from([b"\n", b"\r\n"])), data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        check_log(make(Path(folder), form, pack, size, spoilt, newline=newline, bom=bom))


@settings(max_examples=60, deadline=None)
@given(form=st.sampled_from([case for case in CASES if case[1] or case[0] in ("parquet", "arrow")]), at=st.floats(0.02, 1))
def test_a_file_that_was_cut_short(form: tuple[str, str], at: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = make(Path(folder), *form, 40, {})
        assert events_of(log.source()) == log.events
        log.path.write_bytes(cut_file(log.path.read_bytes(), at))
        for quarantine in (None, Quarantine()):
            with pytest.raises(DataError, match=f"{re.escape(log.path.name)} .*(fetch|pack|write|give)"):
                events_of(log.source(), quarantine)


@settings(max_examples=40, deadline=None)
@given(where=st.floats(0, 1), flip=st.integers(1, 255))
def test_a_damaged_gzip_archive(where: float, flip: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = make(Path(folder), "csv", ".gz", 200, {})
        content = bytearray(log.path.read_bytes())
        content[12 + int(where * (len(content) - 13))] ^= flip
        log.path.write_bytes(bytes(content))
        with pytest.raises(DataError, match=r"log.csv.gz"):
            events_of(log.source(), Quarantine())


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=300), ending=st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".arrow", ".csv.gz", ".jsonl.zst"]))
def test_any_bytes_end_in_a_data_error_or_in_events(content: bytes, ending: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"log{ending}"
        packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
        path.write_bytes(packed(content))
        with pytest.raises(DataError, match="log") as caught:
            events_of(Table(path, user="who", item="what"), Quarantine())
        assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.text(st.sampled_from('ab1,"\n\r\0 é'), max_size=12), max_size=12))
def test_after_a_header_no_row_is_lost(lines: list[str]) -> None:
    """Whatever stands below the header: each line but blank ones is in a good record or in the quarantine, and none in both."""
    body = "7,8\n" + "\n".join(lines)
    physical = body.removesuffix("\n").split("\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        path.write_bytes(b"who,what\n" + body.encode())
        quarantine = Quarantine()
        frame = pl.concat(list(Table(path, user="who", item="what", ids="text").batches(quarantine)))
        listed = quarantine.frame()
        covered = sum(1 + user.count("\n") + item.count("\n") for user, item in frame.rows())
        covered += sum(1 + text.count("\n") for text in listed["text"])
        assert sum(line not in ("", "\r") for line in physical) <= covered <= len(physical)
        numbers = listed["line"].to_list()
        assert numbers == sorted(set(numbers))


TEXT = "who,what,when\n" + "".join(f"{at % 5},{at},{1_600_000_000 + at}\n" for at in range(50))


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        (
            "a.csv",
            TEXT + "x,1,1600000000\n",
            {"ids": "integer"},
            r"a.csv: column 'who' \(user\), line 52 is 'x'; .*ids='text'",
        ),
        ("a.csv", TEXT + "9,12.0,1600000000\n", {}, r"column 'what' \(item\), line 52 is '12.0'; ids are .*ids='text'"),
        ("a.csv", TEXT + f"9,{2**63},1600000000\n", {}, rf"line 52 is '{2**63}'; ids are 64-bit integers, .*ids='text'"),
        ("a.csv", TEXT.replace(",160", ",-160"), {}, r"line 2 is 19.*as in 50 rows of the first 50; times lie .* check time_unit"),
        ("a.csv", TEXT, {"time_unit": "us", "time": None}, None),
        ("a.csv", TEXT.replace("\n7", "\n\n7") + "\n\n", {}, None),
        ("a.csv", "who,what,when\n", {}, "a.csv has a header and nothing else"),
        ("a.csv", '"who,what\n1,2\n', {}, "a.csv, line 1, the header: a quotation mark is never closed"),
        ("a.csv", b"wh\xf6,what,when\n1,2,3\n", {}, "a.csv, line 1, the header: the text is not UTF-8"),
        ("a.csv", "who,what,when,when\n1,2,3,4\n", {}, "a.csv has several columns named 'when'; rename all but one"),
        ("a.jsonl", '[{"who": 1, "what": 2, "when": 3}]', {}, "a.jsonl, line 1: the line is not a JSON object: write one object a line"),
        ("a.jsonl", '{"who": 1}\n', {}, r"a.jsonl: no column 'what' \(named for item\) among 'who'; say which"),
        ("a.jsonl", "\n\n", {}, "a.jsonl is empty"),
        ("a.jsonl", '{"who": 1.5, "what": 2, "when": 3}\n', {}, "a.jsonl: column 'user' is Float64; ids through floats change silently"),
        ("a.arrow", b"PAR1", {}, "a.arrow is not a Arrow file, as its first bytes say"),
        ("a.csv.gz", TEXT, {}, "a.csv.gz is not a .gz archive, as its first bytes say"),
        ("a.csv", b"ARROW1\0\0", {}, "a.csv is an Arrow file, as its first bytes say; rename it to .arrow"),
    ],
)
def test_named_mistakes(tmp_path: Path, name: str, content: str | bytes, options: dict[str, Any], message: str | None) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = Table(path, **{"user": "who", "item": "what", "time": "when", "time_unit": "s", **options})
    if message is None:
        assert sum(map(len, source.batches())) == 50
        return
    with pytest.raises(DataError, match=message):
        events_of(source)


def test_a_wrong_value_far_below_the_first_rows(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    count = 3_000_000
    path.write_bytes(b"who,what\n" + b"12,34\n" * count + b"twelve,34\n" + b"12,34\n" * 10)
    with pytest.raises(DataError, match=rf"long.csv: column 'who' \(user\), line {count + 2} is 'twelve'; .*ids='text'"):
        list(Table(path, user="who", item="what").batches())
    quarantine = Quarantine()
    chunks = list(Table(path, user="who", item="what", on_error="quarantine").batches(quarantine))
    assert sum(map(len, chunks)) == count + 10 and max(map(len, chunks)) <= 2_000_000
    assert quarantine.frame().rows() == [(str(path), count + 2, "who", "twelve", quarantine.frame()["reason"][0], "twelve,34")]


def test_files_of_a_pattern_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("who,what\n1,2\n")
    (tmp_path / "2.csv").write_text("what,who\n4,3\n")
    assert pl.concat(list(Table(tmp_path / "*.csv", user="who", item="what").batches())).rows() == [(1, 2), (3, 4)]
    (tmp_path / "3.csv").write_text("who,product\n5,6\n")
    with pytest.raises(DataError, match=r"3.csv: no column 'what' \(named for item\) among 'who', 'product'"):
        list(Table(tmp_path / "*.csv", user="who", item="what").batches())
    (tmp_path / "3.csv").write_text("")
    with pytest.raises(DataError, match=r"3\.csv is empty"):
        list(Table(tmp_path / "*.csv", user="who", item="what").batches())


def test_all_rows_set_aside_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,what\n,1\n,2\n")
    with pytest.raises(DataError, match=r"a.csv: there are no events \(0 rows\): 2 were set aside, the first because: there is no value"):
        list(Table(tmp_path / "a.csv", user="who", item="what").batches(Quarantine()))


def test_times_in_the_wrong_unit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = int(datetime.now().timestamp())
    (tmp_path / "a.csv").write_text(f"who,what,when\n1,1,{now}\n1,2,{now + 10 * 86_400}\n")
    options = {"user": "who", "item": "what", "time": "when"}
    list(Table(tmp_path / "a.csv", **options, time_unit="s").batches())
    assert "a.csv: 1 of 2 events are later than tomorrow" in caplog.text and "check time_unit" in caplog.text
    list(Table(tmp_path / "a.csv", **options, time_unit="ms").batches())
    assert "times run from 1970-01-" in caplog.text
    (tmp_path / "a.csv").write_text("who,what,when\n1,1,1600000000000\n")
    with pytest.raises(DataError, match=r"line 2 is in the year .*; times lie between 1970 and 2200: check time_unit"):
        list(Table(tmp_path / "a.csv", **options, time_unit="s").batches())
