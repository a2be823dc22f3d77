"""Encoded data: what training and evaluation read. Items and owners are codes 0..n-1; an owner is a user or a session."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import polars as pl
import torch
from torch import Tensor

OwnerKind = Literal["user", "session"]


@dataclass(frozen=True)
class Log:
    """Training events as rows of owners: the events of owner ``u`` are ``items[offsets[u]:offsets[u + 1]]``, oldest first.

    Shapes: ``items`` int32 [E], ``offsets`` int64 [U + 1], ``weight`` float32 [E] or None, ``time`` int64 [E] (microseconds since 1970) or
    None. Tensors may be memory-mapped. ``injected`` bool [E] or None: the events that were added as noise (:mod:`recsys.noise`), of items
    that their owner had not; for figures alone, and no part of the fingerprint.
    """

    items: Tensor
    offsets: Tensor
    num_items: int
    owner_kind: OwnerKind = "user"
    weight: Tensor | None = None
    time: Tensor | None = None
    injected: Tensor | None = None

    @property
    def num_owners(self) -> int:
        return len(self.offsets) - 1

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def owners(self) -> Tensor:
        """int64 [E]: the owner of each event."""
        return torch.arange(self.num_owners).repeat_interleave(self.offsets.diff())

    @cached_property
    def pairs(self) -> Tensor:
        """int64 [P]: the distinct pairs, as owner * N + item, ascending."""
        found: Tensor = torch.unique(self.owners * self.num_items + self.items)
        return found

    @cached_property
    def counts(self) -> Tensor:
        """int64 [N]: the number of events of each item."""
        return torch.bincount(self.items.long(), minlength=self.num_items)

    def histories(self) -> Histories:
        """Every owner as a query, its events as history."""
        return Histories(self.items, self.offsets[:-1], self.offsets[1:], torch.arange(self.num_owners))

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of the content (16 hexadecimal digits)."""
        digest = hashlib.blake2b(digest_size=8)
        for tensor in (t for t in (self.items, self.offsets, self.weight, self.time) if t is not None):
            digest.update(tensor.contiguous().numpy().data)
        digest.update(f"{self.num_items} {self.owner_kind}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Histories:
    """What is known of each query before it is answered: windows ``items[start[q]:stop[q]]``, oldest first.

    Windows may overlap, so that every prefix of a session costs two numbers. Shapes: ``items`` int32 [P], ``start``, ``stop``
    int64 [Q], ``owner`` int64 [Q]: the training code of the query's owner, or -1 if training has not seen it.
    """

    items: Tensor
    start: Tensor
    stop: Tensor
    owner: Tensor

    def __len__(self) -> int:
        return len(self.start)

    def lengths(self) -> Tensor:
        """int64 [Q]."""
        return self.stop - self.start

    def take(self, rows: Tensor | slice) -> Histories:
        return replace(self, start=self.start[rows], stop=self.stop[rows], owner=self.owner[rows])

    def latest(self, number: int | None) -> Histories:
        """The last so many items of each window; None: all."""
        return self if number is None else replace(self, start=torch.maximum(self.start, self.stop - number))

    def blocks(self, size: int) -> Iterator[Histories]:
        for at in range(0, len(self), size):
            yield self.take(slice(at, at + size))

    def flat(self) -> tuple[Tensor, Tensor]:
        """All items of all windows, int64 [P'], and the query each belongs to, int64 [P']."""
        length = self.lengths()
        query = torch.arange(len(self), device=length.device).repeat_interleave(length)
        first = length.cumsum(0) - length
        at = torch.arange(len(query), device=length.device) - first[query] + self.start[query]
        return self.items[at].long(), query

    @staticmethod
    def of(lists: list[list[int]], owner: Tensor | None = None) -> Histories:
        """From plain lists of item codes."""
        stop = torch.tensor([len(x) for x in lists], dtype=torch.long).cumsum(0)
        start = torch.cat([stop.new_zeros(min(1, len(stop))), stop[:-1]])
        items = torch.tensor([i for x in lists for i in x], dtype=torch.int32)
        return Histories(items, start, stop, torch.full_like(start, -1) if owner is None else owner)


@dataclass(frozen=True)
class Holdout:
    """Queries with known answers. The relevant items of query ``q`` are ``items[offsets[q]:offsets[q + 1]]``, ascending, each once.

    ``unknown`` int64 [Q] counts relevant items that training does not know (they can never be recommended; they are in no
    ``items``). ``query`` has one row a query: the original id (column ``user`` or ``session``) and, for prefixes of sessions,
    ``position``. ``time`` int64 [Q], for data with a clock: the time of the query's first held-out event (microseconds since 1970).
    ``shown``, for data that say so: the items that the held-out log shows to query ``q``, chosen or not, are
    ``shown[0][shown[1][q]:shown[1][q + 1]]``, ascending; those that training knows and the history does not hold.
    """

    histories: Histories
    items: Tensor
    offsets: Tensor
    unknown: Tensor
    query: pl.DataFrame = field(repr=False)
    time: Tensor | None = None
    shown: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.histories)

    def relevant(self) -> Tensor:
        """int64 [Q]: the number of relevant items, unknown ones included."""
        return self.offsets.diff() + self.unknown


@dataclass(frozen=True)
class Fold:
    """One training log, the queries to be answered after training on it, and the ids behind the codes.

    ``items`` and ``owners`` hold the original ids: the id of code ``c`` is ``items[c]``. Both are fitted on ``train`` alone.
    """

    train: Log
    holdouts: dict[str, Holdout]
    items: pl.Series
    owners: pl.Series


@dataclass(frozen=True)
class Prepared:
    """A data set, split and encoded. ``select``: train, with holdouts ``valid`` and ``test``. ``refit``: train + validation as one
    training log (with a vocabulary of its own), with holdout ``test``.

    ``fingerprint``: of the content. ``report``: counts per part, and what was dropped and why, as plain JSON.
    """

    select: Fold
    refit: Fold
    fingerprint: str
    report: dict[str, object]
