"""The compiled scores of rows against candidates of their own, against plain torch operations."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from recsys.gather_dot import gather_dot
from recsys.randomness import generator


def case(rows: int, candidates: int, items: int, dim: int, share: float) -> tuple[torch.Tensor, ...]:
    stream = generator("gather", rows, candidates, items, dim)
    query, table = torch.randn(rows, dim, generator=stream), torch.randn(items, dim, generator=stream)
    ids = torch.randint(items, (rows, candidates), generator=stream)
    slope = torch.randn(rows, candidates, generator=stream) * (torch.rand(rows, candidates, generator=stream) < share)
    return query.requires_grad_(), table.requires_grad_(), ids, slope


def plain(query, table, ids, cosine):
    vectors = F.embedding(ids, table)
    return ((F.normalize(vectors, dim=-1) if cosine else vectors) * query[:, None]).sum(-1)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "shape", [(7, 3, 20, 5, 1.0), (40, 90, 30, 64, 0.1), (64, 200, 1000, 16, 0.0), (1, 1, 1, 1, 1.0)], ids=lambda s: "x".join(map(str, s))
)
def test_values_and_gradients_are_those_of_torch_operations(shape, cosine, sparse):
    query, table, ids, slope = case(*shape)
    wanted = plain(query, table, ids, cosine)
    of_query, of_table = torch.autograd.grad(wanted, (query, table), slope)
    found = gather_dot(query, table, ids, cosine=cosine, sparse=sparse)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    for_query, for_table = torch.autograd.grad(found, (query, table), slope)
    assert for_table.is_sparse == sparse
    torch.testing.assert_close(for_query, of_query, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(for_table.to_dense() if sparse else for_table, of_table, atol=1e-4, rtol=1e-4)


def test_a_sparse_gradient_names_each_item_with_a_slope_once():
    query, table, ids, slope = case(6, 5, 12, 4, 0.5)
    (gradient,) = torch.autograd.grad(gather_dot(query, table, ids, sparse=True), table, slope)
    rows = gradient._indices()[0]
    assert len(rows.unique()) == len(rows)
    assert set(rows.tolist()) == set(ids[slope != 0].tolist())


@pytest.mark.parametrize("cosine", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(cosine):
    query, table, ids, slope = case(64, 300, 500, 64, 0.3)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            scores = gather_dot(query, table, ids, cosine=cosine)
            found.append((scores.detach(), *torch.autograd.grad(scores, (query, table), slope)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_doubles_are_checked_against_finite_differences():
    stream = generator("gather doubles")
    query, table = (torch.randn(n, 3, generator=stream, dtype=torch.double, requires_grad=True) for n in (4, 6))
    ids = torch.randint(6, (4, 5), generator=stream)
    assert torch.autograd.gradcheck(lambda q, t: gather_dot(q, t, ids, cosine=True), (query, table))


def test_a_vector_of_zeros_has_a_cosine_of_zero():
    query, table = torch.ones(1, 4), torch.zeros(2, 4)
    assert gather_dot(query, table, torch.tensor([[0, 1]]), cosine=True).tolist() == [[0.0, 0.0]]
