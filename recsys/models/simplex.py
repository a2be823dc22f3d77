from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.examples import Examples, PairsWithHistory
from recsys.models.model import Model, average, check_dropout
from recsys.scorer import DotScorer

Aggregator = Literal["mean", "cross_attention", "self_attention"]


class SimpleX(Model):
    """SimpleX: the cosine of an item's vector and u = ``gamma`` e_u + (1 - ``gamma``) W_v h, h a summary of the user's other items.

    Mao et al. 2021 (arXiv 2109.12613, section 4.1); meant for the loss CCL with hundreds of candidates. With a_k = tanh(W_k x_k + b) for
    each item x_k of the history, ``aggregator`` is "mean" (h = mean of x_k), "cross_attention" (weights softmax of a_k . e_u) or
    "self_attention" (weights softmax of a_k . w_q).

    A row's own target is no part of its history in training; all training items are in queries. An unknown user has the history's share
    alone (with uniform attention, where attention asks e_u), and without a history the mean of the trained users' vectors.

    Args:
        shared: the history is read from the item table; False: from a table of its own (the published Gowalla run).
        dropout: of the components of the user's vector of length 1, in training.
        padded_to: None: softmax over the history. A number P: the authors' code, in which a history of n items is padded to P, and each
            of the P - n pads adds exp(0) = 1 to the softmax's denominator (its value adds nothing), so that short histories hardly count.
        longest: keep the last so many items of a history; None: all.
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        gamma: float = 0.5,
        aggregator: Aggregator = "mean",
        shared: bool = True,
        dropout: float = 0.1,
        init_std: float = 1e-4,
        padded_to: int | None = None,
        longest: int | None = None,
    ) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim is {dim}; a vector has at least 1 component")
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma is {gamma}; the share of the user's own vector lies between 0 and 1")
        if aggregator not in ("mean", "cross_attention", "self_attention"):
            raise ValueError(f"aggregator is {aggregator!r}; allowed are 'mean', 'cross_attention' and 'self_attention'")
        if not init_std > 0:
            raise ValueError(f"init_std is {init_std}; it must be above 0, or no vector has a direction")
        if padded_to is not None and aggregator == "mean":
            raise ValueError("padded_to is a matter of attention; leave it out with aggregator='mean'")
        check_dropout(dropout)
        self.dim, self.gamma, self.shared, self.dropout, self.init_std = dim, gamma, shared, dropout, init_std
        self.aggregator: Aggregator = aggregator
        self.padded_to, self.longest = padded_to, longest

    user: nn.Embedding
    item: nn.Embedding
    memory: nn.Embedding
    value: nn.Linear
    key: nn.Linear
    trained: Tensor

    def needs(self) -> dict[str, str]:
        return {"user": "it has a vector for each user", "history": "it reads what else the user has"}

    def gives(self, have: set[str]) -> set[str]:
        return {"vectors", "cosine"}

    def examples(self) -> Examples:
        return PairsWithHistory(longest=self.longest)

    def setup(self, catalog: Catalog) -> None:
        self.user = nn.Embedding(catalog.num_owners, self.dim)
        self.item = nn.Embedding(catalog.num_items, self.dim)
        if not self.shared:
            self.memory = nn.Embedding(catalog.num_items, self.dim)
        for table in (m for m in self.children() if isinstance(m, nn.Embedding)):
            nn.init.normal_(table.weight, std=self.init_std)
        self.value = nn.Linear(self.dim, self.dim, bias=False)
        nn.init.xavier_normal_(self.value.weight)
        if self.aggregator != "mean":
            self.key = nn.Linear(self.dim, self.dim)
            nn.init.xavier_normal_(self.key.weight)
            nn.init.zeros_(self.key.bias)
        if self.aggregator == "self_attention":
            self.asks = nn.Linear(self.dim, 1, bias=False)
            nn.init.xavier_normal_(self.asks.weight)
        self.register_buffer("trained", catalog.size > 0, persistent=False)

    def forward(self, batch: Batch) -> DotScorer:
        user, inputs = self.user(batch.inputs["user"]), batch.inputs
        history = self._history(user, inputs["history"], inputs["offsets"])
        return self._scorer(self.gamma * user + (1 - self.gamma) * history, batch.target, self.item.sparse)

    def queries(self, histories: Histories) -> DotScorer:
        device = self.item.weight.device
        histories = histories.latest(self.longest)
        owner, length = histories.owner.to(device), histories.lengths().to(device)
        known = ((owner >= 0) & self.trained[owner.clamp(min=0)])[:, None]
        user = torch.where(known, F.embedding(owner.clamp(min=0), self.user.weight), 0.0)
        items = histories.flat()[0].to(device)
        history = self._history(user, items, F.pad(length.cumsum(0), (1, 0)))
        query = self.gamma * user + (1 - self.gamma) * history
        nothing = ~known & ((length == 0)[:, None] | (self.gamma == 1))
        return self._scorer(torch.where(nothing, average(self.user.weight, self.trained), query), torch.zeros_like(owner), False)

    def _scorer(self, query: Tensor, target: Tensor, sparse: bool) -> DotScorer:
        query = F.dropout(F.normalize(query, dim=1), self.dropout, self.training)
        return DotScorer(query, self.item.weight, target, None, sparse, cosine=True)

    def _history(self, user: Tensor, items: Tensor, offsets: Tensor) -> Tensor:
        """W_v h of each row; user [R, D], items [F], offsets [R + 1]; [R, D], zeros for an empty history."""
        table = self.item if self.shared else self.memory
        if self.aggregator == "mean":
            bags = F.embedding_bag(items, table.weight, offsets[:-1], mode="mean", sparse=table.sparse)
            return self.value(bags)  # type: ignore[no-any-return]
        size = offsets.diff()
        row = torch.arange(len(size), device=size.device).repeat_interleave(size)
        vectors = table(items)
        key = torch.tanh(self.key(vectors))
        logit = (key * user.index_select(0, row)).sum(1) if self.aggregator == "cross_attention" else self.asks(key)[:, 0]
        pads = None if self.padded_to is None else (self.padded_to - size).clamp(min=0).to(logit.dtype)
        largest = logit.new_full((len(size),), -torch.inf if pads is None else 0.0).scatter_reduce(0, row, logit.detach(), "amax")
        weight = torch.exp(logit - largest.index_select(0, row))
        total = logit.new_zeros(len(size)).index_add(0, row, weight)
        if pads is not None:
            total = total + pads * torch.exp(-largest)
        summed = torch.zeros_like(user).index_add(0, row, weight[:, None] * vectors)
        return self.value(summed / torch.where(size > 0, total, 1.0)[:, None])  # type: ignore[no-any-return]
