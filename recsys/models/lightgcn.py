from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.examples import Examples, Pairs
from recsys.models.model import Model, average, check_similarity
from recsys.propagation import Graph, PropagatedScorer
from recsys.scorer import DotScorer


class LightGCN(Model):
    """Matrix factorisation over a graph: score = p_u . q_i of vectors that were propagated between users and items.

    He et al. 2020 (arXiv 2002.02126, equations 3 to 6): with A the symmetrically normalised graph of the distinct training pairs, the
    vectors are the mean of E, AE, ..., A^K E; E, the ego vectors of users and items, are the only parameters. With ``layers=0`` this is
    MF. ``dim``: width of the vectors. ``layers``: K. ``init_std``: ego vectors start from N(0, init_std^2), 0.1 in the authors' code.
    ``similarity``: "dot", or "cosine" of the propagated vectors (as with softmax losses: Wu et al. 2024, arXiv 2201.02327).
    The penalty TouchedRows shrinks ego vectors, as the paper does (equation 15, on the batch). Gradients are dense, so LazyAdam moves
    every row, as Adam does.

    A user unknown to training is answered as a new node of the graph whose own ego vector is 0 and which changes no other node (see
    :meth:`fold_in`); without a history, with the mean of the trained users' propagated vectors.
    """

    def __init__(self, *, dim: int = 64, layers: int = 3, init_std: float = 0.1, similarity: Literal["dot", "cosine"] = "dot") -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim is {dim}; a vector has at least 1 component")
        if layers < 0:
            raise ValueError(f"layers is {layers}; it is at least 0 (0: no propagation, which is MF)")
        if not init_std > 0:
            raise ValueError(f"init_std is {init_std}; it must be above 0, or every gradient is 0")
        check_similarity(similarity)
        self.dim, self.layers, self.init_std = dim, layers, init_std
        self.similarity: Literal["dot", "cosine"] = similarity
        self._seen: tuple[int, ...] = ()  # the weights that the tables in _kept, by number of layers, were made of
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    user: nn.Embedding
    item: nn.Embedding
    graph: Graph
    trained: Tensor

    def needs(self) -> dict[str, str]:
        return {"user": "it has a vector for each user"}

    def gives(self, have: set[str]) -> set[str]:
        return {"vectors", "cosine"} if self.similarity == "cosine" else {"vectors"}

    def examples(self) -> Examples:
        return Pairs()

    def setup(self, catalog: Catalog) -> None:
        self.user = nn.Embedding(catalog.num_owners, self.dim)
        self.item = nn.Embedding(catalog.num_items, self.dim)
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=self.init_std)
        self.graph = Graph(catalog)
        self.register_buffer("trained", catalog.size > 0, persistent=False)

    def forward(self, batch: Batch) -> PropagatedScorer:
        self._kept.clear()  # the weights are about to change
        user, item = self.graph(self.user.weight, self.item.weight, layers=self.layers)
        owner = batch.inputs["user"]
        ego = DotScorer(self.user(owner), self.item.weight, batch.target, sparse=self.item.sparse)
        query = self._direction(F.embedding(owner, user))
        return PropagatedScorer(query, item, batch.target, cosine=self.similarity == "cosine", ego=ego)

    @torch.no_grad()
    def queries(self, histories: Histories) -> DotScorer:
        user, item = self.propagated(self.layers)
        owner = histories.owner.to(item.device)
        known = (owner >= 0) & self.trained[owner.clamp(min=0)]
        query = user.index_select(0, owner.clamp(min=0))
        if not bool(known.all()):
            query = torch.where(known[:, None], query, self._unknown(histories, ~known))
        return DotScorer(self._direction(query), item, torch.zeros_like(owner), cosine=self.similarity == "cosine")

    def _direction(self, query: Tensor) -> Tensor:
        return F.normalize(query, dim=1) if self.similarity == "cosine" else query

    @torch.no_grad()
    def propagated(self, layers: int) -> tuple[Tensor, Tensor]:
        """The mean of so many layers, and of the ego vectors: users [U, D] and items [N, D], without gradient. Computed once until the
        weights change, however many blocks of queries ask."""
        weights = self.user.weight, self.item.weight
        version = tuple(x for w in weights for x in (w.data_ptr(), w._version))
        if self._seen != version:
            self._seen, self._kept = version, {}
        if layers not in self._kept:
            self._kept[layers] = self.graph(*weights, layers=layers)
        return self._kept[layers]

    def _unknown(self, histories: Histories, which: Tensor) -> Tensor:
        """[Q, D]: vectors of the queries ``which`` [Q] selects; zeros for the others."""
        user, _ = self.propagated(self.layers)
        rows = which.nonzero()[:, 0]
        folded = self.fold_in(histories.take(rows.to(histories.start.device)))
        answer = torch.where((folded == 0).all(1, keepdim=True), average(user, self.trained), folded)
        return torch.zeros(len(which), self.dim, device=user.device).index_copy_(0, rows, answer)

    @torch.no_grad()
    def fold_in(self, histories: Histories) -> Tensor:
        """A vector for each history from the trained vectors alone; [Q, D], zeros for an empty history.

        The mean of K + 1 layers of a node with ego vector 0 and the history's items as neighbours, d distinct ones of them:
        1 / (K + 1) times the sum over its items i of (e_i + (AE)_i + ... + (A^(K-1) E)_i) / sqrt(d d_i). Items without a neighbour in
        training have learnt nothing and are left out. With K = 0, which has no neighbours, as with K = 1.
        """
        layers = max(self.layers, 1)
        _, item = self.propagated(layers - 1)
        items, query = (x.to(item.device) for x in histories.flat())
        pair = torch.unique(query * len(item) + items)
        items, query = pair % len(item), pair // len(item)
        degree = self.graph.of_item.diff()[items]
        items, query, degree = items[degree > 0], query[degree > 0], degree[degree > 0]
        both = torch.bincount(query, minlength=len(histories))[query] * degree
        terms = item.index_select(0, items) * (both.float().rsqrt() * layers / (layers + 1))[:, None]
        return torch.zeros(len(histories), self.dim, device=item.device).index_add_(0, query, terms)
