from __future__ import annotations

import math
from typing import Literal

from torch import Tensor

from recsys.pool import Pool
from recsys.sampling.sampler import Exclude, Proposal, check_num, check_per, owners_of_groups
from recsys.step import View


class Unseen(Proposal):
    """``num`` items uniformly, with replacement, over exactly those the row's owner has not seen in training; no rejection loop.

    With h the owner's seen items, ascending, and r uniform on the N - |h| others, the draw is
    ``r + searchsorted(h_k - k, r, right)``: the r-th unseen item. Rows of an owner who has seen the whole catalogue have no valid
    candidate. This is the negative of BPR (Rendle et al. 2009, section 4.1).
    """

    def __init__(self, num: int = 1, *, per: Literal["row", "group"] = "row") -> None:
        super().__init__(exclude="seen")
        check_num(num)
        check_per(per, ("row", "group"))
        self.num = num
        self.per: Literal["row", "group"] = per

    def to_mask(self) -> Exclude:
        return "nothing"

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        catalog, batch = view.catalog, view.batch
        owner = batch.owner if self.per == "row" else owners_of_groups(view)
        items = catalog.unseen(owner, self.num, view.generator)
        valid = None if catalog.full is None else ~catalog.full[batch.owner][:, None].expand(-1, self.num)
        return Pool(items, batch.group if self.per == "group" else None), valid

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        free = view.catalog.unseen_count(view.batch.owner).clamp(min=1)
        count = (math.log(self.num) - free.float().log())[:, None].expand(-1, ids.shape[1])
        return count.masked_fill(view.catalog.seen(view.batch.owner, ids), -math.inf)
