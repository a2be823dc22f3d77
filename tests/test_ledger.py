"""The ledger of a data set: what is entered, and what a change of it breaks."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from recsys.errors import RecsysError
from recsys.ledger import Budget, Ledger, budgets


def filled(folder: Path) -> Ledger:
    ledger = Ledger("0123", folder)
    for number in range(4):
        ledger.add("tested", run=f"run-{number}", config="c")
    return ledger


def test_entries_come_back_in_order_and_are_sealed(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    entries = ledger.entries()
    assert [entry.details["run"] for entry in entries] == [f"run-{n}" for n in range(4)]
    assert ledger.broken() is None and len({entry.seal for entry in entries}) == 4
    assert Ledger("0124", tmp_path).entries() == [] and Ledger("0124", tmp_path).broken() is None


def test_the_same_is_entered_once(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    again = ledger.add("tested", run="run-1", config="c")
    assert again == ledger.entries()[1] and len(ledger.entries()) == 4
    for looks in (5, 6):  # each time it was looked at again is one of its own
        ledger.add("evaluated", run="run-1", config="c")
        assert len(ledger.entries()) == looks


@pytest.mark.parametrize("field", ["at", "who", "kind", "details", "seal"])
def test_a_changed_line_is_found(tmp_path: Path, field: str) -> None:
    ledger = filled(tmp_path)
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    lines[2][field] = {"run": "another"} if field == "details" else "0" + str(lines[2][field])
    ledger.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ledger.broken() == 3


@pytest.mark.parametrize(("kept", "wrong"), [([0, 2, 3], 2), ([1, 2, 3], 1), ([0, 1, 1, 2, 3], 3), ([0, 2, 1, 3], 2)])
def test_a_line_that_is_missing_repeated_or_moved_is_found(tmp_path: Path, kept: list[int], wrong: int) -> None:
    ledger = filled(tmp_path)
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text("".join(lines[n] for n in kept))
    assert ledger.broken() == wrong


def test_a_damaged_line_is_an_error_that_names_it(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.path.write_text(ledger.path.read_text()[:-20])
    with pytest.raises(RecsysError, match=r"line 4 of .* is damaged"):
        ledger.add("tested", run="x")


def add_some(folder: Path, writer: int) -> None:
    for number in range(20):
        Ledger("0123", folder).add("tested", run=f"{writer}-{number}")


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_some, args=(tmp_path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    ledger = Ledger("0123", tmp_path)
    assert len(ledger.entries()) == 80 and ledger.broken() is None


def test_budgets_count_configurations_trainings_epochs_and_seconds(tmp_path: Path) -> None:
    ledger = Ledger("0123", tmp_path)
    for run, method, config, epochs in (("a", "MF", "1", 3), ("b", "MF", "1", 4), ("c", "MF", "2", 5), ("d", "SASRec", "3", 10)):
        ledger.add("selected", run=run, method=method, config=config, epochs=epochs, seconds=epochs * 2.5)
    ledger.add("tested", run="a", method="MF", config="1")
    assert budgets(ledger.entries()) == {"MF": Budget(2, 3, 12, 30.0), "SASRec": Budget(1, 1, 10, 25.0)}
