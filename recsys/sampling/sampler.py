"""The bases of all samplers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from recsys.part import Part
from recsys.pool import Draw, Pool
from recsys.step import View

Exclude = Literal["nothing", "positive", "seen"]
Per = Literal["row", "group", "batch"]


class Sampler(Part):
    """Chooses the candidates of a batch. A subclass writes ``forward(view) -> Draw``, pure: the same view gives the same draw.

    State lives in registered buffers, so that it is saved and resumed with the model. :meth:`begin_epoch` may refresh it;
    :meth:`end_step` may take note of a step (queues). Both are called on every sampler, also inside others; a wrapper forwards nothing.
    """

    def gives(self, have: set[str]) -> set[str]:
        return {"negatives"}

    def forward(self, view: View) -> Draw:
        raise NotImplementedError


class Proposal(Sampler):
    """Draws from a distribution known in advance, so that the expected count of any item is known too. A subclass writes
    :meth:`propose` and :meth:`log_count`.

    ``exclude``: candidates that are masked out: "nothing"; "positive", the row's own target (an accidental hit); "seen", whatever
    the row's owner has in training (and the target).
    """

    def __init__(self, *, exclude: Exclude = "positive") -> None:
        super().__init__()
        if exclude not in ("nothing", "positive", "seen"):
            raise ValueError(f"exclude is {exclude!r}; allowed are 'nothing', 'positive' and 'seen'")
        self.exclude: Exclude = exclude

    def gives(self, have: set[str]) -> set[str]:
        return {"negatives", "log_count"}

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        """A pool, and which of it is valid (bool [R | 1, K]; None: all)."""
        raise NotImplementedError

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        """log of the expected number of times each of ``ids`` [R | 1, K] is among a row's candidates, for any ids: a mixture asks."""
        raise NotImplementedError

    def to_mask(self) -> Exclude:
        """What :meth:`forward` still has to mask; "nothing" where the draw leaves the excluded items out by itself."""
        return self.exclude

    def masked(self, view: View, ids: Tensor) -> Tensor | None:
        """Which of ``ids`` [R | 1, K] :meth:`forward` masks in each row: bool [R, K], None where it masks nothing."""
        mask = self.to_mask()
        if mask == "nothing":
            return None
        bad = ids.int() == view.batch.target.int()[:, None]  # half as much to read
        return bad | view.catalog.seen(view.batch.owner, ids) if mask == "seen" else bad

    def log_valid_count(self, view: View, ids: Tensor) -> Tensor:
        """:meth:`log_count`, but -inf for what is masked: how often each is expected among a row's valid candidates."""
        count, bad = self.log_count(view, ids), self.masked(view, ids)
        return count if bad is None else torch.where(bad, -torch.inf, count)

    def forward(self, view: View) -> Draw:
        pool, valid = self.propose(view)
        ids = pool.ids()
        bad = self.masked(view, ids)
        if bad is not None:
            valid = ~bad if valid is None else valid & ~bad
        return Draw((pool,), valid, self.log_count(view, ids) if view.counts else None)


class Refine(Sampler):
    """Changes another sampler's draw: keeps some candidates, or weighs them. A subclass writes :meth:`refine`.

    ``keeps`` (class attribute): what of the base's draw stays true, for instance {"log_count"}.
    """

    keeps: frozenset[str] = frozenset()

    def __init__(self, base: Sampler) -> None:
        super().__init__()
        self.base = base

    def gives(self, have: set[str]) -> set[str]:
        return self.base.gives(have) & ({"negatives"} | self.keeps)

    def refine(self, view: View, draw: Draw) -> Draw:
        raise NotImplementedError

    def forward(self, view: View) -> Draw:
        draw = self.base(view)
        return self.refine(view if draw.rows is None else view.take(draw.rows), draw)


def check_num(num: int) -> None:
    if num < 1:
        raise ValueError(f"num is {num}; at least 1 candidate must be drawn")


def check_per(per: str, allowed: tuple[str, ...] = ("row", "group", "batch")) -> None:
    if per not in allowed:
        raise ValueError(f"per is {per!r}; allowed are {', '.join(map(repr, allowed))}")


def owners_of_groups(view: View) -> Tensor:
    """int64 [G]: the owner of each group (0 for a group without rows)."""
    batch = view.batch
    return batch.owner.new_zeros(batch.groups).index_copy(0, batch.group, batch.owner)
