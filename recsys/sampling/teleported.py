from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.catalog import Catalog
from recsys.pool import Draw, Pool
from recsys.ranking import rank
from recsys.recommender import Trained
from recsys.sampling.sampler import Sampler, check_num
from recsys.scorer import DotScorer
from recsys.step import EpochView, View

ITEMS = 1024
"""Items whose neighbours are looked for at a time."""


class Teleported(Sampler):
    """Hard candidates of the model as it was some epochs ago, steadied: ``num`` draws a row, uniformly, from three lists together.

    ANCE-Tele (Sun et al. 2022, arXiv 2210.17167): mining by the model alone (ANCE) makes it learn and forget the same candidates in turn.
    Before every ``every``-th epoch the lists are made anew:

    * what the model ranks first for the row's owner, ``depth`` items, none that the owner has in training;
    * momentum: of the owner's former lists, a random share ``momentum`` as long as ``depth`` (theirs is of the last round alone);
    * lookahead: the ``near`` items whose vectors are closest, by the cosine, to that of the row's target.

    Draws are with replacement; what the owner has seen is not valid. In the first ``warmup`` epochs items are drawn uniformly. A round
    ranks all owners once and multiplies the item table with itself. How often an item is expected is not known.
    """

    def __init__(self, num: int = 1, *, depth: int = 100, momentum: float = 0.5, near: int = 10, every: int = 5, warmup: int = 1) -> None:
        super().__init__()
        check_num(num)
        for name, value, least in (("depth", depth, 1), ("near", near, 0), ("every", every, 1), ("warmup", warmup, 1)):
            if value < least:
                raise ValueError(f"{name} is {value}; it is at least {least}")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum is {momentum}; it is a share of the former list, between 0 and 1")
        self.num, self.depth, self.momentum, self.near, self.every, self.warmup = num, depth, momentum, near, every, warmup

    mined: Tensor
    close: Tensor

    def needs(self) -> dict[str, str]:
        found = {"user": "it keeps a list for each user"}
        return {**found, "vectors": "it looks for items close to the target"} if self.near else found

    def setup(self, catalog: Catalog) -> None:
        depth, near = min(self.depth, catalog.num_items), min(self.near, catalog.num_items - 1)
        former = round(self.momentum * depth)
        # -1: nothing. First the places of the last round, then those of the rounds before
        self.register_buffer("mined", torch.full((catalog.num_owners, depth + former), -1, dtype=torch.int32))
        self.register_buffer("close", torch.full((catalog.num_items, near), -1, dtype=torch.int32))

    @torch.no_grad()
    def begin_epoch(self, view: EpochView) -> None:
        since = view.epoch - 1 - self.warmup
        if since < 0 or since % self.every:
            return
        width = self.mined.shape[1]
        depth = min(self.depth, view.catalog.num_items)
        best = rank(Trained(view.model), view.catalog.histories(), depth, mask_seen=True).items.to(self.mined)
        order = torch.rand(self.mined.shape, generator=view.generator, device=self.mined.device)
        order = order.masked_fill(self.mined < 0, 2.0).argsort(1)[:, : width - depth]  # a random part of what was there
        self.mined.copy_(torch.cat([best, self.mined.gather(1, order)], 1))
        if self.close.shape[1]:
            self.close.copy_(self._neighbours(view))

    def _neighbours(self, view: EpochView) -> Tensor:
        """int64 [N, near]."""
        score = Trained(view.model).scorer(view.catalog.histories().take(slice(0, 1)))
        assert isinstance(score, DotScorer), "the model promised vectors"
        items = F.normalize(score.table, dim=1)
        found = []
        for rows in torch.split(torch.arange(len(items), device=items.device), ITEMS):
            cosine = items[rows] @ items.T
            cosine[torch.arange(len(rows), device=items.device), rows] = -torch.inf
            found.append(cosine.topk(self.close.shape[1], dim=1).indices)
        return torch.cat(found)

    def forward(self, view: View) -> Draw:
        batch, items = view.batch, view.catalog.num_items
        shape = len(batch), self.num
        if view.epoch <= self.warmup:
            ids = torch.randint(items, shape, generator=view.generator, device=batch.target.device)
        else:
            lists = torch.cat([self.mined[batch.owner], self.close[batch.target]], 1).sort(1, descending=True).values  # -1 comes last
            number = (lists >= 0).sum(1, keepdim=True)
            u = torch.rand(shape, generator=view.generator, dtype=torch.float64, device=batch.target.device)
            at = (u * number).long().minimum(number - 1).clamp_(min=0)
            ids = lists.gather(1, at).long()
        valid = (ids >= 0) & ~view.catalog.seen(batch.owner, ids.clamp(min=0)) & (ids != batch.target[:, None])
        return Draw((Pool(ids.clamp(min=0)),), valid)
