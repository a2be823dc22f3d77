"""Rows that could not be used: located, counted, kept in a side file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recsys.errors import DataError

KEPT_TEXT = 500  # characters of a row's text that are kept
SCHEMA = pl.Schema({"file": pl.String, "line": pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String, "text": pl.String})
_IN_MEMORY = 100_000  # rows; more go to a temporary file


def listing(
    file: Path | str,
    line: Sequence[int],
    reason: Sequence[str],
    text: Sequence[str],
    column: Sequence[str | None] | None = None,
    value: Sequence[str | None] | None = None,
) -> pl.DataFrame:
    """Rows for a quarantine, all of one file. Without ``column`` and ``value`` the whole lines are malformed."""
    nothing = [None] * len(line)
    columns = {"file": [str(file)] * len(line), "line": line, "column": column or nothing, "value": value or nothing}
    return pl.DataFrame({**columns, "reason": reason, "text": text}, schema=SCHEMA)


class Quarantine:
    """What was set aside while reading: one row for every line of a text file, or row of another source, that is not in the events.

    Columns: ``file``; ``line`` (from 1, the header counted; for Parquet, Arrow and frames the row, from 0); ``column`` (as the file calls
    it, null when the whole line is malformed); ``value``; ``reason``; ``text`` (the line, cut to 500 characters). A row with several bad
    values is listed once, with the first. Memory is bounded: beyond 100,000 rows they wait in a temporary file.

    Attributes:
        rows: how many were set aside.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._held: list[pl.DataFrame] = []
        self._waiting = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._parts: list[Path] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Set rows aside; ``rows`` has the columns above."""
        self._held.append(rows.select(list(SCHEMA)).with_columns(pl.col("value", "text").str.head(KEPT_TEXT)))
        self.rows += len(rows)
        self._waiting += len(rows)
        if self._waiting > _IN_MEMORY:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="recsys-quarantine-")
            part = Path(self._folder.name) / f"{len(self._parts):06}.parquet"
            pl.concat(self._held).write_parquet(part)
            self._parts.append(part)
            self._held, self._waiting = [], 0

    def lazy(self) -> pl.LazyFrame:
        """All rows in the order in which they were met."""
        spilled = [pl.scan_parquet(part) for part in self._parts]
        return pl.concat([*spilled, *(rows.lazy() for rows in self._held), pl.LazyFrame(schema=SCHEMA)])

    def frame(self) -> pl.DataFrame:
        """All rows, in memory."""
        return self.lazy().collect()

    def write(self, path: Path | str) -> None:
        """Write all rows to a Parquet file.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.lazy().sink_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(
                f"the rows set aside cannot be written to {path} ({str(error).splitlines()[0]}); choose another place"
            ) from None
