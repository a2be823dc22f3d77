from __future__ import annotations

import torch
from torch import Tensor

from recsys.pool import Draw, Pool
from recsys.sampling.sampler import Exclude, Proposal
from recsys.step import View


class Queue(Proposal):
    """The targets of the last steps, ``size`` of them, shared by all rows: in-batch candidates without a large batch.

    Pre-batch negatives (Lee et al. 2021, DensePhrases, section 4.2) and the dictionary of MoCo (He et al. 2020). Those keep the vectors of
    earlier steps, which are stale and carry no gradient; here the ids are kept and scored with the vectors of now, with a gradient. Until
    the queue is full its empty places are not valid. The expected counts come from the batch policy, as for
    InBatch; they hold for a queue of at least a batch, since of a larger batch the first rows are kept. The rows that a sampler around it
    leaves out are kept as well, as those of InBatch are: which rows stay depends on their losses, and the counts would not hold.
    """

    def __init__(self, size: int = 1024, *, exclude: Exclude = "positive") -> None:
        super().__init__(exclude=exclude)
        if size < 1:
            raise ValueError(f"size is {size}; a queue holds at least 1 target")
        self.size = size
        self.register_buffer("kept", torch.full((size,), -1))

    kept: Tensor

    def needs(self) -> dict[str, str]:
        return {"positives": "a labelled row's target need not be a positive"}

    def gives(self, have: set[str]) -> set[str]:
        return {"negatives", "log_count"} if "log_prob" in have else {"negatives"}

    def propose(self, view: View) -> tuple[Pool, Tensor | None]:
        return Pool(self.kept.clamp(min=0)), (self.kept >= 0)[None].expand(len(view.batch), -1)

    def log_count(self, view: View, ids: Tensor) -> Tensor:
        return view.batches.log_prob(ids) + (self.kept >= 0).sum().clamp(min=1).log()

    def end_step(self, view: View, draw: Draw) -> None:
        self.kept.copy_(torch.cat([view.batch.target, self.kept])[: self.size])
