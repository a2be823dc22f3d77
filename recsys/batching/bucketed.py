from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from recsys.batching.batches import Batches
from recsys.step import EpochView


class Bucketed(Batches):
    """Examples of similar length meet, so that little is padded; every example once an epoch.

    Lengths are ordered with a random fraction added, so that examples of equal length meet in a new order every epoch, and the
    batches themselves come in random order.
    """

    def needs(self) -> dict[str, str]:
        return {"lengths": "it sorts examples by length"}

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        length = view.examples.lengths().to(among.device)[among] + torch.rand(len(among), generator=view.generator, dtype=torch.float64)
        batches = torch.split(among[length.argsort(stable=True)], self.size)
        yield from (batches[i] for i in torch.randperm(len(batches), generator=view.generator).tolist())
