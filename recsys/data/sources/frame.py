"""Events in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys.data.columns import Mapped, TimeUnit
from recsys.data.reading import tables
from recsys.data.reading.delimited import resolve
from recsys.data.reading.deliver import Chunk
from recsys.data.reading.plan import Head, Plan
from recsys.errors import ConfigError
from recsys.part import class_path, fingerprint

if TYPE_CHECKING:
    import pandas as pd


class Frame(Mapped):
    """A Polars or pandas frame that is already in memory, with a column mapping as in :class:`Table`.

    Its configuration names a hash of the content. It cannot be rebuilt from that: for an experiment that others shall repeat, write
    the frame to a Parquet file and use :class:`Table`.

    Args:
        frame: a ``polars.DataFrame``, ``polars.LazyFrame`` (collected once) or ``pandas.DataFrame`` (its index is ignored).
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

    Raises:
        ConfigError: not a frame, or a mapping that contradicts itself.
    """

    def __init__(
        self,
        frame: pl.DataFrame | pl.LazyFrame | pd.DataFrame,
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
    ) -> None:
        self.frame = _polars(frame)
        self.item, self.user, self.session = item, user, session
        self.time, self.time_unit, self.order = time, time_unit, order
        self.weight, self.min_weight, self.kind, self.part = weight, min_weight, kind, part
        self._check_knobs()

    @property
    def origin(self) -> str:
        return "the frame"

    def heads(self) -> list[Head]:
        resolve(self.origin, self.mapping(), self.frame.columns)
        return [tables.head(self.frame.lazy(), self.mapping(), self.origin)]

    def chunks(self, plan: Plan) -> Iterator[Chunk]:
        return tables.chunks(self.frame.lazy(), plan.names, self.origin)

    def content(self) -> str:
        """A hash of the mapped columns (16 hexadecimal digits); equal frames have equal hashes."""
        buffer = io.BytesIO()
        present = [column for column in self.mapping().values() if column in self.frame.columns]
        self.frame.select(present).rechunk().write_ipc(buffer, compression="uncompressed")
        return hashlib.blake2b(buffer.getbuffer(), digest_size=8).hexdigest()

    def fingerprint(self) -> str:
        return fingerprint(self.__spec__())

    def __spec__(self) -> dict[str, Any]:
        settings = {"time_unit": self.time_unit, "min_weight": self.min_weight}
        return {"class_path": class_path(type(self)), "init_args": {"frame": f"content:{self.content()}", **self.mapping(), **settings}}


def _polars(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect(engine="streaming")
    if isinstance(frame, pl.DataFrame):
        return frame
    if type(frame).__module__.partition(".")[0] == "pandas":
        return pl.from_pandas(frame)
    if isinstance(frame, str) and frame.startswith("content:"):
        raise ConfigError("a Frame lives in memory and cannot be rebuilt from a configuration; write it to a Parquet file and use Table")
    raise ConfigError(f"Frame got {type(frame).__name__}; give a polars or pandas DataFrame, or use Table for a file")
