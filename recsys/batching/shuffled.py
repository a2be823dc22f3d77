from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from recsys.batching.batches import Batches
from recsys.step import EpochView


class Shuffled(Batches):
    """Every example once an epoch, in a fresh random order."""

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        yield from torch.split(among[torch.randperm(len(among), generator=view.generator)], self.size)
