from __future__ import annotations

import math

import torch
from torch import Tensor

from recsys.pool import Pool
from recsys.sampling.sampler import Exclude, Per, Proposal, check_num, check_per
from recsys.step import View


class Uniform(Proposal):
    """``num`` items uniformly, with replacement, for each row, each group, or once for the whole batch.

    ``exclude`` masks what was drawn by accident. Drawn ``per="row"`` with ``exclude="positive"`` nothing needs masking: the draw is
    over the other N - 1 items from the start. For exact draws over what an owner has not seen, see :class:`Unseen`.
    """

    def __init__(self, num: int = 1, *, per: Per = "row", exclude: Exclude = "positive") -> None:
        super().__init__(exclude=exclude)
        check_num(num)
        check_per(per)
        self.num = num
        self.per: Per = per
        self._skips_target = per == "row" and exclude == "positive"

    def to_mask(self) -> Exclude:
        return "nothing" if self._skips_target else self.exclude

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        batch = view.batch
        lists = {"batch": (), "group": (batch.groups,), "row": (len(batch),)}[self.per]
        high = view.catalog.num_items - self._skips_target
        items = torch.randint(high, (*lists, self.num), generator=view.generator, device=batch.target.device)
        if self._skips_target:
            items += items >= batch.target[:, None]
        return Pool(items, batch.group if self.per == "group" else None), None

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        count = math.log(self.num) - math.log(view.catalog.num_items - self._skips_target)
        found = torch.full((1, ids.shape[1]), count, device=ids.device)
        return torch.where(ids == view.batch.target[:, None], -math.inf, found) if self._skips_target else found
