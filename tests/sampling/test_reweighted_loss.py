from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from recsys.losses import BPR, Loss, Softmax
from recsys.sampling import All, ReweightedLoss, TopK, Uniform
from recsys.step import Scored
from recsys.testing import worlds

from .given import view_of


class Pointwise(Loss):
    """Binary cross entropy on labelled rows."""

    def forward(self, scored: Scored) -> torch.Tensor:
        return F.binary_cross_entropy_with_logits(scored.positive, scored.batch.label, reduction="none")


def test_on_labelled_rows_it_is_the_formula_of_the_paper():
    """y^beta where the label is 1, (1 - y)^beta where it is 0."""
    table = torch.tensor([[0.7, 0.0], [-2.0, 0.0], [1.5, 0.0], [-0.3, 0.0]])
    label = torch.tensor([1.0, 1.0, 0.0, 0.0])
    draw = ReweightedLoss(All(), beta=0.25)(view_of(table, loss=Pointwise(), label=label))
    y = torch.sigmoid(table[:, 0])
    assert torch.allclose(draw.weight, torch.where(label > 0, y, 1 - y) ** 0.25)


def test_any_negative_log_probability_is_served_alike():
    """BPR: the probability of the right order; softmax: that of the target among the candidates."""
    table = torch.tensor([[1.0, 0.0, -1.0, 2.0], [0.0, 1.0, 1.0, 0.5]])
    one = ReweightedLoss(TopK(All(), k=1), beta=2.0)(view_of(table, loss=BPR()))
    assert torch.allclose(one.weight, torch.sigmoid(table[:, 0] - table[:, 1:].amax(1)) ** 2)
    soft = ReweightedLoss(All(), beta=0.5)(view_of(table, loss=Softmax()))
    assert torch.allclose(soft.weight, table.softmax(1)[:, 0] ** 0.5)


def test_the_step_weighs_rows_and_no_gradient_passes_through_the_weight():
    step = worlds.step_of(ReweightedLoss(Uniform(4), beta=1.0), BPR())
    value = step(worlds.first_batch(step), 1, 0)
    losses = step.loss(step.scored)
    assert torch.allclose(value, (losses * torch.exp(-losses)).mean())
    (got,) = torch.autograd.grad(value, step.model.item.weight, retain_graph=True)
    (wanted,) = torch.autograd.grad((losses * torch.exp(-losses.detach())).mean(), step.model.item.weight)
    assert torch.allclose(got, wanted, atol=1e-7)


def test_beta_0_is_the_base():
    steps = [worlds.step_of(sampler, BPR()) for sampler in (Uniform(4), ReweightedLoss(Uniform(4), beta=0.0))]
    one, two = (step(worlds.first_batch(step), 1, 0) for step in steps)
    assert torch.equal(one, two)


def test_weights_multiply_and_losses_of_any_size_are_finite():
    table = torch.tensor([[1e4, 0.0], [-1e4, 0.0], [1.0, 0.0]])
    once, twice = ReweightedLoss(All(), beta=0.5), ReweightedLoss(ReweightedLoss(All(), beta=0.25), beta=0.25)
    assert torch.allclose(once(view_of(table)).weight, twice(view_of(table)).weight)
    assert torch.allclose(once(view_of(table)).weight, torch.tensor([1.0, 0.0, torch.sigmoid(torch.tensor(1.0)) ** 0.5]))


def test_a_negative_loss_counts_as_0():
    class Below(Loss):
        def forward(self, scored: Scored) -> torch.Tensor:
            return scored.positive

    draw = ReweightedLoss(All(), beta=1.0)(view_of([[-5.0, 0.0], [1.0, 0.0]], loss=Below()))
    assert draw.weight.tolist() == pytest.approx([1.0, 0.36788], abs=1e-5)


@pytest.mark.parametrize("beta", [-0.1, float("inf")])
def test_refuses(beta: float):
    with pytest.raises(ValueError, match="beta"):
        ReweightedLoss(All(), beta=beta)
