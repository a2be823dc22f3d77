"""Observed (owner, item) pairs, one row each."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.batch import Batch
from recsys.data.log import Log
from recsys.examples.examples import Examples


class Pairs(Examples):
    """Every training event is an example of one row. Repeated events are repeated rows. The model reads ``inputs["user"]`` [R]."""

    def gives(self, have: set[str]) -> set[str]:
        return {"positives", "pairs"}

    def load(self, log: Log) -> None:
        self._buffer("owner", log.owners.clone())
        self._buffer("target", log.items.long())
        self._buffer("example", torch.arange(len(log)))
        self.weight: Tensor | None
        self.register_buffer("weight", log.weight, persistent=False)

    def batch(self, ids: Tensor) -> Batch:
        row, group = self._rows(ids)
        owner = self.owner.index_select(0, row)
        weight = None if self.weight is None else self.weight.index_select(0, row)
        return Batch(self.target.index_select(0, row), owner, group, row, len(ids), {"user": owner}, weight=weight)
