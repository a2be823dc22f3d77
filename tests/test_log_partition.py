"""The denominator of a sampled softmax against the plain formula, its gradient, and scores of any size."""

from __future__ import annotations

import pytest
import torch

from recsys import log_partition as module
from recsys.log_partition import log_partition


def plain(positive, negative, scale=1.0, offset=None, valid=None):
    z = negative * scale if offset is None else negative * scale + offset
    z = z if valid is None else z.masked_fill(~valid, -torch.inf)
    return torch.cat([positive[:, None] * scale, z], 1).logsumexp(1)


def leaves(rows=7, width=5, dtype=torch.float64):
    stream = torch.Generator().manual_seed(3)
    return [torch.randn(*shape, dtype=dtype, generator=stream).mul(3).requires_grad_() for shape in ((rows,), (rows, width))]


@pytest.mark.parametrize("block", [1, 10, 1 << 18])
@pytest.mark.parametrize("offset", [None, "row", "shared"])
@pytest.mark.parametrize("valid", [None, "row", "shared"])
def test_value_and_gradient_are_those_of_the_formula(monkeypatch, block, offset, valid):
    monkeypatch.setattr(module, "BLOCK", block)  # blocks of one row, of two, of all
    positive, negative = leaves()
    stream = torch.Generator().manual_seed(4)
    shape = {"row": negative.shape, "shared": (1, 5)}
    offset = None if offset is None else torch.randn(*shape[offset], dtype=torch.float64, generator=stream)
    valid = None if valid is None else torch.rand(*shape[valid], generator=stream) < 0.6
    weight = torch.randn(7, dtype=torch.float64, generator=stream)
    found = log_partition(positive, negative, scale=2.5, offset=offset, valid=valid)
    expected = plain(positive, negative, 2.5, offset, valid)
    torch.testing.assert_close(found, expected)
    ours = torch.autograd.grad((found * weight).sum(), (positive, negative))
    theirs = torch.autograd.grad((expected * weight).sum(), (positive, negative))
    torch.testing.assert_close(ours, theirs)


def test_gradients_by_finite_differences():
    valid = torch.tensor([[True, True, False, True, True]])
    assert torch.autograd.gradcheck(lambda p, n: log_partition(p, n, scale=0.7, valid=valid), leaves())


def test_a_row_without_candidates_is_its_positive():
    positive, negative = leaves(width=4)
    found = log_partition(positive, negative, scale=3.0, valid=torch.zeros(1, 4, dtype=torch.bool))
    torch.testing.assert_close(found, 3 * positive)
    grad = torch.autograd.grad(found.sum(), (positive, negative))
    assert grad[0].eq(3).all() and grad[1].eq(0).all()
    torch.testing.assert_close(log_partition(positive, negative[:, :0]), positive)


def test_scores_of_any_size_stay_finite():
    positive = torch.tensor([-1e30, 1e30, 0.0], requires_grad=True)
    negative = torch.tensor([[1e30, -1e30], [0.0, -1e30], [-1e30, -1e30]], requires_grad=True)
    found = log_partition(positive, negative)
    assert found.tolist() == [torch.tensor(1e30).item(), torch.tensor(1e30).item(), 0.0]
    for grad in torch.autograd.grad(found.sum(), (positive, negative)):
        assert grad.isfinite().all()
