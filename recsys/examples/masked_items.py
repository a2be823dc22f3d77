"""Masked items: some events of a sequence are hidden, and predicted from all the others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.data.log import Log
from recsys.examples.examples import Examples
from recsys.step import EpochView


class MaskedItems(Examples):
    """An owner's sequence is one example, with a row for each event that is hidden in this epoch: the cloze task of BERT4Rec (Sun et al.
    2019, arXiv 1904.06690).

    Before every epoch, max(1, ``share`` n) of a sequence's n events (rounded, halves to the even number) are drawn without replacement;
    of a share ``last`` of the sequences, drawn too, it is the last event alone instead, as in a query. The published code repeats ten drawn
    masks and one of the last event over all epochs: a ``last`` of 1/11.

    ``longest``: of a longer sequence the last so many events are read; None: all. (The published code also learns the earlier events, as
    sequences of their own.)

    The model reads ``inputs["items"]`` int64 [G, L], right-padded with 0; ``inputs["at"]`` int64 [P], the places of events in the flattened
    [G * L]; and ``inputs["hidden"]`` bool [P]. A hidden event's item is there, and it is for the model not to look at it. Rows are
    hidden events in order.
    """

    def __init__(self, *, share: float = 0.2, last: float = 0.1, longest: int | None = None) -> None:
        super().__init__()
        if not 0 < share <= 1:
            raise ValueError(f"share is {share}; of every sequence some events are hidden: above 0, at most 1")
        if not 0 <= last <= 1:
            raise ValueError(f"last is {last}; a share of the sequences is between 0 and 1")
        if longest is not None and longest < 1:
            raise ValueError(f"longest is {longest}; an example has at least 1 event")
        self.share, self.last, self.longest = share, last, longest

    def needs(self) -> dict[str, str]:
        return {"order": "it reads events oldest first"}

    def gives(self, have: set[str]) -> set[str]:
        return {"positives", "sequence", "hidden", "groups", "lengths"}

    def load(self, log: Log) -> None:
        size = log.offsets.diff()
        kept = size.nonzero()[:, 0]
        size = size[kept] if self.longest is None else size[kept].clamp(max=self.longest)
        self._buffer("size", size)
        self._buffer("first", F.pad(size.cumsum(0), (1, 0))[:-1])
        example = torch.arange(len(kept)).repeat_interleave(size)
        self._buffer("example", example)
        self._buffer("owner", kept[example])
        event = log.offsets[kept + 1][example] - size[example] + torch.arange(len(example)) - self.first[example]
        self._buffer("target", log.items[event].long())
        self._buffer("hidden", torch.zeros_like(example, dtype=torch.bool))
        self.weight: Tensor | None
        self.register_buffer("weight", None if log.weight is None else log.weight[event], persistent=False)

    size: Tensor
    first: Tensor
    hidden: Tensor

    def __len__(self) -> int:
        return len(self.size)

    def lengths(self) -> Tensor:
        return self.size

    def begin_epoch(self, view: EpochView) -> None:
        key = torch.rand(len(self.example), generator=view.generator, dtype=torch.float64).to(self.example.device)
        at = torch.arange(len(self.example), device=self.example.device) - self.first[self.example]
        only_last = torch.rand(len(self), generator=view.generator).to(self.example.device) < self.last
        final = at == self.size[self.example] - 1
        key = torch.where(only_last[self.example], (~final).double(), key)
        number = torch.where(only_last, 1, (self.size * self.share).round().long().clamp(min=1))
        order = (self.example + key.clamp(max=1 - 2**-20)).argsort()  # by sequence, then by key
        self.hidden = torch.zeros_like(self.hidden).index_put((order,), at < number[self.example])

    def batch(self, ids: Tensor) -> Batch:
        ids = ids.flatten()
        size = self.size[ids]
        at = torch.arange(int(size.max()) if len(ids) else 0, device=ids.device)
        real = at < size[:, None]
        group = real.nonzero()[:, 0]
        event = (self.first[ids][:, None] + at)[real]
        items = self.target[event]
        hidden = self.hidden[event]
        row = event[hidden]
        padded = torch.zeros(real.shape, dtype=torch.long, device=ids.device).masked_scatter(real, items)
        inputs = {"items": padded, "at": real.flatten().nonzero()[:, 0], "hidden": hidden}
        weight = None if self.weight is None else self.weight[row]
        context = {"context": items[~hidden], "context_group": group[~hidden]}
        return Batch(self.target[row], self.owner[row], group[hidden], row, len(ids), inputs, weight=weight, **context)
