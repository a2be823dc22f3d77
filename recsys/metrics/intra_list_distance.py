from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from recsys.metrics.base import Metric, Ranking
from recsys.threads import share


class IntraListDistance(Metric):
    """Mean over all pairs of items among the first k ranks of 1 - cosine of their columns of the training log (owners x items, 0 or 1).

    The mean distance of Zhang and Hurley (2008), with the similarity that item-based neighbours have. Items without training events
    are at distance 1 from all others. Nan for a list of fewer than two items, and where the ranking does not say who has which item.
    No matrix is made: an evaluation takes time for every training event of every item of every list.
    """

    higher_is_better: ClassVar[bool | None] = None
    best: ClassVar[float | None] = None
    reads_owners: ClassVar[bool] = True

    def measure(self, ranking: Ranking) -> Tensor:
        items = self.cut(ranking.items)
        value = torch.full((len(items),), torch.nan, dtype=torch.double)
        if ranking.owners is not None:
            from recsys.metrics import intra_list_kernel

            owners, offsets = ranking.owners
            number = int(owners.max()) + 1 if len(owners) else 0
            arrays = owners.numpy(), offsets.numpy(), items.contiguous().numpy(), value.numpy()
            share(partial(intra_list_kernel.mean_distance, number, *arrays), len(items))
        return value
