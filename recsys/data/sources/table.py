"""Events in CSV, TSV or Parquet files."""

from __future__ import annotations

import glob
from pathlib import Path

import polars as pl

from recsys.data.columns import Mapped, TimeUnit
from recsys.data.events import reason
from recsys.errors import ConfigError, DataError

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".inter": "\t"}


class Table(Mapped):
    """One or several files with the same columns: ``.csv``, ``.tsv`` (plain or ``.gz``) or ``.parquet``.

    Args:
        path: a file, or a pattern such as ``logs/2026-*.parquet``; files are read in the order of their names.
        item: column of item ids.
        user: column of user ids; or
        session: column of session ids.
        time: column of times: dates, ISO texts, or numbers since 1970 in ``time_unit``.
        time_unit: ``auto`` for dates and ISO texts; ``s``, ``ms``, ``us`` or ``ns`` for numbers.
        order: column of positions, for events without a clock.
        weight: column of weights or ratings.
        min_weight: keep events with at least this weight.
        part: column that says ``train``, ``valid`` or ``test``.
        separator: of the columns in a text file. Default: a comma for ``.csv``, a tabulator for ``.tsv``.

    Raises:
        ConfigError: a mapping that contradicts itself, or a separator of more than one character.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        item: str = "item",
        user: str | None = None,
        session: str | None = None,
        time: str | None = None,
        time_unit: TimeUnit = "auto",
        order: str | None = None,
        weight: str | None = None,
        min_weight: float | None = None,
        part: str | None = None,
        separator: str | None = None,
    ) -> None:
        self.path, self.separator = path, separator
        self.item, self.user, self.session = item, user, session
        self.time, self.time_unit, self.order = time, time_unit, order
        self.weight, self.min_weight, self.part = weight, min_weight, part
        self._check_knobs()
        if separator is not None and len(separator.encode()) != 1:
            raise ConfigError(f"Table got separator={separator!r}; it is one ASCII character, such as ',' or '\\t'")

    @property
    def origin(self) -> str:
        return str(self.path)

    def files(self) -> list[Path]:
        found = [Path(name) for name in sorted(glob.glob(str(self.path))) if Path(name).is_file()]
        if not found and Path(self.path).is_file():  # a name with brackets is a file, not a pattern
            found = [Path(self.path)]
        if not found and Path(self.path).is_dir():
            raise DataError(f"{self.path} is a folder; name a file, or a pattern such as {Path(self.path) / '*.parquet'}")
        if not found:
            raise DataError(f"no file at {self.path}; check the path (the current folder is {Path.cwd()})")
        for path in found:
            if not path.stat().st_size:
                raise DataError(f"{path} is empty; give a file with a header and at least one event")
        return found

    def events(self) -> pl.LazyFrame:
        return pl.concat([self.canonical(self._scan(path), str(path)) for path in self.files()], how="vertical_relaxed")

    def _scan(self, path: Path) -> pl.LazyFrame:
        suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
        kind = suffixes[-1] if suffixes else ""
        if kind not in (*_SEPARATORS, ".parquet", ".txt"):
            raise DataError(f"{path} ends in {kind!r}; Table reads .csv, .tsv, .txt (with separator=), .gz of these, and .parquet")
        _sniff(path, kind)
        try:
            table = pl.scan_parquet(path) if kind == ".parquet" else self._scan_text(path, kind)
            schema = table.collect_schema()
            names = schema.names()
            if all(dtype == pl.String for dtype in schema.dtypes()) and table.head(1).collect().is_empty():
                raise DataError(f"{path} has a header and nothing else: there are no events (0 rows); give at least one")
        except pl.exceptions.NoDataError:
            raise DataError(f"{path} is empty; give a file with a header and at least one event") from None
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{path} cannot be read as {kind}: {reason(error)}") from None
        if len(names) == 1 and kind != ".parquet" and (other := next((s for s in ";\t|," if s in names[0]), None)):
            raise DataError(f"{path} has a single column {names[0][:60]!r}; if the separator is {other!r}, say separator={other!r}")
        twice = [column for column in self.mapping().values() if f"{column}_duplicated_0" in names]
        if twice:
            raise DataError(f"{path} has several columns named {twice[0]!r}; rename all but one in the file")
        return table

    def _scan_text(self, path: Path, kind: str) -> pl.LazyFrame:
        if kind == ".txt" and self.separator is None:
            raise DataError(f"{path}: say how its columns are separated, for instance separator='\\t'")
        return pl.scan_csv(path, separator=self.separator or _SEPARATORS[kind], infer_schema_length=10_000)


def _sniff(path: Path, kind: str) -> None:
    """Raises DataError for a file whose first bytes are not what its name says."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if kind == ".parquet":
        if not head.startswith(b"PAR1"):
            raise DataError(f"{path} is not a Parquet file, as its first bytes say; give it the ending of what it is, such as .csv")
        return
    if head.startswith(b"PAR1"):
        raise DataError(f"{path} is a Parquet file, as its first bytes say; rename it to .parquet")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is text in UTF-16; save it as UTF-8, for instance with iconv -f utf-16 -t utf-8")
    if b"\0" in head and not head.startswith(b"\x1f\x8b"):  # gzip is read as it is
        raise DataError(f"{path} is not text: it holds zero bytes; give .csv or .tsv (plain or .gz), or .parquet")
