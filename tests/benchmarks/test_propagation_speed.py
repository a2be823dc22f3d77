"""LightGCN's propagation on Gowalla, in rows a second and next to torch's sparse products. ``pytest -m benchmark -s``; asserts no speed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.data import prepare
from recsys.data.sources import Gowalla
from recsys.propagation import Graph
from recsys.randomness import generator
from recsys.splitting import Predefined

from .timing import best

pytestmark = [pytest.mark.benchmark, pytest.mark.data]
DIM, LAYERS = 64, 3


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("threads", [1, 2])
def test_propagation(data_root: Path, tmp_path: Path, threads: int):
    """Forward and backward, with the gradient of every row given. As published: one product a layer, all layers kept, their mean."""
    torch.set_num_threads(threads)
    catalog = Catalog(prepare(Gowalla(root=data_root), Predefined(), cache=tmp_path).refit.train)
    graph, users, items = Graph(catalog), catalog.num_owners, catalog.num_items
    stream = generator("propagation")
    user, item = (torch.randn(n, DIM, generator=stream).requires_grad_() for n in (users, items))
    slope = [torch.randn(n, DIM, generator=stream) for n in (users, items)]
    pair = torch.stack([torch.arange(users).repeat_interleave(catalog.size), catalog.items + users])
    both, weight = torch.cat([pair, pair.flip(0)], 1), torch.cat([graph.by_user, graph.by_user])
    coo = torch.sparse_coo_tensor(both, weight, (users + items, users + items)).coalesce()

    def published(adjacency: Tensor) -> tuple[Tensor, ...]:
        layers = [torch.cat([user, item])]
        for _ in range(LAYERS):
            layers.append(torch.sparse.mm(adjacency, layers[-1]))
        return torch.stack(layers).mean(0).split([users, items])

    def seconds(tables: Callable[[], tuple[Tensor, ...]]) -> float:
        return best(lambda: torch.autograd.grad(tables(), (user, item), slope))

    ours, as_coo, as_csr = (
        seconds(work) for work in (lambda: graph(user, item, layers=LAYERS), lambda: published(coo), lambda: published(coo.to_sparse_csr()))
    )
    rows = 2 * LAYERS * 2 * len(catalog.items)
    print(
        f"\npropagation, {LAYERS} layers, forward and backward, {threads} threads: {ours * 1e3:.0f} ms, {rows / ours / 1e6:.0f} M rows/s; "
        f"torch.sparse.mm {as_coo * 1e3:.0f} ms with COO ({as_coo / ours:.1f}x), {as_csr * 1e3:.0f} ms with CSR ({as_csr / ours:.1f}x)"
    )
    assert torch.allclose(torch.cat(graph(user, item, layers=LAYERS)), torch.cat(published(coo)), atol=1e-5)
