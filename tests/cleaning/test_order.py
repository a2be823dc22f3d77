"""Steps inside a preparation: what is counted, what is fitted on what, and that nothing else changes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.cleaning import ConsecutiveRepeats, Duplicates, KCore, MaxLength, MinLength, MinSupport, OwnerStep, Sessionize, Step
from recsys.data import Prepared, prepare
from recsys.data.sources import Frame, Simulated
from recsys.errors import ConfigError, DataError
from recsys.splitting import GlobalTime, LastN, Predefined, Splitter, UserFraction

Events = list[tuple[int, int, int, str]]


def source(rows: Events, owner: str = "user") -> Frame:
    frame = pl.DataFrame(rows, schema=[owner, "item", "order", "part"], orient="row")
    return Frame(frame, **{owner: owner}, order="order", part="part")


class Parts(Splitter):
    """As they are."""

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        return events["part"]


def rows(fold, log) -> list[list[int]]:
    return [[fold.items[i] for i in log.items[a:b].tolist()] for a, b in zip(log.offsets.tolist(), log.offsets[1:].tolist(), strict=False)]


# item 1 is frequent in training; item 2 is frequent only when validation and test are counted
LOG: Events = [
    (1, 1, 0, "train"),
    (1, 2, 1, "train"),
    (1, 3, 2, "valid"),
    (1, 4, 3, "test"),
    (2, 1, 0, "train"),
    (2, 3, 1, "train"),
    (2, 2, 2, "valid"),
    (2, 1, 3, "test"),
    (3, 2, 0, "train"),
    (3, 1, 1, "valid"),
    (3, 2, 2, "test"),
    (4, 1, 0, "train"),
    (4, 3, 1, "train"),
    (4, 2, 2, "test"),
]


def test_a_filter_is_fitted_on_training_events(tmp_path: Path) -> None:
    data = prepare(source(LOG), Parts(), clean=[MinSupport(3)], cache=tmp_path)
    fold = data.select
    assert fold.items.to_list() == [1] and fold.owners.to_list() == [1, 2, 4]  # item 1 alone has three training events
    assert data.report["cleaning"][0] == {
        "step": "MinSupport(n=3, fit='train')",
        "fit": "train",
        "fold": "select",
        "events": [7, 3],
        "owners": [4, 3],
        "items": [3, 1],
    }
    test = fold.holdouts["test"]
    assert test.query["user"].to_list() == [1, 4]  # user 3 is left without a training event: nothing is asked; 2 repeats item 1
    assert test.unknown.tolist() == [1, 1]  # items 4 and 2 are unknown, and count as missed
    refit = data.refit
    assert refit.items.to_list() == [1, 2, 3]  # fitted anew on train + validation
    assert rows(refit, refit.train) == [[1, 2, 3], [1, 3, 2], [2, 1], [1, 3]]


def test_or_on_the_whole_log_if_that_is_said(tmp_path: Path) -> None:
    data = prepare(source(LOG), Parts(), clean=[MinSupport(4, fit="all")], cache=tmp_path)
    assert data.select.items.to_list() == [1, 2]  # five events each, counting validation and test
    entry = data.report["cleaning"][0]
    assert entry["fold"] is None and entry["events"] == [14, 10] and entry["items"] == [4, 2] and entry["owners"] == [4, 4]


def test_a_core_fitted_on_training_events(tmp_path: Path) -> None:
    fold = prepare(source(LOG), Parts(), clean=[KCore(owner=2, item=2)], cache=tmp_path).select
    assert rows(fold, fold.train) == [[1, 3], [1, 3]]
    # items 1: three, 2: two (users 1 and 3), 3: two; user 3 has one event and goes, then 2 has one and goes, then user 1
    assert fold.owners.to_list() == [2, 4]
    assert fold.holdouts["test"].query["user"].to_list() == [4]


def test_owner_steps_see_training_events_alone(tmp_path: Path) -> None:
    fold = prepare(source(LOG), Parts(), clean=[MinLength(2)], cache=tmp_path).select
    assert fold.owners.to_list() == [1, 2, 4]  # user 3 has three events, but one for training
    assert fold.holdouts["test"].query["user"].to_list() == [1, 4]
    last = prepare(source(LOG), Parts(), clean=[MaxLength(1)], cache=tmp_path).select
    assert rows(last, last.train) == [[2], [3], [2], [3]]
    first = prepare(source(LOG), Parts(), clean=[MaxLength(3, keep="first", fit="all")], cache=tmp_path)
    assert first.report["cleaning"][0]["events"] == [14, 12]


def test_duplicates_fitted_on_training_do_not_see_held_out_events(tmp_path: Path) -> None:
    log = [*LOG, (1, 1, 5, "test"), (1, 1, 6, "test")]
    kept = prepare(source(log), Parts(), clean=[Duplicates("last")], cache=tmp_path, keep_repeats=True).select
    assert rows(kept, kept.train)[0] == [1, 2]  # the training event stays, though the pair comes again
    assert [kept.items[i] for i in kept.holdouts["test"].items.tolist()][:1] == [1]
    seen = prepare(source(log), Parts(), clean=[Duplicates("last", fit="all")], cache=tmp_path, keep_repeats=True).select
    assert rows(seen, seen.train)[0] == [2]


SESSIONS: Events = [
    (1, 1, 0, "train"),
    (1, 2, 1, "train"),
    (2, 1, 0, "train"),
    (3, 1, 0, "valid"),
    (3, 2, 1, "valid"),
    (4, 2, 0, "test"),
    (4, 2, 1, "test"),
    (4, 1, 2, "test"),
    (4, 9, 3, "test"),
    (5, 1, 0, "test"),
]


def test_sessions_that_are_held_out_whole_are_cleaned_like_the_others(tmp_path: Path) -> None:
    clean = [ConsecutiveRepeats(), MinLength(2), MaxLength(3)]
    data = prepare(source(SESSIONS, "session"), Parts(), clean=clean, cache=tmp_path)
    fold = data.select
    assert rows(fold, fold.train) == [[1, 2]]
    test = fold.holdouts["test"]
    assert test.query.rows() == [(4, 1), (4, 2)] and test.unknown.tolist() == [0, 1]  # [2, 1, 9]
    assert data.report["cleaning"][0]["events"] == [10, 9] and data.report["cleaning"][0]["fold"] is None
    assert [entry["fold"] for entry in data.report["cleaning"]] == [None, "select", "select", "refit", "refit"]


def test_users_become_sessions(tmp_path: Path) -> None:
    minute = 60
    frame = pl.DataFrame({"user": [7] * 5 + [9] * 4, "item": [1, 2, 3, 1, 2, 4, 1, 2, 3], "s": [0, 1, 60, 61, 62, 100, 101, 300, 301]})
    events = Frame(frame.with_columns(pl.col("s") * minute), user="user", time="s", time_unit="s")
    data = prepare(events, GlobalTime(test="2h", validation="50m"), clean=[Sessionize("30m")], cache=tmp_path)
    assert data.select.train.owner_kind == "session" and rows(data.select, data.select.train) == [[1, 2]]
    assert data.select.holdouts["valid"].query.rows() == [(1, 1), (1, 2), (2, 1)]
    assert data.report["cleaning"][0]["owners"] == [2, 4]


def test_the_order_of_the_list_is_kept(tmp_path: Path) -> None:
    log = [(1, 5, 0, "train"), (1, 5, 1, "train"), (1, 6, 2, "train"), (2, 6, 0, "train"), (2, 7, 1, "valid"), (2, 8, 2, "test")]
    steps = [Duplicates(), MinLength(3, fit="all")]
    one = prepare(source([*log, (2, 9, 3, "test")]), Parts(), clean=steps, cache=tmp_path)
    assert one.select.owners.to_list() == [2]
    other = prepare(source([*log, (2, 9, 3, "test")]), Parts(), clean=steps[::-1], cache=tmp_path)
    assert other.select.owners.to_list() == [1, 2]


def test_what_cannot_be_listed_so_is_refused_before_reading() -> None:
    with pytest.raises(
        ConfigError, match=r"clean: Duplicates is listed after KCore\(owner=5, item=5, fit='train'\), which runs after the split; "
    ):
        prepare(Simulated(), LastN(), clean=[KCore(), Duplicates()])
    with pytest.raises(ConfigError, match=r"clean: Sessionize needs 'user'.*which Simulated does not give"):
        prepare(Simulated(owner="session"), LastN(), clean=[Sessionize()])
    with pytest.raises(ConfigError, match=r"split: UserFraction needs 'user'.*which Simulated does not give after cleaning"):
        prepare(Simulated(), UserFraction(), clean=[Sessionize()])
    with pytest.raises(ConfigError, match=r"clean: ConsecutiveRepeats needs 'order'"):
        prepare(Frame(pl.DataFrame({"user": [1], "item": [1]}), user="user"), UserFraction(), clean=[ConsecutiveRepeats()])


def test_a_step_that_leaves_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no event is left after KCore\(owner=9, item=9, fit='all'\), of 14 events of 4 owners and 4 items"
    ):
        prepare(source(LOG), Parts(), clean=[KCore(owner=9, item=9, fit="all")], cache=tmp_path)
    with pytest.raises(DataError, match=r"training events: no event is left after MinLength\(n=9, fit='train'\), of 7 events"):
        prepare(source(LOG), Parts(), clean=[MinLength(9)], cache=tmp_path)
    assert not any(tmp_path.iterdir())


def content(data: Prepared) -> list:
    found = []
    for fold in (data.select, data.refit):
        found += [rows(fold, fold.train), fold.items.to_list(), fold.owners.to_list()]
        for holdout in fold.holdouts.values():
            h = holdout.histories
            found += [h.items[a:b].tolist() for a, b in zip(h.start.tolist(), h.stop.tolist(), strict=True)]
            found += [holdout.items.tolist(), holdout.offsets.tolist(), holdout.unknown.tolist(), holdout.query.rows()]
    return found


MANY: list[list[Step]] = [
    [],
    [Duplicates(), KCore(owner=3, item=3, fit="all")],
    [ConsecutiveRepeats(), MinSupport(3, fit="all"), MinLength(3, fit="all"), Duplicates("last"), MaxLength(6)],
    [KCore(owner=3, item=2), MinLength(2)],
    [MinSupport(2)],
]


@pytest.mark.parametrize("steps", MANY)
@pytest.mark.parametrize("splitter", [UserFraction(), LastN(), GlobalTime(test=0.2, validation=0.2)])
def test_neither_row_order_nor_blocks_matter(
    tmp_path: Path, steps: list[Step], splitter: Splitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = Simulated(users=40, items=25, clicks=900, seed=3).events().collect()
    made = prepare(Frame(frame, user="user", time="time"), splitter, clean=steps, cache=tmp_path / "a")
    moved = frame[np.random.default_rng(1).permutation(len(frame))]
    monkeypatch.setattr(sys.modules["recsys.data.making"], "ROWS", 50)
    again = prepare(Frame(moved, user="user", time="time"), splitter, clean=steps, cache=tmp_path / "b")
    assert content(made) == content(again)
    assert made.report["cleaning"] == again.report["cleaning"] and made.fingerprint == again.fingerprint


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(MANY[1:]))
def test_rows_are_conserved(tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[Step]) -> None:
    """Rows in = rows kept + rows dropped by each step + rows left out by the splitter, step by step and part by part."""
    frame = Simulated(users=40, items=25, clicks=900, seed=seed).events().collect()
    data = prepare(Frame(frame, user="user", time="time"), LastN(n=2), clean=steps, cache=tmp_path_factory.mktemp("cache"))
    report = data.report
    early = [entry for entry in report["cleaning"] if entry["fold"] is None]
    counts = [report["events"], *(n for entry in early for n in entry["events"])]
    assert len(frame) == counts[0] and all(a == b for a, b in zip(counts[0::2], counts[1::2], strict=False))
    left = counts[-1]
    assert left == report["dropped_by_splitter"] + sum(part["events"] for part in report["parts"].values())
    for name, fold in (("select", data.select), ("refit", data.refit)):
        late = [entry for entry in report["cleaning"] if entry["fold"] == name]
        known = ("train",) if name == "select" else ("train", "valid")
        counts = [sum(report["parts"][part]["events"] for part in known), *(n for entry in late for n in entry["events"])]
        assert all(a == b for a, b in zip(counts[0::2], counts[1::2], strict=False))
        assert counts[-1] == len(fold.train) == report[name]["train"]["events"]
        test = report[name]["test"]
        assert test["events"] == test["duplicates"] + test["in_history"] + test["relevant"] + test["unknown_items"]


def test_a_step_of_ones_own(tmp_path: Path) -> None:
    class WithoutBots(OwnerStep):
        """Drops users who are too busy."""

        def __init__(self, most: int = 3) -> None:
            self.most = most

        def clean(self, events: pl.DataFrame) -> pl.DataFrame:
            return events.filter(pl.len().over("user") <= self.most)

    import sys

    sys.modules[__name__].WithoutBots = WithoutBots  # type: ignore[attr-defined]
    WithoutBots.__qualname__ = "WithoutBots"
    data = prepare(source(LOG), Predefined(), clean=[WithoutBots()], cache=tmp_path)
    assert data.report["cleaning"][0]["owners"] == [4, 2] and data.report["cleaning"][0]["step"] == "WithoutBots(most=3)"
    counted = Counter(user for user, *_ in LOG)
    assert set(data.refit.owners.to_list()) == {user for user, n in counted.items() if n <= 3}
