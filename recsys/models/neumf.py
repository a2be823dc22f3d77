from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.examples import Examples, Pairs
from recsys.models.model import Model, average
from recsys.pool import Pool

FLOATS = 1 << 20
"""Numbers of one layer in memory at once (4 MB of float32: read again while in a cache)."""

KEPT = 1 << 26
"""Numbers of one layer kept for the backward pass (256 MB of float32); of more than that, each tile is computed again in it."""


class NeuMF(Model):
    """A dot product and a network over user and item: score = h . [p_u * q_i ; f_L(... f_1([m_u ; n_i]))] + c.

    He et al. 2017 (arXiv 1708.05031, equations 8, 10 and 12, NeuMF): f_l(x) = ReLU(W_l x + b_l), and the two halves have vectors of their
    own. The sigmoid is left to the loss (BCE: the paper's). ``dim``: width of p and q. ``mlp_dim``: width of m and n. ``layers``: widths
    of f_1, ..., f_L; the defaults are those of the authors' code but for ``dim``, 8 there. ``init_std``: vectors start from
    N(0, init_std^2), weights from Glorot's uniform law. No pre-training, and no dropout.

    W_1 [m_u ; n_i] is computed as a user's part plus an item's part, so that a pair costs no more than an addition in the widest layer.

    A user unknown to training is answered with an average of trained users: those who have an item of its history, averaged over each
    item's users, then over its items; without a history, all of them.
    """

    def __init__(self, *, dim: int = 32, mlp_dim: int = 32, layers: Sequence[int] = (32, 16, 8), init_std: float = 0.01) -> None:
        super().__init__()
        if dim < 1 or mlp_dim < 1:
            raise ValueError(f"dim is {dim} and mlp_dim {mlp_dim}; a vector has at least 1 component")
        if not layers or min(layers) < 1:
            raise ValueError(f"layers is {list(layers)}; it is the width of each layer, at least one of at least 1")
        if not init_std > 0:
            raise ValueError(f"init_std is {init_std}; it must be above 0, or every gradient is 0")
        self.dim, self.mlp_dim, self.layers, self.init_std = dim, mlp_dim, list(layers), init_std

    user: nn.Embedding
    item: nn.Embedding
    mlp_user: nn.Embedding
    mlp_item: nn.Embedding
    wide: nn.Linear
    last: nn.Linear
    trained: Tensor
    users: Tensor
    of_item: Tensor

    def needs(self) -> dict[str, str]:
        return {"user": "it has a vector for each user"}

    def examples(self) -> Examples:
        return Pairs()

    def setup(self, catalog: Catalog) -> None:
        self.user = nn.Embedding(catalog.num_owners, self.dim)
        self.item = nn.Embedding(catalog.num_items, self.dim)
        self.mlp_user = nn.Embedding(catalog.num_owners, self.mlp_dim)
        self.mlp_item = nn.Embedding(catalog.num_items, self.mlp_dim)
        for table in (self.user, self.item, self.mlp_user, self.mlp_item):
            nn.init.normal_(table.weight, std=self.init_std)
        self.wide = nn.Linear(2 * self.mlp_dim, self.layers[0])
        self.narrower = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(self.layers))
        self.last = nn.Linear(self.dim + self.layers[-1], 1)
        for layer in (self.wide, *self.narrower, self.last):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        users, of_item = catalog.by_item()
        self.register_buffer("users", users, persistent=False)  # who has item i: users[of_item[i]:of_item[i + 1]]
        self.register_buffer("of_item", of_item, persistent=False)
        self.register_buffer("trained", catalog.size > 0, persistent=False)

    def forward(self, batch: Batch) -> NetScorer:
        owner = batch.inputs["user"]
        return self._scorer(self.user(owner), self.mlp_user(owner), batch.target)

    def queries(self, histories: Histories) -> NetScorer:
        owner = histories.owner.to(self.item.weight.device)
        known = (owner >= 0) & self.trained[owner.clamp(min=0)]
        user, mlp_user = (F.embedding(owner.clamp(min=0), table.weight) for table in (self.user, self.mlp_user))
        if not bool(known.all()):
            like, mlp_like = self.fold_in(histories)
            user, mlp_user = torch.where(known[:, None], user, like), torch.where(known[:, None], mlp_user, mlp_like)
        return self._scorer(user, mlp_user, torch.zeros_like(owner))

    def _scorer(self, user: Tensor, mlp_user: Tensor, target: Tensor) -> NetScorer:
        of_user = self.wide.weight[:, : self.mlp_dim]
        return NetScorer(self, user * self.last.weight[0, : self.dim], F.linear(mlp_user, of_user, self.wide.bias), target)

    def sides(self, ids: Tensor | None) -> tuple[Tensor, Tensor]:
        """What items bring: q_i [..., D] and their part of the first layer [..., H], for ids [...] or all items [N]."""
        item, mlp_item = (table.weight if ids is None else table(ids) for table in (self.item, self.mlp_item))
        return item, F.linear(mlp_item, self.wide.weight[:, self.mlp_dim :])

    def rest(self, hidden: Tensor) -> Tensor:
        """From the sum of both parts of the first layer [..., H] to the network's share of the score [...]."""
        hidden = hidden.relu_()
        for layer in self.narrower:
            hidden = layer(hidden).relu_()
        return F.linear(hidden, self.last.weight[:, self.dim :], self.last.bias)[..., 0]

    @torch.no_grad()
    def fold_in(self, histories: Histories) -> tuple[Tensor, Tensor]:
        """Vectors p [Q, D] and m [Q, D'] of users like those who have the history's items (see the class); of all users without any."""
        items, query = (x.to(self.users.device) for x in histories.flat())
        had = self.of_item.diff()[items] > 0
        items, query = items[had], query[had]
        number = torch.bincount(query, minlength=len(histories))[:, None]
        answers = []
        for table in (self.user.weight, self.mlp_user.weight):
            of_item = F.embedding_bag(self.users, table, self.of_item, mode="mean", include_last_offset=True)
            total = table.new_zeros(len(histories), table.shape[1]).index_add_(0, query, of_item.index_select(0, items))
            answers.append(torch.where(number > 0, total / number.clamp(min=1), average(table, self.trained)))
        return answers[0], answers[1]


@dataclass(frozen=True)
class NetScorer:
    """The scores of a :class:`NeuMF` for R rows. ``query`` [R, D]: h * p_u; ``first`` [R, H]: the user's part of the first layer;
    ``target`` int64 [R]. ``frozen``: no gradient.

    Pairs are scored in tiles of rows and candidates, so that memory is bounded whatever the pool, the whole catalogue included, also in
    training: a tile is computed again in the backward pass where all of them would not fit.
    """

    net: NeuMF
    query: Tensor
    first: Tensor
    target: Tensor
    frozen: bool = False

    def __call__(self, pool: Pool | None) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            if pool is None or pool.items.ndim == 1:
                return self._shared(*self.net.sides(None if pool is None else pool.items))
            ids = pool.ids()
            rows = self._rows(ids.shape[1])
            tile = self._tile(ids.numel(), self._of_ids)
            parts = zip(self.query.split(rows), self.first.split(rows), ids.split(rows), strict=True)  # type: ignore[no-untyped-call]
            return torch.cat([tile(*part) for part in parts])

    def positive(self) -> Tensor:
        return self(Pool(self.target[:, None]))[:, 0]

    def take(self, rows: Tensor) -> NetScorer:
        query, first = self.query.index_select(0, rows), self.first.index_select(0, rows)
        return replace(self, query=query, first=first, target=self.target[rows])

    def detach(self) -> NetScorer:
        return replace(self, query=self.query.detach(), first=self.first.detach(), frozen=True)

    def _shared(self, items: Tensor, parts: Tensor) -> Tensor:
        """[R, K] for what K items bring to every row, in tiles of rows and items."""
        columns = max(1, FLOATS // self._widest)
        rows = self._rows(min(columns, len(items)))
        tile = self._tile(len(self.query) * len(items), self._pairs)
        sides = list(zip(items.split(columns), parts.split(columns), strict=True))  # type: ignore[no-untyped-call]
        both = zip(self.query.split(rows), self.first.split(rows), strict=True)  # type: ignore[no-untyped-call]
        return torch.cat([torch.cat([tile(*row, *side) for side in sides], 1) for row in both])

    @property
    def _widest(self) -> int:
        return max(self.net.dim, self.net.mlp_dim, *self.net.layers)

    def _rows(self, columns: int) -> int:
        return max(1, FLOATS // max(1, columns * self._widest))

    def _tile(self, pairs: int, score: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """``score``, or where the whole of it must not be kept for the backward pass, the same computed again there."""
        if not torch.is_grad_enabled() or pairs * self._widest <= KEPT:
            return score
        return partial(checkpoint, score, use_reentrant=False, preserve_rng_state=False)

    def _of_ids(self, query: Tensor, first: Tensor, ids: Tensor) -> Tensor:
        return self._pairs(query, first, *self.net.sides(ids))

    def _pairs(self, query: Tensor, first: Tensor, items: Tensor, parts: Tensor) -> Tensor:
        """[r, k] for query [r, D], first [r, H], and items [k, D], parts [k, H] of all rows or [r, k, ...] of each."""
        dot = query @ items.T if items.ndim == 2 else (items @ query[:, :, None])[..., 0]
        return dot + self.net.rest(first[:, None] + parts)
