"""Log files of any size, for tests of reading and of speed. There is no truth to recover in them: items, users and times are independent.

``otto``: JSON lines like those of the OTTO data set (github.com/otto-de/recsys-dataset), a session a line, ordered by start:
``{"session":12,"events":[{"aid":1,"ts":1659304800025,"type":"clicks"},...]}``. Lengths are 2 plus the whole part of a lognormal
number, at most 500, with a mean near 16 (a session in a million events is cut short, so that the total is exact); gaps are lognormal
too; ``clicks``, ``carts`` and ``orders`` have shares 0.9, 0.075, 0.025.

``csv``: ``user,item,rating,timestamp`` (seconds), in no order, with every fiftieth row an exact copy of another.

Popularity follows a Zipf-Mandelbrot law, ``P(rank) ~ (rank + 20) ** -a``, drawn by the inverse of its continuous form; ids are
scattered over ranks by an affine map modulo the number of items. Sizes scale with the rows: an item for 117 events (OTTO's ratio) or
for 80 rows, a user for 33 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
import polars as pl

from recsys.data.simulate.truth import Floats, Ints
from recsys.errors import ConfigError
from recsys.files import replace
from recsys.randomness import numpy_generator

Kind = Literal["otto", "csv"]

CHUNK = 1 << 20
"""Events made and written at a time; a part of what a seed means."""

LONGEST = 500
OTTO_START, OTTO_PERIOD = 1_659_304_800_000, 28 * 86_400_000  # milliseconds: four weeks from 2022-08-01
CSV_START, CSV_PERIOD = 1_600_000_000, 365 * 86_400  # seconds: a year
TYPES = pl.Series(["clicks", "carts", "orders"])
OFFSET = 20.0


def write_log(path: Path | str, *, rows: int, kind: Kind, seed: int = 0, on_progress: Callable[[int], None] | None = None) -> None:
    """Write a log file of exactly ``rows`` events; the same arguments give the same bytes. Memory does not grow with the rows.

    The file appears under its name when it is complete; a file that was there is replaced.

    Args:
        path: the file.
        rows: events (``csv``: lines after the header; ``otto``: over all sessions).
        kind: ``otto`` or ``csv``.
        seed: of everything.
        on_progress: called after each chunk with the number of events written so far.

    Raises:
        ConfigError: fewer than one row, or an unknown kind.
    """
    if rows < 1:
        raise ConfigError(f"write_log got rows={rows}; at least 1 is needed")
    if kind not in get_args(Kind):
        raise ConfigError(f"write_log got kind={kind!r}; allowed are {', '.join(get_args(Kind))}")
    chunks = _otto(rows, seed) if kind == "otto" else _csv(rows, seed)

    def write(stream: BinaryIO) -> None:
        done = 0
        for frame in chunks:
            if kind == "otto":
                frame.write_ndjson(stream)
                done += int(frame["events"].list.len().sum())
            else:
                frame.write_csv(stream, include_header=not done)
                done += len(frame)
            if on_progress is not None:
                on_progress(done)

    replace(Path(path), write)


def _otto(rows: int, seed: int) -> Iterator[pl.DataFrame]:
    """Sessions of about CHUNK events at a time. Each chunk starts within its own stretch of the period; its last session is cut short where
    its events end."""
    items, sessions = max(100, rows // 117), 0
    for number, at in enumerate(range(0, rows, CHUNK)):
        size = min(CHUNK, rows - at)
        g = numpy_generator(seed, "simulate", "otto", number)
        length = _lengths(size, g)
        begin = OTTO_START + OTTO_PERIOD * (at + size * np.sort(g.random(len(length)))) / rows
        gap = (1000 * np.exp(3.7 + 1.8 * g.standard_normal(size, dtype=np.float32))).astype(np.int64) + 1
        since = gap.cumsum()
        since -= since[length.cumsum() - length].repeat(length)
        kind = (g.random(size, dtype=np.float32)[:, None] >= np.array([0.9, 0.975], dtype=np.float32)).sum(1, dtype=np.uint32)
        frame = pl.DataFrame(
            {
                "session": np.arange(sessions, sessions + len(length)).repeat(length),
                "aid": _zipf(size, items, 0.85, g),
                "ts": begin.astype(np.int64).repeat(length) + since,
                "type": TYPES.gather(kind),
            }
        )
        sessions += len(length)
        yield frame.select("session", pl.struct("aid", "ts", "type").alias("events")).group_by("session", maintain_order=True).agg("events")


def _lengths(total: int, g: np.random.Generator) -> Ints:
    """Lengths of sessions that add up to ``total``. Their quantiles are near OTTO's: median 6, mean 16, 99 % below 166."""
    found: list[Ints] = []
    missing = total
    while missing > 0:
        drawn = 2 + np.exp(1.504 + 1.54 * g.standard_normal(missing // 16 + 16)).astype(np.int64)
        found.append(drawn.clip(max=LONGEST))
        missing -= int(found[-1].sum())
    length = np.concatenate(found)
    ends = length.cumsum()
    last = int(np.searchsorted(ends, total))
    length = length[: last + 1]
    length[-1] -= ends[last] - total
    return length


def _csv(rows: int, seed: int) -> Iterator[pl.DataFrame]:
    users, items = max(1, rows // 33), max(10, rows // 80)
    for number, at in enumerate(range(0, rows, CHUNK)):
        size = min(CHUNK, rows - at)
        g = numpy_generator(seed, "simulate", "csv", number)
        frame = pl.DataFrame(
            {
                "user": 10_000_000 + _zipf(size, users, 0.8, g),
                "item": 500_000 + _zipf(size, items, 0.9, g),
                "rating": g.integers(1, 6, size=size, dtype=np.int8),
                "timestamp": CSV_START + g.integers(CSV_PERIOD, size=size, dtype=np.int32).astype(np.int64),
            }
        )
        whole = np.arange(size // 50) * 50  # one row of every fifty becomes a copy of another of the fifty
        to = g.integers(50, size=len(whole))
        row = np.arange(size)
        row[whole + to] = whole + (to + g.integers(1, 50, size=len(whole))) % 50
        yield frame[row]


def _zipf(size: int, number: int, exponent: float, g: np.random.Generator) -> Ints:
    """Ids in [0, number), with P(rank) close to (rank + 20) ** -exponent; the exponent is below 1."""
    power = 1 - exponent
    low, high = OFFSET**power, (number + OFFSET) ** power
    u: Floats = g.random(size)
    rank = ((low + u * (high - low)) ** (1 / power) - OFFSET).astype(np.int64).clip(0, number - 1)
    step = next(s for s in range(max(1, int(number * 0.618)), number + 2) if gcd(s, number) == 1)
    return np.asarray((rank * step + number // 3) % number, dtype=np.int64)
