"""Atomic files of RecBole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recsys.data.columns import IdType, Mapped, OnError, TimeUnit
from recsys.data.download import existing
from recsys.data.reading.delimited import Delimited, Header, resolve
from recsys.data.reading.deliver import Chunk
from recsys.data.reading.plan import Head, Plan
from recsys.errors import ConfigError, DataError

_TYPES = ("token", "float", "token_seq", "float_seq")


class RecBole(Mapped):
    """Interactions in an ``.inter`` file of RecBole: fields between tabulators, a header of ``name:type``, for instance ``user_id:token``.

    Names are given without their types; a field that is mapped is a ``token`` or ``float``. Fields are not quoted. Ids that are integers
    in the first rows are read as integers.

    Format: https://recbole.io/docs/user_guide/data/atomic_files.html; Zhao et al., "RecBole: Towards a Unified, Comprehensive and Efficient
    Framework for Recommendation Algorithms", CIKM 2021.

    Args:
        path: the file, plain, ``.gz`` or ``.zst``.
        item: field of item ids.
        user: field of user ids; or
        session: field of session ids, with ``user=None``.
        time: field of times; None if there are none.
        time_unit: of the times: ``s``, ``ms``, ``us`` or ``ns``.
        order: field of positions, for events without a clock.
        weight: field of weights or ratings.
        min_weight: keep events with at least this weight.
        kind: field that says what the event was, such as ``clicks``.
        part: field that says ``train``, ``valid`` or ``test``.
        ids: ``integer`` or ``text``; ``auto``: integers where the first rows have nothing else.
        on_error: what a bad row does: ``raise`` ends the reading with its line and value, ``quarantine`` sets it aside.

    Raises:
        ConfigError: a mapping that contradicts itself, or an unknown option.
    """

    _advice = "read all ids as texts with ids='text'"

    def __init__(
        self,
        path: Path | str,
        *,
        item: str = "item_id",
        user: str | None = "user_id",
        session: str | None = None,
        time: str | None = "timestamp",
        time_unit: TimeUnit = "s",
        order: str | None = None,
        weight: str | None = None,
        min_weight: float | None = None,
        kind: str | None = None,
        part: str | None = None,
        ids: IdType = "auto",
        on_error: OnError = "raise",
    ) -> None:
        self.path = path
        self.item, self.user, self.session = item, user, session
        self.time, self.time_unit, self.order = time, time_unit, order
        self.weight, self.min_weight, self.kind, self.part = weight, min_weight, kind, part
        self.ids, self.on_error = ids, on_error
        if any(":" in column for column in self.mapping().values()):
            raise ConfigError(f"RecBole got {', '.join(self.mapping().values())}; name the fields without their types")
        self._check_knobs()

    @property
    def origin(self) -> str:
        return str(self.path)

    def files(self) -> list[Path]:
        return [existing(self.path)]

    def heads(self) -> list[Head]:
        (path,) = self.files()
        header = self._header(path)
        resolve(path, self.mapping(), header.names, text=True)
        return [self._file(path).head(self.mapping(), header)]

    def chunks(self, plan: Plan) -> Iterator[Chunk]:
        (path,) = self.files()
        return self._file(path).chunks(plan, self._header(path))

    def _file(self, path: Path) -> Delimited:
        return Delimited(path, "\t", quote=None)

    def _header(self, path: Path) -> Header:
        header = self._file(path).header()
        names = []
        for field in header.names:
            name, colon, kind = field.rpartition(":")
            if not colon or kind not in _TYPES:
                raise DataError(f"{path}, line {header.line - 1}: the header has {field!r}; fields are name:type with {', '.join(_TYPES)}")
            if kind.endswith("_seq") and name in self.mapping().values():
                raise DataError(f"{path}: field {name!r} is a {kind}; map one that is a token or a float")
            names.append(name)
        return Header(names, header.size, header.line)
