from __future__ import annotations

import math

import torch
from torch import Tensor

from recsys.pool import Pool
from recsys.sampling.sampler import Proposal
from recsys.step import View


class InBatch(Proposal):
    """The targets of the other rows of the batch, shared by all rows: candidates at no extra cost, drawn as often as items are targets.

    A row never meets its own slot; ``exclude`` also masks other slots with its own target ("positive", accidental hits) or with
    anything its owner has seen ("seen"). The expected counts come from the batch policy: R - 1 draws from the items' share of targets, or
    with "seen" as many as there are rows of other groups, since all of the row's own are masked.
    """

    def needs(self) -> dict[str, str]:
        return {"positives": "a labelled row's target need not be a positive"}

    def gives(self, have: set[str]) -> set[str]:
        return {"negatives", "log_count"} if "log_prob" in have else {"negatives"}

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        target = view.batch.target
        return Pool(target), ~torch.eye(len(target), dtype=torch.bool, device=target.device)

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        group, rows = view.batch.group, len(view.batch)
        if self.exclude != "seen":
            return view.batches.log_prob(ids) + math.log(max(1, rows - 1))
        others = rows - torch.bincount(group, minlength=view.batch.groups)[group]
        return view.batches.log_prob(ids) + others.clamp(min=1).log()[:, None]
