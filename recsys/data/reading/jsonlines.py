"""Chunks of JSON lines: one flat object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.events import listed, suggestion
from recsys.data.reading.blocks import BLOCK, Block, Layout, blocks
from recsys.data.reading.deliver import Chunk
from recsys.data.reading.plan import IDS, SAMPLE, Head, IdType, Plan, number_type
from recsys.data.reading.quarantine import listing
from recsys.data.reading.streams import ahead, full, opened, refuse_binary
from recsys.errors import DataError

_HEAD = 1 << 20  # bytes
_PIECE = 64  # lines of a block with something unusual that are tried together, at least
_LAYOUT = Layout(quote=None, lines=True)
_ESCAPED = re.compile(rb"\\u00[0-7][0-9a-fA-F]")  # an ASCII character that needs no escape: it may hide a key
OBJECT = 'the line is not a JSON object: write one object a line, such as {"user": 1, "item": 2}'


class NotJSON(ValueError):
    """A line that is not one JSON object; its text says why."""


def parsed(line: bytes) -> dict[str, Any]:
    """The object on a line.

    Raises:
        NotJSON: there is none, or a key stands there twice.
    """
    try:
        found = json.loads(line.decode(), object_pairs_hook=_once, parse_constant=_constant)
    except UnicodeDecodeError:
        raise NotJSON("the text is not UTF-8: convert it, for instance with iconv -f latin1 -t utf-8") from None
    except NotJSON:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJSON(f"{OBJECT} ({getattr(error, 'msg', error)})") from None
    if not isinstance(found, dict):
        raise NotJSON(OBJECT)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise NotJSON(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands there twice: keep one")
    return found


def _constant(name: str) -> float:
    raise NotJSON(f"{name} is no JSON value: mend it, or leave the line out")


@dataclass(frozen=True)
class JSONLines:
    """One file of JSON lines, read in blocks of ``size`` bytes."""

    path: Path
    size: int = BLOCK

    def head(self, names: Mapping[str, str], ids: IdType) -> Head:
        """The first objects.

        Raises:
            DataError: the file is empty, begins with a list, or no object has a mapped column.
        """
        with opened(self.path) as stream:
            text = full(stream, _HEAD)
        refuse_binary(self.path, text)
        lines = [line for line in text.split(b"\n")[: SAMPLE + 1] if line.strip()]
        if not lines:
            raise DataError(f"{self.path} is empty; give a file with at least one event")
        objects, keys = [], dict[str, None]()
        for line in lines[:-1] if len(text) == _HEAD and len(lines) > 1 else lines:
            try:
                objects.append(parsed(line))
            except NotJSON as error:
                wrong = str(error)
                continue
            keys.update(dict.fromkeys(objects[-1]))
        if not objects:
            raise DataError(f"{self.path}, line 1: {wrong}")
        for role, column in names.items():
            if column not in keys:
                hint = suggestion(column, list(keys)) or f"; say which one it is with {role}="
                raise DataError(f"{self.path}: no column {column!r} (named for {role}) among {listed(list(keys)) or 'no keys'}{hint}")
        return Head(
            str(self.path), pl.DataFrame({role: _column(role, [o.get(name) for o in objects], ids) for role, name in names.items()})
        )

    def chunks(self, plan: Plan) -> Iterator[Chunk]:
        """All rows, the next block being read and parsed while one is worked on."""
        return ahead(self._chunk(block, plan) for block in ahead(blocks(self.path, _LAYOUT, size=self.size)))

    def _chunk(self, block: Block, plan: Plan) -> Chunk:
        frame = _fast(block.text, block.records, plan)
        return self._in_pieces(block, plan) if frame is None else Chunk(str(self.path), frame, None, block.bad, block.where)

    def _in_pieces(self, block: Block, plan: Plan) -> Chunk:
        """A block with something unusual: small pieces of it are tried again, and those that fail are read line by line."""
        step = max(_PIECE, block.records // 128)
        raws, texts, kept = [], [], []
        bad: list[tuple[int, str]] = []
        for first in range(0, block.records, step):
            spans = block.spans[first : first + step]
            raw = _fast(block.text[int(spans[0, 0]) : int(spans[-1, 1])], len(spans), plan)
            if raw is None:
                raw, text, places = _slow(block.text, spans, plan, bad, first)
            else:
                text, places = raw.cast(pl.String), np.arange(first, first + len(spans))
            raws.append(raw)
            texts.append(text)
            kept.append(places)
        lines, shown = block.where(np.array([at for at, _ in bad], dtype=np.int64))
        wrong = pl.concat([block.bad, listing(self.path, lines, [why for _, why in bad], shown)]).sort("line")
        at = np.concatenate(kept)
        return Chunk(str(self.path), pl.concat(raws), pl.concat(texts), wrong, lambda rows: block.where(at[rows]))


def _fast(text: bytes, records: int, plan: Plan) -> pl.DataFrame | None:
    """Lines as a parser reads them, or None where that might not be what they say.

    The parser refuses numbers of another type, but turns anything into a text and takes the first of equal keys. It is trusted if each
    mapped key stands there once a line, written plainly, and if the values of a text column are all in quotation marks, or all integers.
    """
    if _ESCAPED.search(text):
        return None
    types: dict[str, pl.DataType] = {}
    for role, name in plan.names.items():
        key = json.dumps(name, ensure_ascii=False).encode() + b":"
        types[name] = plan.raw[role]
        quoted = 0
        if plan.raw[role] == pl.String:
            quoted = text.count(key + b'"') or text.count(key + b' "')
            if not quoted and role in IDS:
                types[name] = pl.Int64()
            elif quoted != records:
                return None
        if text.count(key) != records:
            return None
    try:
        frame = pl.read_ndjson(text, schema=types)
    except pl.exceptions.PolarsError:
        return None
    frame = frame.select(pl.col(name).cast(plan.raw[role]).alias(role) for role, name in plan.names.items())
    zero = any(frame[role].str.contains("\0", literal=True).any() for role in frame.columns if plan.raw[role] == pl.String)
    return None if zero or len(frame) != records or any(column.null_count() for column in frame.iter_columns()) else frame


def _slow(
    text: bytes, spans: NDArray[np.int64], plan: Plan, bad: list[tuple[int, str]], first: int
) -> tuple[pl.DataFrame, pl.DataFrame, NDArray[np.int64]]:
    """Lines one by one: values by type, values in words, and their places; what is no object joins ``bad``."""
    rows: dict[str, list[Any]] = {role: [] for role in plan.names}
    words: dict[str, list[str | None]] = {role: [] for role in plan.names}
    kept: list[int] = []
    for at, (start, end, _) in enumerate(spans.tolist(), first):
        if not text[start:end].strip():
            continue
        try:
            found = parsed(text[start:end])
        except NotJSON as error:
            bad.append((at, str(error)))
            continue
        kept.append(at)
        for role, name in plan.names.items():
            value = found.get(name)
            rows[role].append(_value(value, plan.raw[role]))
            words[role].append(None if value is None else _text(value))
    raw = pl.DataFrame({role: pl.Series(values, dtype=plan.raw[role]) for role, values in rows.items()})
    return raw, pl.DataFrame({role: pl.Series(values, dtype=pl.String) for role, values in words.items()}), np.array(kept, dtype=np.int64)


def _column(role: str, values: list[Any], ids: IdType) -> pl.Series:
    if role in IDS and (ids == "text" or (ids == "auto" and any(type(value) is str for value in values))):
        return pl.Series([value if isinstance(value, str) else None for value in values], dtype=pl.String)
    if role in IDS and ids == "integer":
        return pl.Series([value if type(value) is int and abs(value) < 2**63 else None for value in values], dtype=pl.Int64)
    found = number_type(values)
    if found.dtype.is_numeric() and (role == "weight" or (role == "time" and any(type(value) is float for value in values))):
        return found.cast(pl.Float64)
    return found


def _value(value: Any, dtype: pl.DataType) -> Any:
    """A JSON value as one of a column's type, None where it is of another."""
    if dtype == pl.String:
        text = str(value) if type(value) is int else value
        return text if (isinstance(text, str) and text.isascii()) or _utf8(text) else None
    if dtype.is_integer():
        return value if type(value) is int and -(2**63) <= value < 2**63 else None
    return float(value) if type(value) is float or (type(value) is int and abs(value) < 2**1000) else None


def _utf8(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any) -> str:
    """A JSON value in words."""
    return value if _utf8(value) else json.dumps(value)[:1000]
