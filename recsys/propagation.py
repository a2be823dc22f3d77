"""Propagation of vectors over the graph of users and items.

Let A = [[0, B], [B', 0]] with B[u, i] = 1 / sqrt(d_u d_i) for every distinct training pair and 0 elsewhere, d the number of a node's
neighbours. What LightGCN wants of it is the mean of E, AE, ..., A^K E. By Horner's rule that is ``x = e``, then K times ``x = e + A x``,
with e = E / (K + 1): no layer is kept. A is symmetric, so the gradient is the same operation on the gradient, and nothing is saved for it.

Neighbours are added up by ``F.embedding_bag``: one thread adds a node's in their order, so that the number of threads changes nothing, no
[pairs, D] tensor is made, and a CPU reads as many rows a second as memory gives. Shapes: U users, N items, P pairs, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.catalog import Catalog
from recsys.scorer import DotScorer


class Graph(nn.Module):
    """The distinct training pairs, once by user and once by item, and the mean of K + 1 layers over them. 16 bytes a pair.

    ``forward(user [U, D], item [N, D], layers=K)`` returns tables of the same shapes. A node without neighbours gets E / (K + 1).
    """

    items: Tensor
    of_user: Tensor
    by_user: Tensor
    users: Tensor
    of_item: Tensor
    by_item: Tensor

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        item, device = catalog.items, catalog.items.device
        user = torch.arange(catalog.num_owners, device=device).repeat_interleave(catalog.size)
        users, of_item = catalog.by_item()
        degree = of_item.diff()

        def weight(user: Tensor, item: Tensor) -> Tensor:
            return (catalog.size[user] * degree[item]).double().rsqrt().float()

        integer = torch.int32 if len(item) < 1 << 31 else torch.int64
        for name, value in (
            ("items", item.to(integer)),  # neighbours of user u: items[of_user[u]:of_user[u + 1]]
            ("of_user", catalog.ptr.to(integer)),
            ("by_user", weight(user, item)),
            ("users", users.to(integer)),  # neighbours of item i: users[of_item[i]:of_item[i + 1]]
            ("of_item", of_item.to(integer)),
            ("by_item", weight(users, torch.arange(len(degree), device=device).repeat_interleave(degree))),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, user: Tensor, item: Tensor, *, layers: int) -> tuple[Tensor, Tensor]:
        tables: tuple[Tensor, Tensor] = _Propagate.apply(user, item, self, layers)  # type: ignore[no-untyped-call]
        return tables

    def mean(self, user: Tensor, item: Tensor, layers: int) -> tuple[Tensor, Tensor]:
        """The same, unknown to autograd."""
        of_user, of_item = user / (layers + 1), item / (layers + 1)
        x, y = of_user, of_item
        for _ in range(layers):
            from_items = sums(y, self.items, self.of_user, self.by_user)
            x, y = from_items.add_(of_user), sums(x, self.users, self.of_item, self.by_item).add_(of_item)
        return x, y


def sums(table: Tensor, rows: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
    """Row n of the result: the sum of weight[e] table[rows[e]] over e from offsets[n] to offsets[n + 1]."""
    return F.embedding_bag(rows, table, offsets, mode="sum", per_sample_weights=weight, include_last_offset=True)


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, graph: Graph, layers: int) -> tuple[Tensor, Tensor]:
        ctx.graph, ctx.layers = graph, layers
        return graph.mean(user, item, layers)

    @staticmethod
    def backward(ctx: Any, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_user, of_item = (g.to_dense() if g.is_sparse else g for g in (user, item))
        return (*_Propagate.apply(of_user, of_item, ctx.graph, ctx.layers), None, None)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class PropagatedScorer(DotScorer):
    """A dot product of propagated vectors. ``ego``: the scorer of the same rows before propagation, whose vectors are the parameters."""

    ego: DotScorer = field(kw_only=True)

    def take(self, rows: Tensor) -> PropagatedScorer:
        return replace(self, query=self.query.index_select(0, rows), target=self.target[rows], ego=self.ego.take(rows))

    def detach(self) -> PropagatedScorer:
        return replace(self, query=self.query.detach(), table=self.table.detach(), ego=self.ego.detach())
