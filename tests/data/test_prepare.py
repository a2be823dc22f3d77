from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import Holdout, Prepared, prepare, store
from recsys.data.events import PARTS
from recsys.data.sources import Frame, Gowalla, Simulated, Source, Table
from recsys.errors import ConfigError, DataError
from recsys.splitting import GlobalTime, LastN, Predefined, Splitter, UserFraction


class Given(Splitter):
    """The parts of the events as they are, null for those with weight 0."""

    def needs(self) -> dict[str, str]:
        return {"predefined": "it reads the part of each event"}

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        kept = pl.col("weight") > 0 if "weight" in events.columns else pl.lit(True)
        return events.select(pl.when(kept).then(pl.col("part")))["part"]


USERS = pl.DataFrame(
    [
        ("ann", 10, 0, "train"),
        ("ann", 30, 1, "train"),
        ("ann", 20, 2, "valid"),
        ("ann", 20, 3, "test"),  # in her history by then
        ("ann", 40, 4, "test"),  # known from nobody's training
        ("bob", 20, 1, "train"),
        ("bob", 10, 0, "train"),
        ("bob", 30, 2, "test"),
        ("bob", 30, 3, "test"),  # the same target twice
        ("bob", 50, 4, "test"),  # known after validation only
        ("cyd", 50, 0, "valid"),
        ("cyd", 10, 1, "test"),
        ("dan", 60, 0, "test"),  # nothing about him or it is known
    ],
    schema=["user", "item", "order", "part"],
    orient="row",
)
SESSIONS = pl.DataFrame(
    [
        (1, 7, 0, "train"),
        (1, 5, 1, "train"),
        (2, 6, 0, "train"),
        (3, 5, 0, "valid"),
        (3, 9, 1, "valid"),
        (3, 5, 2, "valid"),
        (4, 6, 0, "test"),
        (4, 9, 1, "test"),
        (4, 7, 2, "test"),
        (4, 7, 3, "test"),
    ],
    schema=["session", "item", "order", "part"],
    orient="row",
)


def users(frame: pl.DataFrame = USERS) -> Frame:
    return Frame(frame, user="user", order="order", part="part")


def sessions(frame: pl.DataFrame = SESSIONS) -> Frame:
    return Frame(frame, session="session", order="order", part="part")


def lists(items: pl.Series, codes: torch.Tensor, start: torch.Tensor, stop: torch.Tensor) -> list[list]:
    return [[items[c] for c in codes[a:b].tolist()] for a, b in zip(start.tolist(), stop.tolist(), strict=True)]


def histories(items: pl.Series, holdout: Holdout) -> list[list]:
    h = holdout.histories
    return lists(items, h.items, h.start, h.stop)


def targets(items: pl.Series, holdout: Holdout) -> list[list]:
    return lists(items, holdout.items, holdout.offsets[:-1], holdout.offsets[1:])


def everything(data: Prepared) -> list:
    """All content as plain Python."""
    found = [data.fingerprint]
    for fold in (data.select, data.refit):
        log = fold.train
        found += [
            log.items.tolist(),
            log.offsets.tolist(),
            log.num_items,
            log.owner_kind,
            None if log.weight is None else log.weight.tolist(),
        ]
        found += [fold.items.to_list(), fold.owners.to_list()]
        for name, holdout in fold.holdouts.items():
            h = holdout.histories
            found += [
                name,
                histories(fold.items, holdout),
                h.owner.tolist(),
                targets(fold.items, holdout),
                holdout.unknown.tolist(),
                holdout.query.rows(),
            ]
    return found


