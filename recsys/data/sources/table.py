"""Events in files of any common table format."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

from recsys.data.columns import IdType, Mapped, OnError, TimeUnit
from recsys.data.reading import tables
from recsys.data.reading.delimited import Delimited, resolve
from recsys.data.reading.deliver import Chunk
from recsys.data.reading.jsonlines import JSONLines
from recsys.data.reading.plan import Head, Plan
from recsys.data.reading.streams import bare_suffix
from recsys.errors import ConfigError, DataError

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".inter": "\t"}
_JSON = (".jsonl", ".ndjson", ".json")


class Table(Mapped):
    """One or several files with the same columns: ``.csv``, ``.tsv``, ``.jsonl`` (plain, ``.gz`` or ``.zst``), ``.parquet`` or ``.arrow``.

    The first 10,000 rows of each file say what a column holds. Text is UTF-8, with or without a byte order mark, lines end in LF or CR LF;
    fields are quoted as RFC 4180 has it, blank lines are passed over. JSON is one flat object a line. Ids are kept as they are: integers
    of up to 64 bits exactly, texts without any normalisation, and ids with leading zeros in the first rows as texts. Integer ids of later
    rows lose leading zeros; ``ids="text"`` keeps them. Memory does not grow with the files.

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
        kind: column that says what the event was, such as ``clicks``.
        part: column that says ``train``, ``valid`` or ``test``.
        separator: of the columns in a text file. Default: a comma for ``.csv``, a tabulator for ``.tsv``.
        ids: ``integer`` or ``text``; ``auto``: integers where the first rows have nothing else.
        on_error: what a bad row does: ``raise`` ends the reading with its line and value, ``quarantine`` sets it aside.

    Raises:
        ConfigError: a mapping that contradicts itself, an unknown option, or a separator of more than one character.
    """

    _advice = "read all ids as texts with ids='text'"

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
        kind: str | None = None,
        part: str | None = None,
        separator: str | None = None,
        ids: IdType = "auto",
        on_error: OnError = "raise",
    ) -> None:
        self.path, self.separator = path, separator
        self.item, self.user, self.session = item, user, session
        self.time, self.time_unit, self.order = time, time_unit, order
        self.weight, self.min_weight, self.kind, self.part = weight, min_weight, kind, part
        self.ids, self.on_error = ids, on_error
        self._check_knobs()
        if separator is not None and (len(separator.encode()) != 1 or separator in '"\n\r\0'):
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

    def heads(self) -> list[Head]:
        return [self._head(path) for path in self.files()]

    def chunks(self, plan: Plan) -> Iterator[Chunk]:
        for path in self.files():
            kind = self._kind(path)
            if kind in tables.MAGIC:
                yield from tables.chunks(tables.scanned(path, kind), plan.names, str(path))
            elif kind in _JSON:
                yield from JSONLines(path).chunks(plan)
            else:
                text = self._delimited(path, kind)
                yield from text.chunks(plan, text.header())

    def _head(self, path: Path) -> Head:
        kind = self._kind(path)
        names = self.mapping()
        if kind in tables.MAGIC:
            table = tables.scanned(path, kind)
            resolve(path, names, table.collect_schema().names())
            return tables.head(table, names, str(path))
        if kind in _JSON:
            return JSONLines(path).head(names, self.ids)
        text = self._delimited(path, kind)
        header = text.header()
        resolve(path, names, header.names, text=True)
        return text.head(names, header)

    def _kind(self, path: Path) -> str:
        kind = bare_suffix(path)
        if kind not in (*_SEPARATORS, ".txt", *_JSON, *tables.MAGIC):
            raise DataError(
                f"{path} ends in {kind!r}; Table reads .csv, .tsv, .txt (with separator=), .jsonl (plain, .gz or .zst), .parquet and .arrow"
            )
        return kind

    def _delimited(self, path: Path, kind: str) -> Delimited:
        if kind == ".txt" and self.separator is None:
            raise DataError(f"{path}: say how its columns are separated, for instance separator='\\t'")
        return Delimited(path, self.separator or _SEPARATORS[kind])
