"""From raw rows of any file to checked events: bad rows end the reading, or are set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.events import COLUMNS, Fault, Times, check_schema, no_events, reason
from recsys.data.reading.plan import Head, Plan
from recsys.data.reading.quarantine import SCHEMA, Quarantine, listing
from recsys.errors import DataError

MOST_ROWS = 2_000_000  # of a chunk that is handed on
Where = Callable[[NDArray[np.int64]], tuple[list[int], list[str]]]


@dataclass(frozen=True)
class Chunk:
    """Rows of one file.

    Attributes:
        origin: the file.
        raw: columns under canonical names with the types of the file; null where a parser could not read a value.
        text: the same columns as texts, if a value could not be read.
        bad: records that are no rows, as rows of a quarantine.
        where: line numbers (from 1) and texts of rows, by their position here; None where the file has no lines.
        first: rows of the file before these.
    """

    origin: str
    raw: pl.DataFrame
    text: pl.DataFrame | None = None
    bad: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SCHEMA))
    where: Where | None = None
    first: int = 0


def deliver(
    chunks: Iterator[Chunk],
    plan: Plan,
    quarantine: Quarantine | None,
    *,
    origin: str,
    warn: bool = True,
) -> Iterator[pl.DataFrame]:
    """Checked canonical events, at most 2 M rows at a time, in the order of the files.

    Args:
        chunks: what was read.
        plan: how it becomes events.
        quarantine: where bad rows go; None: the first one ends the reading.
        origin: what the whole is called in messages.
        warn: whether to warn of times in what is probably another unit.

    Raises:
        DataError: a bad row without a quarantine, or no event at all.
    """
    times = Times()
    read = given = 0
    for chunk in chunks:
        read += len(chunk.raw) + len(chunk.bad)
        frame, faults = plan.settle(chunk.raw, chunk.text)
        if faults or len(chunk.bad):
            frame = _sorted_out(chunk, frame, faults, plan, quarantine, read)
        frame = frame.cast(dict(plan.schema))  # type: ignore[arg-type]
        times.see(frame)
        given += len(frame)
        yield from (piece for piece in frame.iter_slices(MOST_ROWS) if len(piece))
    if not read and plan.text:
        raise DataError(f"{origin} has a header and nothing else: there are no events (0 rows); give at least one")
    if not given and quarantine is not None and quarantine.rows:
        why = str(quarantine.lazy().head(1).collect()["reason"][0])
        raise DataError(f"{origin}: there are no events (0 rows): {quarantine.rows:,} were set aside, the first because: {why}")
    if not given:
        raise DataError(no_events(origin))
    if warn:
        times.warn(origin)


def _sorted_out(
    chunk: Chunk, frame: pl.DataFrame, faults: list[Fault], plan: Plan, quarantine: Quarantine | None, read: int
) -> pl.DataFrame:
    """The good rows; the others are set aside.

    Raises:
        DataError: there is no quarantine.
    """
    rows, fault = _first_fault(faults, len(frame))
    if quarantine is None:
        rows, fault = rows[:1], fault[:1]
    lines, texts = chunk.where(rows) if chunk.where else ((rows + chunk.first).tolist(), [""] * len(rows))
    if quarantine is None:
        if len(chunk.bad) and (not lines or chunk.bad["line"][0] < lines[0]):
            raise DataError(f"{chunk.origin}, line {chunk.bad['line'][0]}: {chunk.bad['reason'][0]}")
        raise DataError(_message(chunk, faults[int(fault[0])], int(rows[0]), lines[0], plan, read))
    source = chunk.raw if chunk.text is None else chunk.text
    columns = [faults[at].column for at in fault.tolist()]
    reasons = ["there is no value" if faults[at].values is None else faults[at].why for at in fault.tolist()]
    found = listing(chunk.origin, lines, reasons, texts, [plan.names[column] for column in columns], _values(source, rows, columns))
    quarantine.add(pl.concat([chunk.bad, found]).sort("line", maintain_order=True))
    keep = np.ones(len(frame), dtype=bool)
    keep[rows] = False
    return frame.filter(pl.Series(keep))


def _first_fault(faults: list[Fault], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bad rows, ascending, and for each the number of its first fault."""
    fault = np.full(size, -1, dtype=np.int64)
    for at in reversed(range(len(faults))):
        fault[faults[at].bad.to_numpy()] = at
    rows = np.flatnonzero(fault >= 0)
    return rows, fault[rows]


def _values(source: pl.DataFrame, rows: NDArray[np.int64], columns: list[str]) -> list[str | None]:
    """The value of a row in the column named for it."""
    taken = source.select(sorted(set(columns)))[rows].with_columns(pl.all().cast(pl.String, strict=False))
    return [taken[column][at] for at, column in enumerate(columns)]


def _message(chunk: Chunk, fault: Fault, row: int, line: int, plan: Plan, read: int) -> str:
    name = plan.names[fault.column]
    role = "" if name == fault.column else f" ({fault.column})"
    where = f"line {line}" if chunk.where else f"row {line} (counting from 0)"
    count = int(fault.bad.sum())
    others = "" if count == 1 else f", as in {count:,} rows of the first {read:,}"
    place = f"{chunk.origin}: column {name!r}{role}, {where}"
    if fault.values is None:
        return f"{place} has no value{others}; drop or fill {'this row' if count == 1 else 'them'} first"
    return f"{place} is {fault.value(row)}{others}; {fault.why}"


def checked(events: pl.LazyFrame, quarantine: Quarantine | None, *, origin: str) -> Iterator[pl.DataFrame]:
    """Checked events from a lazy frame with canonical columns, chunk by chunk; rows are counted from 0.

    Raises:
        DataError: see :func:`deliver`.
    """
    try:
        schema = events.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{origin}: cannot be read as events: {reason(error)}") from None
    check_schema(schema, origin)
    names = [name for name in COLUMNS if name in schema]
    chosen = events.select(names)
    plan = Plan.of(dict(zip(names, names, strict=True)), [Head(origin, chosen.head(0).collect())], ids="auto", time_unit="auto")
    return deliver(_collected(chosen, origin), plan, quarantine, origin=origin)


def _collected(events: pl.LazyFrame, origin: str) -> Iterator[Chunk]:
    first = 0
    try:
        for frame in events.collect_batches(chunk_size=MOST_ROWS // 2, maintain_order=True, engine="streaming"):
            yield Chunk(origin, frame, first=first)
            first += len(frame)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{origin}: cannot be read as events: {reason(error)}") from None
