"""Candidates: pools of item ids in the shape they were drawn in, and the draw of a batch. Shapes: G groups, R rows, K candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pool:
    """Candidate ids, int64: [K] shared by all rows; [G, K] one list a group, with ``group`` [R]; or [R, K] one list a row."""

    items: Tensor
    group: Tensor | None = None

    @property
    def width(self) -> int:
        return self.items.shape[-1]

    def ids(self) -> Tensor:
        """[1, K] for a shared pool, else [R, K]. Ids only, never vectors."""
        if self.items.ndim == 1:
            return self.items[None]
        return self.items if self.group is None else self.items[self.group]

    def pick(self, columns: Tensor) -> Tensor:
        """The ids in columns [R, k] of each row; [R, k]."""
        if self.items.ndim == 1:
            return self.items[columns]
        return self.items.gather(1, columns) if self.group is None else self.items[self.group[:, None], columns]

    def take(self, rows: Tensor) -> Pool:
        if self.items.ndim == 1:
            return self
        return replace(self, items=self.items[rows]) if self.group is None else replace(self, group=self.group[rows])


@dataclass(frozen=True)
class Draw:
    """What a sampler returns for R rows: pools side by side (K = sum of their widths), and what is known of each candidate.

    ``valid`` bool [R | 1, K]: False where a candidate must never be contrasted with the row; None: all valid.
    ``log_count`` float [R | 1, K]: log of the expected number of times the item is among the row's candidates (log(K q) for K
    draws from q; 0 for the whole catalogue); None where it is unknown or nobody asked.
    ``share`` float [R, K]: how a row's loss is shared among its candidates; None: equally.
    ``rows`` int64 [R']: the rows kept (everything else here is already theirs); None: all. ``weight`` float [R']: of kept rows.
    """

    pools: tuple[Pool, ...]
    valid: Tensor | None = None
    log_count: Tensor | None = None
    share: Tensor | None = None
    rows: Tensor | None = None
    weight: Tensor | None = None

    @property
    def width(self) -> int:
        return sum(pool.width for pool in self.pools)

    def ids(self) -> Tensor:
        """[R | 1, K]: every candidate of every row."""
        if len(self.pools) == 1:
            return self.pools[0].ids()
        ids = [pool.ids() for pool in self.pools]
        rows = max(map(len, ids))
        return torch.cat([x.expand(rows, -1) for x in ids], 1)

    def pick(self, columns: Tensor) -> Draw:
        """Keep columns [R, k] of each row, as one pool of its own per row. What was expected of them is known no more."""
        ids, start = torch.zeros_like(columns), 0
        for pool in self.pools:
            here = (columns >= start) & (columns < start + pool.width)
            ids = torch.where(here, pool.pick((columns - start).clamp(0, max(pool.width - 1, 0))), ids)
            start += pool.width
        valid = None if self.valid is None else self.valid.expand(len(columns), -1).gather(1, columns)
        return replace(self, pools=(Pool(ids),), valid=valid, log_count=None, share=None)

    def weighed(self, weight: Tensor) -> Draw:
        """The same with its rows' weights [R'] multiplied by these."""
        return replace(self, weight=weight if self.weight is None else self.weight * weight)

    def take(self, rows: Tensor) -> Draw:
        """Keep some rows."""

        def of_row(x: Tensor | None) -> Tensor | None:
            return x if x is None or (x.ndim == 2 and len(x) == 1) else x[rows]

        return Draw(
            pools=tuple(pool.take(rows) for pool in self.pools),
            valid=of_row(self.valid),
            log_count=of_row(self.log_count),
            share=of_row(self.share),
            rows=rows if self.rows is None else self.rows[rows],
            weight=of_row(self.weight),
        )
