"""Ids and their provisional codes while a log is read for the first time: 0, 1, ... in the order in which they appear."""

from __future__ import annotations

import numpy as np
import polars as pl

from recsys.data import kernels
from recsys.data.blocks import CODE, codes
from recsys.data.kernels import Codes, Ints, enter, provisional
from recsys.errors import DataError

_MOST = 2**31 - 1  # codes are int32


class Ids:
    """Integer ids. While they come in ascending order they are only counted; then a hash table finds them.

    Attributes:
        ascending: no id was smaller than one before it.
    """

    def __init__(self) -> None:
        self.ascending = True
        self._seen = 0
        self._known = 0
        self._ids = np.empty(0, dtype=np.int64)
        self._table: Codes | None = None

    def codes(self, column: pl.Series) -> Codes:
        """int32 [E]."""
        values = column.to_numpy()
        if not len(values):
            return np.empty(0, dtype=np.int32)
        self._seen += len(values)
        if self.ascending:
            after = self._known == 0 or values[0] >= self._ids[self._known - 1]
            if after and not (values[1:] < values[:-1]).any():
                return self._ascending(values)
            self.ascending = False
        found, at = np.empty(len(values), dtype=np.int32), 0
        if self._table is None:
            self._grow()
        while at < len(values):
            assert self._table is not None
            large = self._seen >= kernels.COMPILED_FROM
            at, self._known = provisional(values, at, found, self._table, self._ids, self._known, large=large)
            if at < len(values):
                self._grow()
        return found

    def _ascending(self, values: Ints) -> Codes:
        new = np.append(self._known == 0 or values[0] != self._ids[self._known - 1], values[1:] != values[:-1])
        code = self._known - 1 + new.cumsum()
        fresh = values[new]
        self._room(self._known + len(fresh))
        self._ids[self._known : self._known + len(fresh)] = fresh
        self._known += len(fresh)
        return code.astype(np.int32)

    def _room(self, size: int) -> None:
        if size > _MOST:
            raise DataError(f"there are more than {_MOST:,} different ids; that is the most a log can have")
        if size > len(self._ids):
            self._ids = np.resize(self._ids, max(size, min(2 * len(self._ids), _MOST), 1 << 16))

    def _grow(self) -> None:
        """A hash table for more ids than the last one."""
        if self._table is not None and len(self._ids) >= _MOST:
            raise DataError(f"there are more than {_MOST:,} different ids; that is the most a log can have")
        self._room(min(max(4 * self._known, 4 * len(self._ids) if self._table is not None else 1), _MOST))
        self._table = np.full(2 << (len(self._ids) - 1).bit_length(), -1, dtype=np.int32)
        enter(self._table, self._ids, 0, self._known)

    def ranked(self) -> tuple[pl.Series, Codes]:
        """The ids in ascending order, and for each provisional code its rank."""
        ids = self._ids[: self._known]
        order = np.arange(len(ids)) if self.ascending else np.argsort(ids)
        return pl.Series(ids[order]), _ranks(order)


class Texts:
    """Text ids."""

    ascending = False

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"id": pl.String, "code": CODE})

    def codes(self, column: pl.Series) -> Codes:
        """int32 [E]."""
        frame = column.cast(pl.String).alias("id").to_frame()
        distinct = frame.unique()
        fresh = distinct.join(self._known, on="id", how="anti").with_row_index("code", offset=len(self._known)).select("id", "code")
        self._known = pl.concat([self._known, fresh.cast({"code": CODE})])
        known = distinct.join(self._known, on="id", how="left")
        return codes(frame.join(known, on="id", how="left", maintain_order="left")["code"].rechunk())

    def ranked(self) -> tuple[pl.Series, Codes]:
        """The ids in ascending order, and for each provisional code its rank."""
        order = self._known["id"].arg_sort().to_numpy()
        return self._known["id"].gather(pl.Series(order)), _ranks(order)


class Enumerated:
    """Names that are known beforehand; their codes are not provisional."""

    ascending = False

    def __init__(self, names: pl.Series) -> None:
        self._names = names

    def codes(self, column: pl.Series) -> Codes:
        """int32 [E]."""
        return codes(column.to_physical().cast(CODE))

    def ranked(self) -> tuple[pl.Series, Codes]:
        """The names as they are."""
        return self._names, np.arange(len(self._names), dtype=np.int32)


Table = Ids | Texts | Enumerated


def table_for(column: pl.Series) -> Table:
    """An empty table for ids like these."""
    if isinstance(column.dtype, pl.Enum):
        return Enumerated(column.dtype.categories)
    return Ids() if column.dtype.is_integer() else Texts()


def _ranks(order: Ints) -> Codes:
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank
