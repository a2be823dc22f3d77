from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from recsys.batch import Batch
from recsys.data.log import Log
from recsys.examples.pairs import Pairs


class PairsWithHistory(Pairs):
    """Observed pairs, one row each, with what else the owner has: all its training events but those of the row's own target.

    The model reads ``inputs["user"]`` int64 [R], ``inputs["history"]`` int64 [F] (items, row by row, in the order of the log) and
    ``inputs["offsets"]`` int64 [R + 1] (where each row's begin).

    ``longest``: keep the last so many events of an owner; None: all.
    """

    def __init__(self, *, longest: int | None = None) -> None:
        super().__init__()
        if longest is not None and longest < 1:
            raise ValueError(f"longest is {longest}; a history has at least 1 event")
        self.longest = longest

    def gives(self, have: set[str]) -> set[str]:
        return {"positives", "pairs", "history"}

    def load(self, log: Log) -> None:
        super().load(log)
        stop = log.offsets[1:]
        start = log.offsets[:-1] if self.longest is None else torch.maximum(log.offsets[:-1], stop - self.longest)
        self._buffer("start", start.clone())
        self._buffer("size", stop - start)

    start: Tensor
    size: Tensor

    def batch(self, ids: Tensor) -> Batch:
        batch = super().batch(ids)
        size = self.size.index_select(0, batch.owner)
        row = torch.arange(len(size), device=size.device).repeat_interleave(size)
        first = self.start.index_select(0, batch.owner) - (size.cumsum(0) - size)
        items = self.target.index_select(0, torch.arange(len(row), device=row.device) + first.index_select(0, row))
        others = items != batch.target.index_select(0, row)
        length = torch.zeros_like(size).index_add_(0, row, others.long())
        offsets = torch.cat([length.new_zeros(1), length.cumsum(0)])
        return replace(batch, inputs={**batch.inputs, "history": items[others], "offsets": offsets})
