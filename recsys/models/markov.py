from __future__ import annotations

import math

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.item_item import ItemItem, row_of, with_data


class Markov(ItemItem):
    """What followed the last item of the history: transitions of first order, smoothed by popularity.

        P(j | i) = (W[i, j] + ``smoothing`` p_j) / (sum over j' of W[i, j'] + ``smoothing``)

    with i the last item of the history and p_j the share of j among all training events. W[i, j] adds 1 / distance for each j that comes
    after i in a training sequence at a distance of at most ``window`` events. With a window of 1 these are counts of transitions, and P is
    the Dirichlet-smoothed estimate; with 10, the sequential rules of Ludewig and Jannach 2018 (arXiv 1803.09587). An item that is followed
    by nothing, and an empty history, give p.
    """

    def __init__(self, *, window: int = 1, smoothing: float = 0.1) -> None:
        super().__init__()
        if window < 1:
            raise ValueError(f"window is {window}; what follows an item is at least 1 event away")
        if not 0 < smoothing < math.inf:
            raise ValueError(f"smoothing is {smoothing}; it is above 0 and finite, so that every item has a chance")
        self.window, self.smoothing = window, smoothing
        for name in ("share", "rest"):
            self.register_buffer(name, torch.zeros(0))

    share: Tensor
    rest: Tensor

    def needs(self) -> dict[str, str]:
        return {"order": "it counts what comes after what"}

    def solve(self, train: Log) -> None:
        item, owner = train.items.numpy(), train.owners.numpy()
        shape = (train.num_items,) * 2
        follows = sparse.csr_array(shape, dtype=np.float32)
        for distance in range(1, self.window + 1):
            same = owner[distance:] == owner[:-distance]
            pair = item[:-distance][same], item[distance:][same]
            follows = follows + sparse.csr_array((np.full(int(same.sum()), 1 / distance, dtype=np.float32), pair), shape=shape)
        follows.sum_duplicates()
        total = follows.sum(axis=1) + self.smoothing
        self.keep(with_data(follows, (follows.data / total[row_of(follows)]).astype(np.float32)))
        share = train.counts.double() / max(1, len(train))
        self.share = share.float()
        self.rest = torch.from_numpy((self.smoothing / total).astype(np.float32))

    def scores(self, histories: Histories) -> Tensor:
        some = histories.lengths() > 0
        last = histories.items[(histories.stop - 1).clamp(min=0)].long()
        rest = torch.ones(len(histories))
        rest[some] = self.rest.cpu()[last[some]]
        follows = torch.zeros(len(histories), len(self.share))
        follows[some] = torch.from_numpy(self.weights()[last[some].numpy()].toarray())
        return follows + rest[:, None] * self.share.cpu()
