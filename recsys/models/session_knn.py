from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.item_item import largest, matrix, row_of, with_data
from recsys.recommender import ClosedForm


class SessionKNN(ClosedForm):
    """Items of the training sessions most like the current one: S-KNN and V-SKNN (Jannach and Ludewig 2017; Ludewig and Jannach 2018,
    arXiv 1803.09587).

    Of the ``sample`` latest training sessions that share an item with the history, the ``k`` most similar ones are the neighbours;
    score(j) = sum of the similarities of those that have j. With q the items of the history and s those of a session

        similarity(q, s) = sum over i in q and s of w_i / sqrt(|q| |s|)

    ``weighting``: "none", w_i = 1, the cosine of S-KNN; "linear", w_i = (last place of i in the history) / (its length), so that late
    clicks count more, as in V-SKNN. ``idf``: an item's score counts log(sessions / its sessions) times, against popular items (VS-KNN with
    its idf weighting). Equal similarities: the later session. Later is by the time of the last event, without a clock by the session's
    code.
    """

    def __init__(self, *, k: int = 100, sample: int = 1000, weighting: Literal["none", "linear"] = "none", idf: bool = False) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k is {k}; at least 1 neighbour")
        if sample < k:
            raise ValueError(f"sample is {sample} and k {k}; neighbours are chosen from the sample, so it is at least k")
        if weighting not in ("none", "linear"):
            raise ValueError(f"weighting is {weighting!r}; allowed are 'none' and 'linear'")
        self.k, self.sample, self.idf = k, sample, idf
        self.weighting: Literal["none", "linear"] = weighting
        for name in ("ptr", "item", "rarity"):
            self.register_buffer(name, torch.zeros(0))

    ptr: Tensor
    item: Tensor
    rarity: Tensor

    def needs(self) -> dict[str, str]:
        return {} if self.weighting == "none" else {"order": "late clicks count more"}

    def solve(self, train: Log) -> None:
        x = matrix(train)
        if train.time is not None:
            end = np.where(train.offsets.diff().numpy() > 0, train.time.numpy()[(train.offsets[1:] - 1).clamp(min=0).numpy()], 0)
            x = x[np.argsort(end, kind="stable")]
        x = sparse.csr_array(x[::-1])  # the latest session first: of equal ones, the lower code is taken
        x.sort_indices()
        self.ptr, self.item = torch.from_numpy(x.indptr.copy()), torch.from_numpy(x.indices.copy())
        number = np.bincount(x.indices, minlength=train.num_items)
        self.rarity = torch.from_numpy(np.log(max(1, train.num_owners) / number.clip(1)).astype(np.float32))

    def scores(self, histories: Histories) -> Tensor:
        items, sessions = len(self.rarity), len(self.ptr) - 1
        parts = (part.cpu().numpy() for part in (self.item, self.ptr))
        x = sparse.csr_array((np.ones(len(self.item), dtype=np.float32), *parts), shape=(sessions, items))
        asked = self._asked(histories, items)
        shared = sparse.csr_array(asked @ x.T)
        shared.sort_indices()
        latest = largest(with_data(shared, -shared.indices.astype(np.float64)), self.sample)
        near = sparse.csr_array(shared.multiply(with_data(latest, np.ones_like(latest.data))))
        near.sort_indices()
        size = np.sqrt(np.diff(x.indptr).clip(1)[near.indices] * np.diff(asked.indptr).clip(1)[row_of(near)])
        near = largest(with_data(near, (near.data / size).astype(np.float32)), self.k)
        scores = torch.from_numpy((near @ x).toarray())
        return scores * self.rarity.cpu() if self.idf else scores

    def _asked(self, histories: Histories, items: int) -> sparse.csr_array:
        """[Q, N]: w of the items of each history."""
        item, query = histories.flat()
        length = histories.lengths()
        weight = torch.ones(len(item))
        if self.weighting == "linear":
            place = torch.arange(len(item)) - (length.cumsum(0) - length)[query] + 1
            weight = place / length[query]
        pair, at = torch.unique(query * items + item, return_inverse=True)
        last = torch.zeros(len(pair)).scatter_reduce_(0, at, weight, "amax")
        return sparse.csr_array((last.numpy(), (pair // items, pair % items)), shape=(len(histories), items))
