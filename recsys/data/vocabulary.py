"""From ids to codes. Codes are in ascending order of id, so that they do not depend on the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """The ids of a data set, ``ids[code]``; ``codes`` int64 [E] are those of each row it was fitted on."""

    ids: pl.Series
    codes: Codes

    @staticmethod
    def of(column: pl.Series) -> Vocabulary:
        """All ids of a column (without nulls)."""
        ids = column.unique().sort()
        table = ids.to_frame("id").with_row_index("code")
        joined = column.to_frame("id").join(table, on="id", how="left", maintain_order="left")
        return Vocabulary(ids, joined["code"].to_numpy().astype(np.int64))

    def narrowed(self, rows: NDArray[np.bool_]) -> tuple[pl.Series, Codes]:
        """Fitted on some of the rows only: their ids, and for each old code the new one, or -1 if those rows lack it."""
        used = np.zeros(len(self.ids), dtype=bool)
        used[self.codes[rows]] = True
        new = np.where(used, used.cumsum() - 1, -1)
        return self.ids.filter(pl.Series(used)), new
