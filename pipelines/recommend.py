"""``recsys recommend``: what a stored run would show."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.commands import UsageError
from pipelines.runs import load_runs
from pipelines.tables import console, plain_table
from recsys.errors import DataError, RunError
from recsys.run import Run


def recommend(args: argparse.Namespace) -> int:
    """Recommend to one user, to one history, or to every row of a file."""
    asked = [name for name in ("user", "history", "input") if getattr(args, name) is not None]
    if len(asked) != 1:
        given = " and ".join(f"--{name}" for name in asked) or "none of them"
        raise UsageError(f"recsys recommend takes one of --user, --history and --input; given: {given}")
    if (args.input is None) != (args.output is None):
        raise UsageError("recsys recommend: --input and --output go together")
    if args.k < 1:
        raise UsageError(f"recsys recommend: --k is {args.k}; at least 1 item is recommended")
    (run,) = load_runs([args.run], args.runs)
    if args.input is not None:
        write(for_file(run, args.input, args.k), args.output)
        return 0
    found = run.recommend(users=[args.user], k=args.k) if args.user is not None else run.recommend([args.history.split(",")], args.k)
    console().print(_table(found))
    return 0


def for_file(run: Run, path: Path, k: int) -> pl.DataFrame:
    """Recommendations for each row of a Parquet file: for its column ``user``, or for the lists in its column ``history``.

    Raises:
        DataError: the file cannot be read or has neither column.
    """
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"--input {path} cannot be read as Parquet: {' '.join(str(error).split())}") from None
    held = [name for name in ("user", "history") if name in table.columns]
    if len(held) != 1:
        columns = ", ".join(table.columns) or "none"
        raise DataError(f"--input {path} has the columns {columns}; it needs one of user (ids) and history (lists of item ids)")
    if held == ["user"]:
        return run.recommend(users=table["user"].unique(maintain_order=True).to_list(), k=k)
    if not isinstance(table.schema["history"], pl.List):
        raise DataError(f"--input {path}: history is {table.schema['history']}, not lists of item ids")
    return run.recommend(table["history"].fill_null([]).to_list(), k)


def write(found: pl.DataFrame, path: Path) -> None:
    """Write a table.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        found.write_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"--output {path} cannot be written: {' '.join(str(error).split())}") from None
    console().print(f"{len(found):,} rows in {path}", soft_wrap=True)


def _table(found: pl.DataFrame) -> Any:
    table = plain_table("", "rank", "item", "score")
    for rank, item, score in found.select("rank", "item", "score").iter_rows():
        table.add_row(str(rank), str(item), f"{score:.4f}")
    return table
