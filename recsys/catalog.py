"""What is known before the first step, from training data only: sizes, item counts, and who has seen what.

Shapes: U owners, N items, P distinct (owner, item) pairs, R rows, K candidates of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.data.log import Log


class Catalog:
    """Sizes, counts and seen pairs of one training log, on one device.

    Attributes:
        num_owners, num_items: U and N.
        counts: int64 [N], training events of each item.
        size: int64 [U], distinct items of each owner.
        ptr, items: the distinct items of owner ``u`` are ``items[ptr[u]:ptr[u + 1]]``, ascending.
        fingerprint: of the training log.
    """

    def __init__(self, log: Log, device: torch.device | str = "cpu") -> None:
        self.num_owners, self.num_items = log.num_owners, log.num_items
        self.device = torch.device(device)
        self.fingerprint = log.fingerprint
        items = log.items.to(self.device).long()
        self.counts = torch.bincount(items, minlength=self.num_items)
        self._key = torch.unique(log.owners.to(self.device) * self.num_items + items)  # sorted, each pair once
        owner = self._key // self.num_items
        self.items = self._key % self.num_items
        self.size = torch.bincount(owner, minlength=self.num_owners)
        self.ptr = F.pad(self.size.cumsum(0), (1, 0))
        # The k-th seen item of an owner (k from 0) has `item - k` unseen items below it: ascending, and made ascending over
        # all owners by an offset, so that one searchsorted finds the r-th unseen item of any owner.
        rank = torch.arange(len(self._key), device=self.device) - self.ptr[owner]
        self._below = owner * (self.num_items + 1) + self.items - rank

    def seen(self, owner: Tensor, items: Tensor) -> Tensor:
        """Whether training has the pair. owner [R], items [1, K] or [R, K]; bool [R, K]."""
        if not len(self._key):
            return torch.zeros(len(owner), items.shape[1], dtype=torch.bool, device=self.device)
        query = owner[:, None] * self.num_items + items
        at = torch.searchsorted(self._key, query).clamp_(max=len(self._key) - 1)
        found: Tensor = self._key[at] == query
        return found

    def unseen_count(self, owner: Tensor) -> Tensor:
        """How many items each owner has not seen. owner [R]; int64 [R]."""
        return self.num_items - self.size[owner]

    def unseen(self, owner: Tensor, num: int, generator: torch.Generator) -> Tensor:
        """Exact uniform draws, with replacement, over what each owner has not seen; no rejection. owner [R]; int64 [R, num].

        For an owner who has seen everything the draw is meaningless (callers mask it, see :meth:`unseen_count`).
        """
        free = self.unseen_count(owner)[:, None].clamp(min=1).expand(-1, num)
        r = below(free, generator)
        r += torch.searchsorted(self._below, owner[:, None] * (self.num_items + 1) + r, right=True) - self.ptr[owner][:, None]
        return r.clamp_(max=self.num_items - 1)


def below(high: Tensor, generator: torch.Generator) -> Tensor:
    """One uniform integer in [0, high) for each entry of ``high`` (int64, at least 1). The bias is below high / 2**53."""
    u = torch.rand(high.shape, generator=generator, dtype=torch.float64, device=high.device)
    return u.mul_(high).long().minimum(high - 1)
