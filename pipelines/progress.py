"""What a run says while it goes: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pipelines.tables import duration

EVERY = 10.0
"""Seconds between plain lines within an epoch."""


def progress_for(stream: TextIO, metric: str) -> Lines | Bar:
    """A bar if the stream is a terminal, else lines; ``metric`` is the validation metric to show."""
    return Bar(stream, metric) if stream.isatty() else Lines(stream, metric)


PHASES = {
    "prepare": "reading and splitting the data",
    "select": "training, to choose the epoch on validation",
    "refit": "training anew on train + validation",
    "replay": "training again, up to the step asked for",
    "test": "ranking all items for each test query",
}


def headline(name: str, epochs: int) -> str:
    """What a phase is for."""
    most = f", at most {epochs} epochs" if epochs > 1 else ""
    return f"{name}: {PHASES[name]}{most}" if name in PHASES else f"{name}{most}"


class Clock:
    """Where a phase stands, from the calls of a run: rows a second in this epoch and seconds left in this phase."""

    def __init__(self, metric: str, now: Callable[[], float]) -> None:
        self.shown, self.now = metric, now
        self.begin("", 0)

    def begin(self, name: str, epochs: int) -> None:
        """A phase begins."""
        self.name, self.epochs = name, epochs
        self.current, self.metric = 0, ""
        self.first: tuple[float, float] | None = None  # share of the phase done, and when: at its first step seen
        self.start = (0, self.now())  # rows and time at the first step seen of the epoch
        self.rows_per_second, self.share, self.loss = math.nan, 0.0, math.nan

    def step(self, epoch: int, step: int, steps: int, loss: float, rows: int) -> None:
        """A step is done."""
        now = self.now()
        if epoch != self.current:
            self.current, self.start = epoch, (rows, now)
        elif now > self.start[1]:
            self.rows_per_second = (rows - self.start[0]) / (now - self.start[1])
        self.share = (epoch - 1 + step / max(steps, 1)) / max(self.epochs, 1)
        self.loss = loss
        self.first = self.first or (self.share, now)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch has ended."""
        value = record.get(f"valid/{self.shown}")
        self.metric = "" if value is None else f"valid/{self.shown} {value:.4f}"
        self.loss = float(record.get("loss", math.nan))
        if record.get("seconds"):
            self.rows_per_second = float(record["rows"]) / float(record["seconds"])

    def left(self) -> float:
        """Seconds left if no epoch is saved by early stopping; nan while nothing is known."""
        if self.first is None or self.share <= self.first[0]:
            return math.nan
        return (self.now() - self.first[1]) / (self.share - self.first[0]) * (1 - self.share)

    def line(self, short: bool = False) -> str:
        """One line: phase, epoch, loss, metric, rows a second, time left; ``short`` for beside a bar on 80 columns."""
        parts = [self.name]
        if self.current and self.epochs:
            parts.append(f"{'' if short else 'epoch '}{self.current}/{self.epochs}")
        if math.isfinite(self.loss):
            parts.append(f"loss {self.loss:.4f}")
        if self.metric:
            parts.append(self.metric.removeprefix("valid/") if short else self.metric)
        if math.isfinite(speed := self.rows_per_second):
            parts.append(f"{speed / 1000:,.0f}k rows/s" if short and speed >= 10_000 else f"{speed:,.0f} rows/s")
        if math.isfinite(left := self.left()) and self.share < 1:
            parts.append(f"{'' if short else 'at most '}{duration(left)} left")
        return "  ".join(parts)


class Lines(AbstractContextManager["Lines"]):
    """A line for each phase and epoch, and every ten seconds within an epoch."""

    def __init__(self, stream: TextIO, metric: str, now: Callable[[], float] = time.monotonic) -> None:
        self.stream, self.now, self.clock = stream, now, Clock(metric, now)
        self.said = now()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stream.flush()

    def phase(self, name: str, epochs: int) -> None:
        self.clock.begin(name, epochs)
        self.say(headline(name, epochs))

    def step(self, epoch: int, step: int, steps: int, loss: float, rows: int) -> None:
        self.clock.step(epoch, step, steps, loss, rows)
        if self.now() - self.said >= EVERY:
            self.say(self.clock.line() + f"  step {step}/{steps}")

    def epoch(self, record: Mapping[str, Any]) -> None:
        self.clock.current = int(record.get("epoch", self.clock.current))
        self.clock.epoch(record)
        self.say(self.clock.line())

    def say(self, text: str) -> None:
        self.said = self.now()
        print(text, file=self.stream, flush=True)


class Bar(AbstractContextManager["Bar"]):
    """One bar a phase, redrawn at most ten times a second."""

    def __init__(self, stream: TextIO, metric: str, now: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.now, self.drawn = Clock(metric, now), now, 0.0
        console = Console(file=stream, highlight=False)
        self.short = console.width < 120
        words = TextColumn("{task.description}", markup=False)
        self.bar = Progress(BarColumn(bar_width=10 if self.short else 20), words, console=console, transient=True)
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()

    def phase(self, name: str, epochs: int) -> None:
        self.clock.begin(name, epochs)
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task(headline(name, epochs), total=1.0 if epochs else None)

    def step(self, epoch: int, step: int, steps: int, loss: float, rows: int) -> None:
        self.clock.step(epoch, step, steps, loss, rows)
        if self.now() - self.drawn >= 0.1:
            self._draw()

    def epoch(self, record: Mapping[str, Any]) -> None:
        self.clock.current = int(record.get("epoch", self.clock.current))
        self.clock.epoch(record)
        self._draw()

    def say(self, text: str) -> None:
        self.bar.console.print(text, markup=False, soft_wrap=True)

    def _draw(self) -> None:
        self.drawn = self.now()
        if self.task is not None:
            self.bar.update(self.task, completed=self.clock.share, description=self.clock.line(self.short))
