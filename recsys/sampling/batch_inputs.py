from __future__ import annotations

import torch

from recsys.pool import Draw, Pool
from recsys.sampling.sampler import Exclude, Sampler, check_num
from recsys.step import View


class BatchInputs(Sampler):
    """``num`` events that the batch's other sequences were read from, one list for each sequence: popular and, where batches follow the
    clock, timely.

    TRON's in-batch candidates (Wilm et al. 2023, arXiv 2307.14906, and its code): drawn without replacement from the positions read in the
    batch, except those of the sequence itself, so an item comes as often as it was clicked. The last event of a sequence is read by nobody
    and never is a candidate. ``exclude``: "nothing", as published, where an item that another sequence has read too may be a row's own
    target; "positive" masks these, "seen" all that the row's owner has in training.

    Where the other sequences have fewer positions than ``num``, all are candidates and the rest of the list is not valid. What is drawn
    depends on the batch, so expected counts are not known and logq is refused.
    """

    def __init__(self, num: int = 127, *, exclude: Exclude = "positive") -> None:
        super().__init__()
        check_num(num)
        if exclude not in ("nothing", "positive", "seen"):
            raise ValueError(f"exclude is {exclude!r}; allowed are 'nothing', 'positive' and 'seen'")
        self.num = num
        self.exclude: Exclude = exclude

    def needs(self) -> dict[str, str]:
        return {"sequence": "it draws from what the batch's sequences were read from"}

    def forward(self, view: View) -> Draw:
        batch = view.batch
        assert batch.context is not None and batch.context_group is not None, "sequences come with their context"
        device, positions, groups = batch.target.device, len(batch.context), batch.groups
        own = torch.bincount(batch.context_group, minlength=groups)
        # a stretch of a random order, as long as it takes to hold num positions of others; its start is random for each sequence
        order = torch.randperm(positions, generator=view.generator, device=device)
        start = torch.randint(max(1, positions), (groups, 1), generator=view.generator, device=device)
        width = min(self.num + int(own.max()), positions) if groups else 0
        at = order[(start + torch.arange(width, device=device)) % max(1, positions)]
        others = batch.context_group[at] != torch.arange(groups, device=device)[:, None]
        first = (~others).to(torch.int8).argsort(dim=1, stable=True)[:, : self.num]
        items, valid = batch.context[at.gather(1, first)], others.gather(1, first)[batch.group]
        pool = Pool(items, batch.group)
        ids = pool.ids()
        if self.exclude != "nothing":
            valid &= ids != batch.target[:, None]
        if self.exclude == "seen":
            valid &= ~view.catalog.seen(batch.owner, ids)
        return Draw((pool,), valid)
