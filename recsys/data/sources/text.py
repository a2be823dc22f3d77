"""Text files of a fixed layout, as publishers of data sets leave them: every field has its place, its kind and its line number."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recsys.errors import DataError


class Kind(NamedTuple):
    """What a field holds, and how to read it (null where it cannot be)."""

    words: str
    read: Callable[[pl.Expr], pl.Expr]


def _integer(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)


def _moment(text: pl.Expr) -> pl.Expr:
    seconds = _integer(text)
    return pl.when(seconds.abs() < 1 << 40).then(seconds * 1_000_000).cast(pl.Datetime("us"))


INTEGER = Kind("an integer", _integer)
REAL = Kind("a number", lambda text: text.cast(pl.Float32, strict=False))
TEXT = Kind("a text that is not empty", lambda text: pl.when(text != "").then(text))
SECONDS = Kind("a number of seconds since 1970", _moment)
DAY = Kind("a day such as 2016-05-09", lambda text: text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
ISO = Kind(
    "a time such as 2014-04-07T10:51:09.277Z",
    lambda text: text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False),
)


def fields(path: Path, separator: str, columns: dict[str, Kind | None], *, headers: tuple[str, ...] = ()) -> pl.LazyFrame:
    """The columns of a text file without quotes, plain or ``.gz``. Blank lines are left out.

    Args:
        path: the file.
        separator: between two fields, of any length.
        columns: name and kind of every field of a line, in order; those of kind None are left out.
        headers: what the first line may be; empty: it is data.

    Raises:
        DataError: another header; when the lines are read: one with more or fewer fields, or a field of another kind. With the line's
            number.
    """
    if headers and (found := line_of(path, 1)) not in headers:
        raise DataError(f"{path}, line 1: {short(found)}; this file begins with the header {' or '.join(headers)}")
    names = {f"field_{place}": name for place, name in enumerate(columns)}
    kinds = {name: kind for name, kind in columns.items() if kind is not None}
    last, more = list(columns)[-1], f"field_{len(names)}"
    data = numbered(path).slice(len(headers[:1])).filter(pl.col("text") != "")
    cells = data.with_columns(pl.col("text").str.splitn(separator, len(names) + 1)).unnest("text").rename(names)
    parsed = cells.select(
        "line",
        *(kind.read(pl.col(name).str.strip_chars()).alias(name) for name, kind in kinds.items()),
        _fits=pl.col(last).is_not_null() & pl.col(more).is_null(),
    )

    def checked(frame: pl.DataFrame) -> pl.DataFrame:
        if not frame["_fits"].all():
            number, text = _first(frame, ~frame["_fits"], path)
            wrong = f"{text.count(separator) + 1} fields in {short(text)}"
            raise DataError(f"{path}, line {number}: {wrong}; a line has {len(names)}: {separator.join(columns)}")
        for name, kind in kinds.items():
            if frame[name].null_count():
                number, text = _first(frame, frame[name].is_null(), path)
                given = text.split(separator)[list(columns).index(name)]
                raise DataError(f"{path}, line {number}: field {name!r} is {short(given)}; it is {kind.words}")
        return frame.select(list(kinds))

    schema = parsed.collect_schema()
    return parsed.map_batches(checked, schema={name: schema[name] for name in kinds}, streamable=True)


def lists(path: Path, *, order: bool = False) -> pl.LazyFrame:
    """``user item item ...`` lines as columns ``user``, ``item`` and, if asked for, ``order`` (0 for the first item). Ids are integers.

    A user without items has no rows.

    Raises:
        DataError: when the lines are read: an id that is no integer. With the line's number.
    """
    cells = numbered(path).with_columns(pl.col("text").str.split(" "))
    rows = cells.select(
        "line",
        user=_integer(pl.col("text").list.first()),
        item=pl.col("text").list.slice(1).list.eval(pl.element().filter(pl.element() != "")),
    ).filter(pl.col("item").list.len() > 0)
    if order:
        rows = rows.with_columns(order=pl.int_ranges(0, pl.col("item").list.len()))
    columns = ["item", "order"] if order else ["item"]
    rows = rows.explode(columns).with_columns(_integer(pl.col("item")))

    def checked(frame: pl.DataFrame) -> pl.DataFrame:
        wrong = frame["user"].is_null() | frame["item"].is_null()
        if wrong.any():
            number, text = _first(frame, wrong, path)
            cells = pl.Series([cell for cell in text.split(" ") if cell])
            given = cells.filter(cells.cast(pl.Int64, strict=False).is_null())[0]
            raise DataError(f"{path}, line {number}: {short(given)} is not an integer; a line is a user's id and ids of items, with spaces")
        return frame.drop("line")

    return rows.map_batches(checked, schema=dict.fromkeys(["user", *columns], pl.Int64), streamable=True)


def numbered(path: Path) -> pl.LazyFrame:
    """Columns ``line`` (the first is 1) and ``text`` (without blanks at its ends)."""
    if not path.stat().st_size:
        raise DataError(f"{path} is empty; it is damaged or not the published file: fetch it anew")
    lines = pl.scan_csv(
        path,
        has_header=False,
        separator="\x01",
        quote_char=None,
        schema={"text": pl.String},
        row_index_name="line",
        row_index_offset=1,
    )
    return lines.with_columns(pl.col("text").fill_null("").str.strip_chars(" \r"))


def _first(frame: pl.DataFrame, wrong: pl.Series, path: Path) -> tuple[int, str]:
    """Number and text of the first line that is wrong."""
    number = int(frame.filter(wrong)["line"][0])
    return number, line_of(path, number)


def line_of(path: Path, number: int) -> str:
    with gzip.open(path, "rt", errors="replace") if path.suffix == ".gz" else path.open(errors="replace") as stream:
        return next(itertools.islice(stream, number - 1, number), "").strip(" \r\n")


def short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
