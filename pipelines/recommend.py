"""``recsys recommend``, ``similar`` and ``export``: what a stored run would show."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.commands import UsageError
from pipelines.runs import load_runs
from pipelines.tables import console, plain_table
from recsys.data.events import reason
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
    if args.output is not None:
        refuse_output(args.output)
    (run,) = load_runs([args.run], args.runs)
    listed: dict[str, Any] = {name: item_list(f"--{name}", path) for name in ("allow", "deny") if (path := getattr(args, name)) is not None}
    if args.input is not None:
        write(for_file(run, args.input, args.k, **listed), args.output)
        return 0
    if args.user is not None:
        found = run.recommend(users=[args.user], k=args.k, **listed)
    else:
        found = run.recommend([[item.strip() for item in args.history.split(",") if item.strip()]], args.k, **listed)
    console().print(_table(found, "item"))
    return 0


def similar(args: argparse.Namespace) -> int:
    """The items most like some items."""
    if args.output is not None:
        refuse_output(args.output)
    (run,) = load_runs([args.run], args.runs)
    found = run.similar(args.item, args.k)
    if args.output is not None:
        write(found, args.output)
        return 0
    for (item,), part in found.group_by("item", maintain_order=True):
        console().print(f"like {item}:", _table(part, "similar"), sep="\n")
    return 0


def to_onnx(args: argparse.Namespace) -> int:
    """Write the model of a run as ONNX."""
    from recsys.export import export

    (run,) = load_runs([args.run], args.runs)
    folder = export(run, args.output, k=args.k, index=args.index)
    console().print(f"In {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}", soft_wrap=True)
    return 0


def item_list(option: str, path: Path) -> list[Any]:
    """Item ids from a text file, one a line, or from the column ``item`` of a Parquet file.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """
    if not path.is_file():
        raise DataError(f"{option} {path} is no file; give a text file with one item id a line, or a Parquet file with the column item")
    try:
        if path.suffix != ".parquet":
            return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return pl.read_parquet(path, columns=["item"])["item"].drop_nulls().to_list()
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{option} {path} cannot be read: {reason(error)}") from None


def for_file(run: Run, path: Path, k: int, **listed: Any) -> pl.DataFrame:
    """Recommendations for each row of a Parquet file: for its column ``user``, or for the lists in its column ``history``.
    ``listed``: items to ``allow`` or ``deny``.

    Raises:
        DataError: the file cannot be read, has neither column, or holds something else than ids in it.
    """
    if not path.is_file():
        raise DataError(f"--input {path} is no file; give a Parquet file with the column user or history")
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"--input {path} cannot be read as Parquet: {reason(error)}") from None
    held = [name for name in ("user", "history") if name in table.columns]
    if len(held) != 1:
        columns = ", ".join(table.columns) or "none"
        raise DataError(f"--input {path} has the columns {columns}; it needs one of user (ids) and history (lists of item ids)")
    dtype = table.schema[held[0]]
    kind = dtype.inner if held == ["history"] and isinstance(dtype, pl.List) else dtype
    if not table.is_empty() and not (isinstance(kind, pl.DataType) and (kind.is_integer() or kind == pl.String)):
        wanted = "lists of item ids" if held == ["history"] else "user ids"
        raise DataError(f"--input {path}: {held[0]} is {dtype}, not {wanted}; ids are integers or texts")
    if held == ["user"]:
        if missing := table["user"].null_count():
            raise DataError(f"--input {path}: user has no value in {missing:,} rows; drop them first")
        return run.recommend(users=table["user"].unique(maintain_order=True).to_list(), k=k, **listed)
    if not isinstance(dtype, pl.List):
        raise DataError(f"--input {path}: history is {dtype}, not lists of item ids")
    return run.recommend(table["history"].fill_null([]).to_list(), k, **listed)


def refuse_output(path: Path) -> None:
    """Refuse a file that cannot be written, before long work.

    Raises:
        RunError: it is a folder, or its folder is not there or cannot be written.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise RunError(f"--output {path} is a folder; give the name of a Parquet file")
    if not folder.is_dir():
        raise RunError(f"--output {path}: there is no folder {folder}; make it first, or choose another place")
    if not os.access(folder, os.W_OK):
        raise RunError(f"--output {path}: the folder {folder} cannot be written; choose another place")


def write(found: pl.DataFrame, path: Path) -> None:
    """Write a table.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        found.write_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"--output {path} cannot be written: {reason(error)}") from None
    console().print(f"{len(found):,} rows in {path}", soft_wrap=True)


def _table(found: pl.DataFrame, name: str) -> Any:
    table = plain_table("", "rank", "item", "score")
    for rank, item, score in found.select("rank", name, "score").iter_rows():
        table.add_row(str(rank), str(item), f"{score:.4f}")
    return table