def test_users_by_hand(tmp_path: Path) -> None:
    data = prepare(users(), Given(), cache=tmp_path)
    fold = data.select
    assert fold.items.to_list() == [10, 20, 30] and fold.owners.to_list() == ["ann", "bob"]
    assert fold.train.items.tolist() == [0, 2, 0, 1] and fold.train.offsets.tolist() == [0, 2, 4]  # oldest first
    assert fold.train.owner_kind == "user" and fold.train.items.dtype == torch.int32
    valid, test = fold.holdouts["valid"], fold.holdouts["test"]
    assert valid.query["user"].to_list() == ["ann", "cyd"]
    assert histories(fold.items, valid) == [[10, 30], []]
    assert targets(fold.items, valid) == [[20], []] and valid.unknown.tolist() == [0, 1] and valid.relevant().tolist() == [1, 1]
    assert valid.histories.owner.tolist() == [0, -1]
    assert test.query["user"].to_list() == ["ann", "bob", "cyd", "dan"]
    assert histories(fold.items, test) == [[10, 30, 20], [10, 20], [], []]  # 50 is unknown here, so not in Cyd's history
    assert targets(fold.items, test) == [[], [30], [10], []] and test.unknown.tolist() == [1, 1, 0, 1]


def test_refitting_has_a_vocabulary_of_its_own(tmp_path: Path) -> None:
    fold = prepare(users(), Given(), cache=tmp_path).refit
    assert fold.items.to_list() == [10, 20, 30, 50] and fold.owners.to_list() == ["ann", "bob", "cyd"]
    assert list(fold.holdouts) == ["test"]
    test = fold.holdouts["test"]
    assert histories(fold.items, test) == [[10, 30, 20], [10, 20], [50], []]
    assert targets(fold.items, test) == [[], [30, 50], [10], []] and test.unknown.tolist() == [1, 0, 0, 1]
    assert test.histories.owner.tolist() == [0, 1, 2, -1]


def test_repeats_can_be_kept(tmp_path: Path) -> None:
    fold = prepare(users(), Given(), cache=tmp_path, keep_repeats=True).select
    assert targets(fold.items, fold.holdouts["test"])[0] == [20]


def test_sessions_by_hand(tmp_path: Path) -> None:
    data = prepare(sessions(), Given(), cache=tmp_path)
    fold = data.select
    assert fold.items.to_list() == [5, 6, 7] and fold.train.owner_kind == "session"
    valid, test = fold.holdouts["valid"], fold.holdouts["test"]
    assert valid.query.rows() == [(3, 1), (3, 2)]
    assert histories(fold.items, valid) == [[5], [5]]  # 9 is unknown
    assert targets(fold.items, valid) == [[], [5]] and valid.unknown.tolist() == [1, 0]  # a repeat within a session counts
    assert test.query.rows() == [(4, 1), (4, 2), (4, 3)]
    assert histories(fold.items, test) == [[6], [6], [6, 7]]
    assert targets(fold.items, test) == [[], [7], [7]]
    assert test.histories.owner.tolist() == [-1, -1, -1]
    refit = data.refit
    assert refit.items.to_list() == [5, 6, 7, 9]
    assert histories(refit.items, refit.holdouts["test"]) == [[6], [6, 9], [6, 9, 7]]
    assert targets(refit.items, refit.holdouts["test"]) == [[9], [7], [7]]


def test_the_last_clicks_of_sessions_are_asked_with_what_came_before(tmp_path: Path) -> None:
    frame = pl.DataFrame({"session": [1] * 4 + [2] * 3, "item": [1, 2, 3, 4, 4, 3, 1], "order": [0, 1, 2, 3, 0, 1, 2]})
    fold = prepare(Frame(frame, session="session", order="order"), LastN(), cache=tmp_path).refit
    test = fold.holdouts["test"]
    assert test.query.rows() == [(1, 3), (2, 2)] and test.histories.owner.tolist() == [0, 1]
    assert histories(fold.items, test) == [[1, 2, 3], [4, 3]]


