"""What is known before the first step, from training data only: sizes, item counts, and who has seen what.

Shapes: U owners, N items, P distinct (owner, item) pairs, R rows, K candidates of a row.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.data.log import Histories, Log
from recsys.threads import share

_WORTH = 1 << 10  # pairs below which a second thread costs more than it saves


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
        self.counts = log.counts.to(self.device)
        self._log = log
        self._compiled = self.device.type == "cpu"

    @cached_property
    def _key(self) -> Tensor:
        """int64 [P]: the distinct pairs as owner * N + item, ascending. Made on first use: not every part asks who has seen what."""
        return self._log.pairs.to(self.device)

    @cached_property
    def items(self) -> Tensor:
        return self._key % self.num_items

    @cached_property
    def size(self) -> Tensor:
        return torch.bincount(self._key // self.num_items, minlength=self.num_owners)

    @cached_property
    def ptr(self) -> Tensor:
        return F.pad(self.size.cumsum(0), (1, 0))

    @cached_property
    def _by_owner(self) -> tuple[Any, Any]:
        """``ptr`` and ``items`` as the compiled loops take them: half as wide, so that a cache holds twice as many."""
        return self.ptr.numpy(), self.items.int().numpy()

    @cached_property
    def _below(self) -> Tensor:
        """int64 [P]: how many unseen items lie below each seen one: the k-th seen item of an owner (k from 0) has `item - k`. Made
        ascending over all owners by an offset, so that one searchsorted finds the r-th unseen item of any owner."""
        owner = self._key // self.num_items
        rank = torch.arange(len(self._key), device=self.device) - self.ptr[owner]
        return owner * (self.num_items + 1) + self.items - rank

    def histories(self) -> Histories:
        """Every owner of the training log as a query, its training events as history."""
        return self._log.histories()

    def seen(self, owner: Tensor, items: Tensor) -> Tensor:
        """Whether training has the pair. owner [R], items [1, K] or [R, K]; bool [R, K]."""
        if self._compiled:
            from recsys import catalog_kernel

            found = torch.empty(len(owner), items.shape[1], dtype=torch.bool, device=self.device)
            arrays = *self._by_owner, owner.contiguous().numpy(), items.contiguous().numpy(), found.numpy()
            share(partial(catalog_kernel.seen, *arrays), len(owner), worth=found.numel() >= _WORTH)
            return found
        return contains(self._key, owner[:, None] * self.num_items + items)

    @cached_property
    def _injected(self) -> Tensor:
        log, which = self._log, self._log.injected
        pair = log.owners * log.num_items + log.items
        return pair[:0].to(self.device) if which is None else pair[which].sort().values.to(self.device)

    @property
    def noisy(self) -> bool:
        """Whether noise was added to the training log (:mod:`recsys.noise`)."""
        return self._log.injected is not None

    def injected(self, owner: Tensor, item: Tensor) -> Tensor:
        """Which pairs were added as noise. owner [R], item [R]; bool [R]."""
        return contains(self._injected, owner * self.num_items + item)

    def by_item(self) -> tuple[Tensor, Tensor]:
        """The distinct owners of each item, ascending: those of item ``i`` are ``owners[ptr[i]:ptr[i + 1]]``; int64 [P], int64 [N + 1]."""
        owner = self._key // self.num_items
        number = torch.bincount(self.items, minlength=self.num_items)
        return owner[self.items.argsort(stable=True)], F.pad(number.cumsum(0), (1, 0))

    @cached_property
    def full(self) -> Tensor | None:
        """bool [U]: owners who have seen the whole catalogue; None: there are none."""
        full = self.size == self.num_items
        return full if bool(full.any()) else None

    def unseen_count(self, owner: Tensor) -> Tensor:
        """How many items each owner has not seen. owner [R]; int64 [R]."""
        return self.num_items - self.size[owner]

    def unseen(self, owner: Tensor, num: int, generator: torch.Generator) -> Tensor:
        """Exact uniform draws, with replacement, over what each owner has not seen; no rejection. owner [R]; int64 [R, num].

        For an owner who has seen everything the draw is meaningless (callers mask it, see ``full``).
        """
        u = torch.rand((len(owner), num), generator=generator, dtype=torch.float64, device=owner.device)
        if self._compiled:
            from recsys import catalog_kernel

            found = torch.empty(u.shape, dtype=torch.long, device=owner.device)
            arrays = *self._by_owner, owner.contiguous().numpy(), u.numpy(), found.numpy()
            share(partial(catalog_kernel.unseen, *arrays, self.num_items), len(u), worth=u.numel() >= _WORTH)
            return found
        free = self.unseen_count(owner)[:, None].clamp(min=1)
        r = u.mul_(free).long().minimum(free - 1)
        r += torch.searchsorted(self._below, owner[:, None] * (self.num_items + 1) + r, right=True) - self.ptr[owner][:, None]
        return r.clamp_(max=self.num_items - 1)


def contains(ascending: Tensor, query: Tensor) -> Tensor:
    """Which numbers of ``query`` are among the ascending ones [P]; bool, shaped like ``query``."""
    if not len(ascending):
        return torch.zeros_like(query, dtype=torch.bool)
    at = torch.searchsorted(ascending, query.contiguous()).clamp_(max=len(ascending) - 1)
    found: Tensor = ascending[at] == query
    return found


def below(high: Tensor, generator: torch.Generator) -> Tensor:
    """One uniform integer in [0, high) for each entry of ``high`` (int64, at least 1). The bias is below high / 2**53."""
    u = torch.rand(high.shape, generator=generator, dtype=torch.float64, device=high.device)
    return u.mul_(high).long().minimum(high - 1)
