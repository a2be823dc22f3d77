from __future__ import annotations

import gzip
import inspect
import sys
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

import recsys.data.sources
from recsys.data import check, prepare
from recsys.data.sources import (
    AdjacencyLists,
    Beauty,
    Diginetica,
    Frame,
    Gowalla,
    MovieLens,
    Sequences,
    SessionTables,
    Simulated,
    Source,
    Table,
)
from recsys.errors import ConfigError, DataError
from recsys.part import build, class_path, spec
from recsys.splitting import LastN, Predefined, UserFraction

ROWS = "who,what,when,stars\na,1,10,5\nb,2,20,3\na,3,30,4\n"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text(ROWS)
    return path


def read(source: Source) -> list[tuple]:
    frame = check(source.events())
    for step in source.steps():
        frame = step.clean(frame)
    return frame.rows()


def test_a_csv_with_a_mapping(csv: Path) -> None:
    table = Table(csv, user="who", item="what", time="when", time_unit="s", weight="stars", min_weight=4)
    assert read(table) == [("a", 1, datetime(1970, 1, 1, 0, 0, 10), 5.0), ("a", 3, datetime(1970, 1, 1, 0, 0, 30), 4.0)]
    assert table.gives() == {"user", "time", "order", "weight"}


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_time_units_agree(unit: str, factor: int) -> None:
    stamp = datetime(2026, 3, 4, 5, 6, 7)
    frame = pl.DataFrame({"user": [1], "item": [1], "time": [int((stamp - datetime(1970, 1, 1)).total_seconds()) * factor]})
    assert read(Frame(frame, user="user", time="time", time_unit=unit))[0][2] == stamp


def test_narrow_integers_of_seconds_do_not_overflow() -> None:
    frame = pl.DataFrame({"user": [1], "item": [1], "time": pl.Series([1_800_000_000], dtype=pl.Int32)})
    assert read(Frame(frame, user="user", time="time", time_unit="s"))[0][2] == datetime(2027, 1, 15, 8)


def test_dates_and_iso_texts_need_no_unit() -> None:
    for given in (["2026-03-04 00:00:00"], ["2026-03-04T00:00:00"], [date(2026, 3, 4)], [datetime(2026, 3, 4)]):
        assert read(Frame(pl.DataFrame({"u": [1], "item": [1], "t": given}), user="u", time="t"))[0][2] == datetime(2026, 3, 4)