def test_the_counts_add_up(tmp_path: Path) -> None:
    weights = pl.Series("weight", [1.0] * 5 + [0.0] * 2 + [1.0] * 6)
    data = prepare(Frame(USERS.with_columns(weights), user="user", order="order", part="part", weight="weight"), Given(), cache=tmp_path)
    report = data.report
    assert report["dropped_by_splitter"] == 2
    assert sum(part["events"] for part in report["parts"].values()) + 2 == report["events"] == 13
    test = report["select"]["test"]
    assert test == {
        "events": 7,
        "duplicates": 1,  # Bob's 30
        "in_history": 1,  # Ann's 20
        "relevant": 2,
        "unknown_items": 3,
        "queries": 4,
        "empty_histories": 3,
        "unknown_owners": 3,
    }
    assert test["events"] == test["duplicates"] + test["in_history"] + test["relevant"] + test["unknown_items"]
    of_sessions = prepare(sessions(), Given(), cache=tmp_path).report["select"]["test"]
    assert of_sessions["events"] == of_sessions["first_of_session"] + of_sessions["queries"] == 4
    assert data.select.train.weight is not None and data.select.train.weight.tolist() == [1.0, 1.0]


SOURCES = [
    (lambda frame: users(frame), USERS, Given()),
    (lambda frame: users(frame), USERS, Predefined()),
    (lambda frame: Frame(frame, session="session", order="order"), SESSIONS, LastN()),
    (lambda frame: sessions(frame), SESSIONS, Given()),
]


@settings(deadline=None, max_examples=20)
@given(st.randoms(use_true_random=False), st.sampled_from(range(len(SOURCES))))
def test_the_order_of_rows_does_not_matter(tmp_path_factory: pytest.TempPathFactory, random, which: int) -> None:
    make, frame, splitter = SOURCES[which]
    order = list(range(len(frame)))
    random.shuffle(order)
    cache = tmp_path_factory.mktemp("cache")
    assert everything(prepare(make(frame[order]), splitter, cache=cache)) == everything(prepare(make(frame), splitter, cache=cache))
    shutil.rmtree(cache)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=30, max_size=80), st.integers(0, 9))
def test_every_event_is_found_again(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], seed: int) -> None:
    events = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    cache = tmp_path_factory.mktemp("cache")
    data = prepare(Frame(events, user="user"), UserFraction(test=0.3, validation=0.3), seed=seed, cache=cache, keep_repeats=True)
    fold, log = data.refit, data.refit.train
    ids = lists(fold.items, log.items, log.offsets[:-1], log.offsets[1:])
    known = [(user, item) for user, items in zip(fold.owners.to_list(), ids, strict=True) for item in items]
    test = fold.holdouts["test"]
    asked = [(user, item) for user, items in zip(test.query["user"].to_list(), targets(fold.items, test), strict=True) for item in items]
    missed = set(pairs) - set(known) - set(asked)
    assert len(missed) == int(test.unknown.sum()) and all(item not in fold.items.to_list() for _, item in missed)
    assert len(known) + data.report["refit"]["test"]["events"] == len(pairs)
    shutil.rmtree(cache)


def test_the_second_call_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(Simulated(users=50, items=30, clicks=900), LastN(), cache=tmp_path)
    monkeypatch.setattr(Simulated, "events", lambda self: pytest.fail("the source was read again"))
    second = prepare(Simulated(users=50, items=30, clicks=900), LastN(), cache=tmp_path)
    assert everything(first) == everything(second) and first.report == second.report
    assert len(list(tmp_path.iterdir())) == 1


def test_other_settings_are_other_data(tmp_path: Path) -> None:
    kept = {
        prepare(Simulated(users=50, items=30, clicks=900), UserFraction(test=t), seed=s, cache=tmp_path).fingerprint
        for t in (0.2, 0.3)
        for s in (0, 1)
    }
    assert len(kept) == 4 == len(list(tmp_path.iterdir()))


def _remove(folder: Path) -> None:
    (folder / "select.train.items.bin").unlink()


def _cut(folder: Path) -> None:
    path = folder / "refit.test.history.start.bin"
    path.write_bytes(path.read_bytes()[:-8])


def _cut_ids(folder: Path) -> None:
    path = folder / "select.items.arrow"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _cut_json(folder: Path) -> None:
    path = folder / "prepared.json"
    path.write_text(path.read_text()[:100])


