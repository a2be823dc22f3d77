from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from recsys.batching.batches import Batches
from recsys.step import EpochView


class Bucketed(Batches):
    """Examples of similar length meet, so that little is padded; every example once an epoch.

    Lengths are ordered with a random fraction added, so that examples of equal length meet in a new order every epoch, and the
    batches themselves come in random order. A step's loss is the mean over its rows, so that a row of a batch of short examples counts
    more than one of a batch of long ones; see :class:`EvenRows`.
    """

    def needs(self) -> dict[str, str]:
        return {"lengths": "it sorts examples by length"}

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        length = view.examples.lengths().to(among.device)[among]
        order = (length + torch.rand(len(among), generator=view.generator, dtype=torch.float64)).argsort(stable=True)
        batches = self.cut(among[order], length[order])
        yield from (batches[i] for i in torch.randperm(len(batches), generator=view.generator).tolist())

    def cut(self, ids: Tensor, length: Tensor) -> Sequence[Tensor]:
        """Batches of examples [E] that are in order of their lengths [E]."""
        return torch.split(ids, self.size)