def test_formats_give_the_same_events(csv: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(csv)
    frame.write_csv(tmp_path / "shop.tsv", separator="\t")
    frame.write_csv(tmp_path / "shop.txt", separator=";")
    frame.write_parquet(tmp_path / "shop.parquet")
    (tmp_path / "zipped.csv.gz").write_bytes(gzip.compress(csv.read_bytes()))
    want = read(Table(csv, user="who", item="what"))
    for name, separator in [("shop.tsv", None), ("shop.txt", ";"), ("shop.parquet", None), ("zipped.csv.gz", None)]:
        assert read(Table(tmp_path / name, user="who", item="what", separator=separator)) == want, name
    frame.head(1).write_parquet(tmp_path / "part-1.parquet")
    frame.tail(2).write_parquet(tmp_path / "part-2.parquet")
    assert read(Table(tmp_path / "part-*.parquet", user="who", item="what")) == want


@pytest.mark.parametrize(
    ("name", "text", "mapping", "message"),
    [
        ("absent.csv", None, {}, "no file at .*absent.csv; check the path"),
        ("empty.csv", "", {}, "empty.csv is empty; give a file with a header"),
        ("header.csv", "who,what\n", {}, "header.csv has a header and nothing else: there are no events"),
        ("blank.csv", "\n\n", {}, "blank.csv is empty; give a file with a header"),
        ("a.csv", ROWS, {"item": "What"}, r"no column 'What' \(named for item\) among .* \(did you mean 'what'\?\)"),
        ("a.csv", ROWS, {"time": "when"}, "time column 'when' holds numbers; say their unit with time_unit=s, ms, us or ns"),
        ("a.csv", "who,what\na,1\nb,\n", {}, r"a.csv: column 'what' \(item\), line 3 has no value; drop or fill this row"),
        ("a.csv", "who,what\n1.5,1\n", {}, "column 'user' is Float64; ids through floats"),
        (
            "a.csv",
            "who,what,when\na,1,2026-01-31 noon\nb,2,2026-01-31\na,3,2026-02-01\n",
            {"time": "when"},
            r"column 'when' \(time\), line 2 is '2026-01-31 noon'; times that are texts are written like 2026-01-31",
        ),
        (
            "a.csv",
            ROWS.replace(",", ";"),
            {},
            "a.csv has a single column 'who;what;when;stars'; if the separator is ';', say separator=';'",
        ),
        ("a.csv", "who,what\na,1\nb,2,3\n", {}, "line 3: the line has 3 fields and the header 2: mend it, or name the right separator="),
        (
            "a.csv",
            "who,what\n" + "a,1\n" * 11_000 + "a,x\n",
            {},
            r"column 'what' \(item\), line 11002 is 'x'; ids are 64-bit integers, as the first rows are: mend .* ids='text'",
        ),
        ("a.csv", "PAR1" + ROWS, {}, "a.csv is a Parquet file, as its first bytes say; rename it to .parquet"),
        ("a.csv", "a\0b", {}, "a.csv is not text: it holds zero bytes"),
        ("a.csv", ROWS, {"item": "product"}, "no column 'product' .*; say which one it is with item="),
        (
            "a.csv",
            ROWS.replace("10", "1600000000000"),
            {"time": "when", "time_unit": "s"},
            "line 2 is in the year 52671; times lie between",
        ),
        (
            "a.csv",
            ROWS.replace("10", "9" * 18),
            {"time": "when", "time_unit": "s"},
            "is in the year 294247; times lie between 1970 and 2200",
        ),
        ("a.csv", "who,what,what\na,1,2\n", {}, "a.csv has several columns named 'what'; rename all but one"),
        ("a.xlsx", "{}", {}, "ends in '.xlsx'; Table reads .csv"),
        ("a.json", "{}", {}, r"no column 'who' \(named for user\) among no keys; say which one it is with user="),
        ("a.txt", ROWS, {}, "say how its columns are separated"),
        ("a.parquet", ROWS, {}, "a.parquet is not a Parquet file, as its first bytes say; give it the ending of what it is"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str | None, mapping: dict[str, str], message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read(Table(tmp_path / name, **{"user": "who", "item": "what", **mapping}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({}, "neither of user and session"),
        ({"user": "u", "session": "s"}, "both of user and session"),
        ({"user": "u", "time": "t", "order": "o"}, "give time for real stamps, else order"),
        ({"user": "u", "min_weight": 3.0}, "min_weight=3.0 without weight"),
        ({"user": "item"}, "maps column 'item' twice"),
        ({"user": "u", "time": "t", "time_unit": "days"}, "time_unit='days'; allowed are auto, s, ms, us, ns"),
        ({"user": "u", "separator": "::"}, "separator='::'; it is one ASCII character"),
    ],
)
def test_bad_mappings_are_refused_before_reading(knobs: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Table("nowhere.csv", **knobs)


def test_other_encodings_folders_and_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("who,what\nkäse,1\n".encode("latin-1"))
    (tmp_path / "wide.csv").write_bytes(ROWS.encode("utf-16"))
    (tmp_path / "folder.csv").mkdir()
    pl.DataFrame({"who": [1], "what": [1]}).write_parquet(tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-9])
    for name, message in {
        "latin.csv": "the text is not UTF-8: convert it",
        "wide.csv": "is text in UTF-16; save it as UTF-8",
        "folder.csv": r"folder.csv is a folder; name a file, or a pattern such as .*folder.csv/\*.parquet",
        "cut.parquet": "cut.parquet cannot be read as .parquet: ",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            read(Table(tmp_path / name, user="who", item="what"))
        assert "\n" not in str(caught.value)


def test_messages_name_the_file(csv: Path, tmp_path: Path) -> None:
    csv.write_text("who,what\na,1\nb,\n")
    with pytest.raises(DataError, match=r"shop.csv: column 'what' \(item\), line 3 has no value; drop or fill this row first"):
        prepare(Table(csv, user="who", item="what"), UserFraction(), cache=tmp_path)


def test_times_in_the_first_days_of_1970_are_suspicious(caplog: pytest.LogCaptureFixture) -> None:
    frame = pl.DataFrame({"user": [1, 1], "item": [1, 2], "time": [1_700_000_000, 1_700_000_001]})
    read(Frame(frame, user="user", time="time", time_unit="s"))
    assert not caplog.messages
    read(Frame(frame, user="user", time="time", time_unit="ms"))
    assert "times run from 1970-01-20 " in caplog.text and "check time_unit" in caplog.text


def test_frames_of_pandas_and_polars_are_the_same_data() -> None:
    pandas = pytest.importorskip("pandas")
    columns = {"user": [2, 1], "item": ["x", "y"], "order": [0, 0]}
    ours = Frame(pl.DataFrame(columns), user="user", order="order")
    theirs = Frame(pandas.DataFrame(columns, index=[7, 3]), user="user", order="order")
    assert read(ours) == read(theirs) == [(2, "x", 0), (1, "y", 0)]
    assert ours.gives() == {"user", "order"}


def test_a_frame_is_known_by_its_content() -> None:
    frame = pl.DataFrame({"user": [1, 2], "item": [1, 2], "note": ["", ""]})
    key = Frame(frame, user="user").fingerprint()
    assert key == Frame(pl.concat([frame.head(1), frame.tail(1)]), user="user").fingerprint()  # chunks do not count
    assert key == Frame(frame.with_columns(note=pl.lit("x")), user="user").fingerprint()  # nor columns without a role
    assert key != Frame(frame.with_columns(item=pl.lit(1)), user="user").fingerprint()
    assert key != Frame(frame, user="user", item="user_", session=None).fingerprint()
    with pytest.raises(ConfigError, match=r"cannot be rebuilt from a configuration; write it to a Parquet file and use Table"):
        build(spec(Frame(frame, user="user")))


def test_pandas_is_not_imported_for_a_polars_frame() -> None:
    import subprocess

    frame = "polars.DataFrame({'u': [1], 'item': [1]})"
    code = f"import sys, polars; from recsys.data.sources import Frame; Frame({frame}, user='u'); print('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_a_changed_file_has_another_fingerprint(csv: Path) -> None:
    before = Table(csv, user="who", item="what").fingerprint()
    assert before == Table(csv, user="who", item="what").fingerprint()
    assert before != Table(csv, user="who", item="stars").fingerprint()
    csv.write_text(ROWS + "c,4,40,1\n")
    assert before != Table(csv, user="who", item="what").fingerprint()


def test_lines_of_items(tmp_path: Path) -> None:
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("7 1 2 3\n8 2 \n\n9\n")
    test.write_text("7 4\n")
    pairs = [(7, 1, "train"), (7, 2, "train"), (7, 3, "train"), (8, 2, "train"), (7, 4, "test")]
    assert read(AdjacencyLists(train, test)) == pairs
    assert read(Sequences(train)) == [(7, 1, 0), (7, 2, 1), (7, 3, 2), (8, 2, 0)]
    assert AdjacencyLists(train, test).gives() == {"user", "predefined"}
    assert Sequences(train).gives() == {"user", "order"}
    test.write_text("7 x\n")
    with pytest.raises(DataError, match=r"test.txt, line 1: 'x' is not an integer; a line is a user's id"):
        read(AdjacencyLists(train, test))


def test_session_ids_of_both_files_stay_apart(tmp_path: Path) -> None:
    for name, items in (("train", [1, 2, 3]), ("test", [3, 1, 9])):
        pl.DataFrame({"session_id": [0, 0, 4], "position": [0, 1, 0], "item_id": items}).write_parquet(tmp_path / f"{name}.parquet")
    source = SessionTables(tmp_path / "train.parquet", tmp_path / "test.parquet")
    assert [row[0] for row in read(source)] == [0, 0, 4, 5, 5, 9]
    assert source.gives() == {"session", "order", "predefined"}
    pl.DataFrame({"session": [1]}).write_parquet(tmp_path / "test.parquet")
    with pytest.raises(DataError, match=r"no column 'session_id', 'position', 'item_id' among"):
        read(source)


def test_named_data_sets_say_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file at .*train.txt; check the path"):
        Gowalla(root=tmp_path).files()


def test_specs_round_trip() -> None:
    sources = [Gowalla(), MovieLens(min_rating=None), Beauty(root="x"), Simulated(users=5), Table("a.csv", user="u"), Diginetica()]
    for source in sources:
        described = spec(source)
        assert spec(build(described)) == described
        assert described["class_path"] == f"recsys.data.sources.{type(source).__name__}"


def test_every_source_is_documented_and_exported() -> None:
    for name in recsys.data.sources.__all__:
        cls = getattr(recsys.data.sources, name)
        assert issubclass(cls, Source) and inspect.getdoc(cls)
        assert class_path(cls) == ("recsys.data.Source" if cls is Source else f"recsys.data.sources.{name}")


@pytest.mark.data
def test_the_queries_of_diginetica(data_root: Path, tmp_path: Path) -> None:
    data = prepare(Diginetica(root=data_root), Predefined(), cache=tmp_path)
    test = data.refit.holdouts["test"]
    assert len(test) == 60_858 and int(test.unknown.sum()) == 0
    assert data.refit.train.num_owners == 186_670 and data.refit.train.num_items == 43_097


@pytest.mark.data
def test_the_sequences_of_beauty(data_root: Path, tmp_path: Path) -> None:
    data = prepare(Beauty(root=data_root), LastN(), cache=tmp_path)
    line = (data_root / "beauty" / "sequences.txt").read_text().splitlines()[100].split()
    test = data.refit.holdouts["test"]
    row = test.query["user"].index_of(int(line[0]))
    ids = data.refit.items
    window = test.histories.items[test.histories.start[row] : test.histories.stop[row]]
    assert [str(ids[code]) for code in window.tolist()] == line[1:-1]
    assert [str(ids[code]) for code in test.items[test.offsets[row] : test.offsets[row + 1]].tolist()] == line[-1:]