def _zeros(folder: Path) -> None:
    """What a file of the right size may hold after a power cut."""
    path = folder / "select.train.offsets.bin"
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [_remove, _cut, _cut_ids, _cut_json, _zeros])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage) -> None:
    want = everything(prepare(users(), Given(), cache=tmp_path))
    damage(next(tmp_path.iterdir()))
    assert everything(prepare(users(), Given(), cache=tmp_path)) == want
    assert everything(prepare(users(), Given(), cache=tmp_path)) == want


def test_an_interrupted_write_leaves_nothing_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, written = store.Writer.append, []

    def interrupted(writer: store.Writer, name: str, values: np.ndarray) -> None:
        append(writer, name, values)
        written.append(name)
        if len(written) == 9:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(store.Writer, "append", interrupted)
        prepare(users(), Given(), cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(prepare(users(), Given(), cache=tmp_path).select.train) == 4


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    prepare(users(), Given(), cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, busy = tmp_path / f".{folder.name}-{dead.pid}-abc", tmp_path / f".{folder.name}-{os.getpid()}-abc"
    left.mkdir(), busy.mkdir()
    shutil.rmtree(folder)
    prepare(users(), Given(), cache=tmp_path)
    assert set(tmp_path.iterdir()) == {folder, busy}  # that of a process at work stays


@pytest.mark.parametrize(
    "name", ["select.train.items.bin", "select.items.arrow", "refit.test.query.arrow", "select.valid.history.owner.bin"]
)
def test_a_flipped_bit_is_found_by_verifying(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    want = everything(prepare(users(), Given(), cache=tmp_path))
    (folder,) = tmp_path.iterdir()
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert store.load(folder, verify=True) is None
    assert everything(prepare(users(), Given(), cache=tmp_path, verify=True)) == want
    assert "is damaged; it is made anew" in caplog.text
    assert store.load(folder, verify=True) is not None


def test_every_block_has_a_checksum_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare(users(), Given(), cache=tmp_path / "a").fingerprint
    monkeypatch.setattr(store, "BLOCK", 8)
    made = prepare(users(), Given(), cache=tmp_path / "b")
    (folder,) = (tmp_path / "b").iterdir()
    kept = json.loads((folder / "prepared.json").read_text())["files"]["select.train.offsets.bin"]
    assert len(kept["sums"]) == 3 and kept["size"] == 24
    assert kept["sums"] == [hashlib.blake2b(n.to_bytes(8, "little"), digest_size=8).hexdigest() for n in (0, 2, 4)]
    assert store.load(folder, verify=True) is not None and made.fingerprint != whole


def test_a_source_that_changes_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.csv"
    USERS.write_csv(path)
    source, batches = Table(path, user="user", order="order", part="part"), Table.batches

    def growing(self: Table, quarantine: object = None):
        yield from batches(self, quarantine)
        with path.open("a") as stream:
            stream.write("eve,10,0,train\n")

    with monkeypatch.context() as patched, pytest.raises(DataError, match=r"log.csv has changed while it was read; wait"):
        patched.setattr(Table, "batches", growing)
        prepare(source, Given(), cache=tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())
    assert "eve" in prepare(source, Given(), cache=tmp_path / "cache").select.owners.to_list()


@pytest.mark.parametrize("rows", [1, 3, 1000])
@pytest.mark.parametrize("make", [users, sessions])
def test_the_size_of_the_blocks_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, make) -> None:
    want = everything(prepare(make(), Given(), cache=tmp_path / "one"))
    monkeypatch.setattr(sys.modules["recsys.data.making"], "ROWS", rows)
    assert everything(prepare(make(), Given(), cache=tmp_path / "many")) == want


def test_times_are_kept_beside_the_items(tmp_path: Path) -> None:
    day = 86_400_000_000
    frame = pl.DataFrame({"user": [1, 1, 1, 2, 2, 2], "item": [5, 6, 7, 5, 6, 7], "day": [2, 0, 1, 4, 5, 9]})
    source = Frame(frame.with_columns(pl.col("day") * day), user="user", time="day", time_unit="us")
    data = prepare(source, LastN(), cache=tmp_path)
    train, test = data.select.train, data.refit.holdouts["test"]
    assert train.time is not None and train.time.tolist() == [0, 4 * day] and train.items.tolist() == [1, 0]
    assert test.time is not None and test.time.tolist() == [2 * day, 9 * day]
    assert prepare(users(), Given(), cache=tmp_path).select.train.time is None


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        data = prepare(users(), Given(), cache=tmp_path / "file" / "below")
    assert len(data.select.train) == 4
    assert "set RECSYS_CACHE to a folder that can" in caplog.text


def test_the_default_cache_is_in_recsys_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    prepare(users(), Given())
    assert [path.name.partition("-")[0] for path in (tmp_path / "prepared").iterdir()] == ["frame"]


def test_writing_to_mapped_data_changes_no_file(tmp_path: Path) -> None:
    prepare(users(), Given(), cache=tmp_path).select.train.items.fill_(0)
    assert prepare(users(), Given(), cache=tmp_path).select.train.items.tolist() == [0, 2, 0, 1]


class Unread(Source):
    """Users without a clock; reading it is a mistake."""

    owner = "user"

    def events(self) -> pl.LazyFrame:
        raise AssertionError("the source was read")


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (LastN(), r"LastN needs 'order' \(it holds out the last events of each owner\), which Unread does not give"),
        (GlobalTime(), "GlobalTime needs 'time'"),
        (Predefined(), "Predefined needs 'predefined'"),
    ],
)
def test_what_cannot_be_split_is_refused_before_reading(splitter: Splitter, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare(Unread(), splitter)


def test_user_fraction_refuses_sessions() -> None:
    with pytest.raises(ConfigError, match=r"UserFraction needs 'user'.*which Frame does not give"):
        prepare(sessions(), UserFraction())


def test_a_split_without_queries_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Given left no validation query of 11 events: it holds none of them out; choose another split"):
        prepare(users(USERS.filter(pl.col("part") != "valid")), Given(), cache=tmp_path)
    with pytest.raises(DataError, match=r"frame: no event is in part 'train', so there is nothing to learn from; check .* part="):
        prepare(users(USERS.filter(pl.col("part") != "train")), Given(), cache=tmp_path)
    late = USERS.filter(pl.col("part") != "test").with_columns(part=pl.col("part").replace("valid", "test"))
    with pytest.raises(DataError, match=r"left no validation query"):
        prepare(users(late), Given(), cache=tmp_path)
    again = pl.DataFrame({"user": [1, 1, 1], "item": [5, 5, 5], "order": [0, 1, 2], "part": ["train", "valid", "test"]})
    with pytest.raises(DataError, match=r"of the 1 it holds out 1 repeat what the user did before; choose another split or larger shares"):
        prepare(users(again), Given(), cache=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_splitter_that_gives_no_labels_is_named(tmp_path: Path) -> None:
    class Texts(Splitter):
        def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
            return events["part"].cast(pl.String)

    with pytest.raises(ConfigError, match=r"Texts.label gave 13 labels of type String"):
        prepare(users(), Texts(), cache=tmp_path)
    assert PARTS.categories.to_list() == ["train", "valid", "test"]


@pytest.mark.data
def test_gowalla(data_root: Path, tmp_path: Path) -> None:
    data = prepare(Gowalla(root=data_root), Predefined(), cache=tmp_path)
    test, train = data.refit.holdouts["test"], data.refit.train
    assert len(train) == 810_128 and len(test.items) == 217_242 and len(test) == train.num_owners == 29_858 and train.num_items == 40_981
    assert abs(data.report["parts"]["valid"]["events"] / 810_128 - 0.1) < 0.001
    user = 12_345
    for path, codes, offsets in [("train", train.items, train.offsets), ("test", test.items, test.offsets)]:
        line = (data_root / "gowalla" / f"{path}.txt").read_text().splitlines()[user].split()
        assert sorted(data.refit.items[c] for c in codes[offsets[user] : offsets[user + 1]].tolist()) == sorted(map(int, line[1:]))
