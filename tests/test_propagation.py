"""Propagation over the graph of users and items, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.catalog import Catalog
from recsys.data.log import Log
from recsys.pool import Pool
from recsys.propagation import Graph, PropagatedScorer
from recsys.randomness import generator
from recsys.scorer import DotScorer
from recsys.testing import worlds


def tables(log: Log, dim: int = 5, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    stream = generator("tables")
    return tuple(torch.randn(n, dim, generator=stream, dtype=dtype) for n in (log.num_owners, log.num_items))  # type: ignore[return-value]


def dense(log: Log, layers: int) -> np.ndarray:
    """(1 + A + ... + A^K) / (K + 1) as a whole matrix in float64; from the pairs one by one."""
    users, items = log.num_owners, log.num_items
    pairs = set(zip(log.owners.tolist(), log.items.tolist(), strict=True))
    one = np.zeros((users + items, users + items))
    for user, item in pairs:
        one[user, users + item] = one[users + item, user] = 1
    degree = one.sum(1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    adjacency = scale[:, None] * one * scale
    return sum(np.linalg.matrix_power(adjacency, layer) for layer in range(layers + 1)) / (layers + 1)


def test_one_layer_by_hand():
    """Users 0: items 0 and 1, 1: item 1. Degrees: users 2 and 1, items 1, 2 and 0."""
    log = Log(torch.tensor([0, 1, 1], dtype=torch.int32), torch.tensor([0, 2, 3]), 3)
    user, item = torch.tensor([[2.0], [6.0]]), torch.tensor([[4.0], [8.0], [10.0]])
    of_user, of_item = Graph(Catalog(log))(user, item, layers=1)
    half = 2**-0.5
    assert of_user[:, 0].tolist() == pytest.approx([(2 + 4 * half + 8 / 2) / 2, (6 + 8 * half) / 2])
    assert of_item[:, 0].tolist() == pytest.approx([(4 + 2 * half) / 2, (8 + 2 / 2 + 6 * half) / 2, 10 / 2])


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_tables_and_gradients_are_those_of_the_dense_matrix(layers: int):
    """Repeated events are one edge, and items without events are there too."""
    events = worlds.sessions(num_sessions=20, num_items=90)
    assert len(torch.unique(events.owners * 90 + events.items)) < len(events)
    assert (events.counts == 0).any()
    matrix = dense(events, layers)
    user, item = (x.requires_grad_() for x in tables(events))
    got = torch.cat(Graph(Catalog(events))(user, item, layers=layers))
    np.testing.assert_allclose(got.detach().numpy(), matrix @ torch.cat([user, item]).detach().numpy(), atol=1e-6)
    slope = torch.cat(tables(events)).flip(0)
    got.backward(slope)
    np.testing.assert_allclose(torch.cat([user.grad, item.grad]).numpy(), matrix.T @ slope.numpy(), atol=1e-6)


def test_gradients_of_first_and_second_order_in_float64():
    log = worlds.users(num_users=5, num_items=7, events=9)
    graph = Graph(Catalog(log)).double()
    user, item = (x.requires_grad_() for x in tables(log, dim=2, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda u, i: graph(u, i, layers=2), (user, item))
    assert torch.autograd.gradgradcheck(lambda u, i: [x.square() for x in graph(u, i, layers=2)], (user, item))


def test_gradients_that_come_as_rows_or_for_one_table_only():
    log = worlds.users()
    graph = Graph(Catalog(log))
    ids = torch.tensor([3, 9, 3])
    found = []
    for sparse in (False, True):
        user, item = (x.requires_grad_() for x in tables(log))
        of_items = graph(user, item, layers=2)[1]
        torch.nn.functional.embedding(ids, of_items, sparse=sparse).square().sum().backward()
        found.append(torch.cat([user.grad, item.grad]))
    assert found[0].abs().sum() > 0
    torch.testing.assert_close(found[0], found[1])


def test_the_number_of_threads_changes_no_bit():
    log = worlds.users(num_users=400, num_items=300, events=20_000)
    graph, found = Graph(Catalog(log)), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        user, item = (x.requires_grad_() for x in tables(log, dim=64))
        got = torch.cat(graph(user, item, layers=3))
        got.square().sum().backward()
        found.append(torch.cat([got.detach(), user.grad, item.grad]))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_memory_is_that_of_pairs_and_tables():
    """No saved layer: what backward keeps of a propagation is none of the tensors it made."""
    log = worlds.users(num_users=50, num_items=60)
    graph = Graph(Catalog(log))
    pairs = int(Catalog(log).size.sum())
    assert {name: len(value) for name, value in graph.named_buffers()} == {
        **dict.fromkeys(("items", "users", "by_user", "by_item"), pairs),
        "of_user": 51,
        "of_item": 61,
    }
    assert graph.state_dict() == {}, "it is made of the training log, and no part of a checkpoint"
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        graph(*(x.requires_grad_() for x in tables(log)), layers=3)
    assert kept == []


def test_a_propagated_scorer_keeps_its_ego_rows_in_step():
    stream = generator("scorer")
    ids = torch.tensor([4, 0, 2])
    query, table, own, own_table = (torch.randn(n, 3, generator=stream).requires_grad_() for n in (3, 6, 3, 6))
    score = PropagatedScorer(query, table, ids, ego=DotScorer(own, own_table, ids))
    taken = score.take(torch.tensor([2, 0]))
    assert torch.equal(taken(Pool(torch.tensor([1, 5]))), (query @ table[[1, 5]].T)[[2, 0]])
    assert torch.equal(taken.ego.query, own[[2, 0]])
    assert torch.equal(taken.ego.target, ids[[2, 0]])
    let_go = score.detach()
    assert not any(x.requires_grad for x in (let_go.query, let_go.table, let_go.ego.query, let_go.ego.table))
