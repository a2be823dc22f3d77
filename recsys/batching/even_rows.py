from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recsys.batching.bucketed import Bucketed


class EvenRows(Bucketed):
    """Examples of similar length meet, in batches of ``size`` rows, more or less by one example: many short ones, or a few long ones.

    Little is padded, steps cost alike, and a row counts as much in a batch of short examples as in one of long ones.
    """

    def __init__(self, *, size: int = 512) -> None:
        super().__init__(size=size)

    def cut(self, ids: Tensor, length: Tensor) -> Sequence[Tensor]:
        number = torch.bincount((length.cumsum(0) - 1) // self.size)
        return torch.split(ids, number[number > 0].tolist())
