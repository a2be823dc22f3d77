from __future__ import annotations

import torch
from torch import Tensor

from recsys.batch import Batch
from recsys.catalog import contains
from recsys.data.log import Log
from recsys.examples.examples import Examples


class LabelledPairs(Examples):
    """All pairs of an owner and an item, one row each: label 1 for those in the training log, 0 for all others.

    What losses on labels learn from (Rel-MF, weighted matrix factorisation): the pair of owner u and item i is example u * N + i, so that
    nothing but the observed pairs is stored, and the U * N rows are computed as they are asked for. A pair that training has several times
    is one pair; weights of events are not used. The model reads ``inputs["user"]`` [R].
    """

    pairs: Tensor

    def gives(self, have: set[str]) -> set[str]:
        return {"labels", "pairs"}

    def load(self, log: Log) -> None:
        self.num_owners, self.num_items = log.num_owners, log.num_items
        self._buffer("pairs", log.pairs)  # the examples with label 1

    def __len__(self) -> int:
        return self.num_owners * self.num_items

    def target_counts(self, ids: Tensor, num_items: int) -> Tensor:
        return torch.bincount(ids % num_items, minlength=num_items).double()

    def label(self, ids: Tensor) -> Tensor:
        """float32 [B]: 1 for an observed pair."""
        return contains(self.pairs, ids).float()

    def unlabelled(self, rank: Tensor) -> Tensor:
        """The ids of the pairs with label 0 by their rank among them, from 0: shaped like ``rank``. No list of them is made."""
        below = self.pairs - torch.arange(len(self.pairs), device=self.pairs.device)  # pairs with label 0 before each observed one
        return rank + torch.searchsorted(below, rank, right=True)

    def batch(self, ids: Tensor) -> Batch:
        row, group = self._rows(ids)
        owner = row // self.num_items
        return Batch(row % self.num_items, owner, group, row, len(ids), {"user": owner}, label=self.label(row))
