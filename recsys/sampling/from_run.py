from __future__ import annotations

import math

import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.errors import ConfigError
from recsys.pool import Pool
from recsys.sampling.sampler import Exclude, Proposal, check_num
from recsys.step import View
from recsys.teacher import Teacher

BLOCK = 4096
"""Users whose lists are made at a time."""
LARGEST = 1 << 29
"""Entries of all lists together: 8 bytes each."""


class FromRun(Proposal):
    """Hard candidates mined by a finished run: ``num`` draws a row, with replacement, from what it would recommend to the owner.

    The list of an owner are the ``depth`` items that the run ranks first, none that the owner has in training (so a positive never is a
    candidate of its own, but an item held out for validation or test well may be). Drawn uniformly, or with ``temperature`` by the softmax
    of the run's scores over the list. ``run``: the folder of a run of any model, closed forms included, fitted on the same training events
    (:class:`recsys.teacher.Teacher`: both with fit.refit: false). An owner whose list is empty has no valid candidate.

    With parts of its kind in a :class:`recsys.sampling.Mix` this is a mixture of retrievers (Zhou et al. 2022, arXiv 2206.08063: several
    retrievers' lists, equally or by their scores). STAR (Zhan et al. 2021, arXiv 2104.08051) is Mix of InBatch and FromRun, its static hard
    negatives. ADORE of the same paper mines with the model as it is now, which is ``TopK(All(exclude="seen"))``; its frozen index is a
    learning rate of 0 for the item table (``optimizer.groups``). All lists are made in setup and kept: 8 bytes for each owner and place,
    in no checkpoint.
    """

    def __init__(self, run: str, *, num: int = 1, depth: int = 100, temperature: float | None = None) -> None:
        super().__init__(exclude="seen")
        Teacher(run)
        check_num(num)
        if depth < 1:
            raise ValueError(f"depth is {depth}; a list has at least 1 item")
        if temperature is not None and not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; it is above 0 and finite, or null for uniform draws")
        self.run, self.num, self.depth, self.temperature = run, num, depth, temperature

    items: Tensor
    share: Tensor
    num_items: int

    def needs(self) -> dict[str, str]:
        return {"user": "its run is asked about users"}

    def setup(self, catalog: Catalog) -> None:
        depth = min(self.depth, catalog.num_items)
        if catalog.num_owners * depth > LARGEST:
            raise ConfigError(
                f"sampler: FromRun keeps lists of {depth:,} items for {catalog.num_owners:,} users, more than {LARGEST:,} in all; "
                "take a smaller depth"
            )
        teacher = Teacher(self.run)
        teacher.setup(catalog)
        self.num_items = catalog.num_items
        everybody = torch.arange(catalog.num_owners, device=catalog.device)
        parts = [self._lists(teacher, owner, depth) for owner in torch.split(everybody, BLOCK)]
        self.register_buffer("items", torch.cat([items for items, _ in parts]), persistent=False)
        self.register_buffer("share", torch.cat([share for _, share in parts]), persistent=False)

    def _lists(self, teacher: Teacher, owner: Tensor, depth: int) -> tuple[Tensor, Tensor]:
        """Lists in ascending order of items, int32 [U, depth], and the probability of each to be drawn; 0 past the end of a list."""
        items = teacher.top(owner, depth)
        there = items >= 0
        score = torch.zeros(items.shape, device=items.device)
        if self.temperature is not None:
            score = teacher.scores(owner, items.clamp(min=0)) / self.temperature
        share = torch.softmax(score.masked_fill(~there, -torch.inf), 1).nan_to_num(0.0)
        items, order = torch.where(there, items, self.num_items).sort(1)
        return items.int(), share.gather(1, order)

    def to_mask(self) -> Exclude:
        return "nothing"

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        owner = view.batch.owner
        share, items = self.share.index_select(0, owner), self.items.index_select(0, owner)
        reach = share.cumsum(1, dtype=torch.float64)
        u = torch.rand((len(owner), self.num), generator=view.generator, dtype=torch.float64, device=owner.device)
        at = torch.searchsorted(reach, u * reach[:, -1:], right=True).clamp_(max=share.shape[1] - 1)
        found = items.gather(1, at).long().clamp_(max=view.catalog.num_items - 1)
        empty = reach[:, -1:] == 0
        return Pool(found), None if not bool(empty.any()) else (~empty).expand(-1, self.num)

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        owner = view.batch.owner
        items, ids = self.items.index_select(0, owner), ids.expand(len(owner), -1).int().contiguous()
        at = torch.searchsorted(items, ids).clamp_(max=items.shape[1] - 1)
        share = self.share.index_select(0, owner).gather(1, at)
        return torch.where(items.gather(1, at) == ids, share, 0.0).log() + math.log(self.num)
