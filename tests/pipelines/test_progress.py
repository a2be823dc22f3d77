"""What a run says: lines at stated moments, speeds and times by a clock that the test turns."""

from __future__ import annotations

import io
import math

import pytest

from pipelines.progress import Bar, Clock, Lines, progress_for
from pipelines.tables import duration, number


class Watch:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_speed_and_time_left_follow_the_clock() -> None:
    watch = Watch()
    clock = Clock("ndcg@20", watch)
    clock.begin("select", 2)
    assert math.isnan(clock.left())
    clock.step(1, 1, 10, 0.9, 50)
    watch.time += 2
    clock.step(1, 5, 10, 0.5, 250)
    assert clock.rows_per_second == 100.0  # 200 rows in 2 s
    assert clock.share == pytest.approx(0.25)
    assert clock.left() == pytest.approx(7.5)  # 0.2 of the phase took 2 s, 0.75 is left
    assert clock.line() == "select  epoch 1/2  loss 0.5000  100 rows/s  at most 7.5 s left"
    clock.epoch({"loss": 0.5, "rows": 9_876_543, "seconds": 10.0, "valid/ndcg@20": 0.125})
    assert clock.line(short=True) == "select  1/2  loss 0.5000  ndcg@20 0.1250  988k rows/s  7.5 s left"
    assert len(clock.line(short=True)) + len("10 cells and a space") < 90


def test_a_run_that_goes_on_counts_only_what_it_saw() -> None:
    watch = Watch()
    clock = Clock("ndcg@20", watch)
    clock.begin("select", 10)
    clock.step(9, 1, 2, 0.9, 1000)
    watch.time += 1
    clock.step(9, 2, 2, 0.9, 1100)
    assert clock.rows_per_second == 100.0 and clock.left() == pytest.approx(2.0)


def test_lines_come_at_phases_epochs_and_every_ten_seconds() -> None:
    watch, stream = Watch(), io.StringIO()
    with Lines(stream, "ndcg@20", watch) as lines:
        lines.phase("prepare", 0)
        lines.phase("select", 3)
        for step in range(1, 26):
            watch.time += 1
            lines.step(1, step, 30, 0.5, step)
        lines.epoch(
            {"phase": "select", "epoch": 1, "loss": 0.25, "rows": 30, "seconds": 3.0, "valid/recall@5": 0.5, "valid/ndcg@20": 0.125}
        )
        lines.say("done")
    said = stream.getvalue().splitlines()
    assert said[:2] == [
        "prepare: reading and splitting the data",
        "select: training, to choose the epoch on validation, at most 3 epochs",
    ]
    assert [line.split("  ")[-1] for line in said[2:4]] == ["step 10/30", "step 20/30"]
    assert said[4].startswith("select  epoch 1/3  loss 0.2500  valid/ndcg@20 0.1250  10 rows/s")
    assert said[5:] == ["done"]


def test_a_bar_on_a_terminal_else_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(progress_for(io.StringIO(), "ndcg@20"), Lines)
    stream = Terminal()
    bar = progress_for(stream, "ndcg@20")
    assert isinstance(bar, Bar)
    with bar:
        bar.phase("select", 2)
        bar.step(1, 1, 2, 0.5, 10)
        bar.epoch({"epoch": 1, "loss": 0.25, "rows": 20, "seconds": 1.0, "valid/ndcg@20": 0.125})
        bar.say("a [line] in between")
        bar.phase("test", 0)
    assert "a [line] in between" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.84, "0.8 s"), (42.4, "42 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (math.nan, "-")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers() -> None:
    assert [number(v) for v in (0.12345, -1.0, 62.68, 1234.56, math.nan)] == ["0.1235", "-1.0000", "62.7", "1,234.6", "-"]
