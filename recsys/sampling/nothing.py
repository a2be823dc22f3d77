from __future__ import annotations

import torch

from recsys.pool import Draw, Pool
from recsys.sampling.sampler import Sampler
from recsys.step import View


class Nothing(Sampler):
    """No candidates: for losses that look at labelled rows one by one. Nothing can be refined or mixed with it that asks for candidates."""

    def gives(self, have: set[str]) -> set[str]:
        return {"alone"}

    def forward(self, view: View) -> Draw:
        return Draw((Pool(torch.empty(0, dtype=torch.long, device=view.batch.target.device)),))
