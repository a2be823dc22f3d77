"""Sequences: each event but the first, predicted from those before it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.data.log import Log
from recsys.examples.examples import Examples


class NextItem(Examples):
    """An owner's sequence of n events is one example of n - 1 rows. Owners of fewer than two events give none.

    ``longest``: of a longer sequence the last so many rows are learnt, read from the event before them on; None: all.

    The model reads ``inputs["items"]`` int64 [G, L], right-padded with 0, and takes its outputs at ``inputs["at"]`` [R], positions
    in the flattened [G * L].
    """

    def __init__(self, *, longest: int | None = None) -> None:
        super().__init__()
        if longest is not None and longest < 1:
            raise ValueError(f"longest is {longest}; an example has at least 1 row")
        self.longest = longest

    def needs(self) -> dict[str, str]:
        return {"order": "it reads events oldest first"}

    def gives(self, have: set[str]) -> set[str]:
        return {"positives", "sequence", "next", "groups", "lengths"}

    def load(self, log: Log) -> None:
        size = log.offsets.diff()
        kept = (size >= 2).nonzero()[:, 0]
        rows = size[kept] - 1 if self.longest is None else (size[kept] - 1).clamp(max=self.longest)
        self._buffer("start", log.offsets[kept + 1] - rows - 1)
        self._buffer("size", rows)
        self._buffer("first", F.pad(rows.cumsum(0), (1, 0)))
        self._buffer("items", log.items.long())
        example = torch.arange(len(kept)).repeat_interleave(rows)
        self._buffer("example", example)
        self._buffer("owner", kept[example])
        within = torch.arange(len(example)) - self.first[example]
        event = self.start[example] + within + 1
        self._buffer("target", self.items[event])
        self.weight: Tensor | None
        self.register_buffer("weight", None if log.weight is None else log.weight[event], persistent=False)

    start: Tensor
    size: Tensor
    first: Tensor
    items: Tensor

    def __len__(self) -> int:
        return len(self.start)

    def lengths(self) -> Tensor:
        return self.size

    def batch(self, ids: Tensor) -> Batch:
        ids = ids.flatten()
        size = self.size[ids]
        at = torch.arange(int(size.max()) if len(ids) else 0, device=ids.device)
        real = at < size[:, None]
        group = real.nonzero()[:, 0]
        padded = self.items[(self.start[ids][:, None] + at).clamp(max=len(self.items) - 1)] * real
        row = (self.first[ids][:, None] + at)[real]
        inputs = {"items": padded, "at": real.flatten().nonzero()[:, 0]}
        weight = None if self.weight is None else self.weight[row]
        context = {"context": padded[real], "context_group": group}
        return Batch(self.target[row], self.owner[row], group, row, len(ids), inputs, weight=weight, **context)
