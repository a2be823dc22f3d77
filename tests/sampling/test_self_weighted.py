from __future__ import annotations

import pytest
import torch

from recsys.losses import BCE, BPR, Loss, Softmax
from recsys.sampling import All, Mix, SelfWeighted, TopK, Uniform
from recsys.step import Scored
from recsys.testing import worlds

from .given import view_of


def rows_of(sampler: object, loss: Loss) -> torch.Tensor:
    step = worlds.step_of(sampler, loss)  # type: ignore[arg-type]
    step(worlds.first_batch(step), 1, 0)
    return loss(step.scored).detach()


def test_shares_by_hand():
    """alpha = 2 and scores 0, log 2, log 3: weights 1, 4, 9 of 14; the target and what is not valid have none."""
    view = view_of([0.3, 0.0, torch.tensor(2.0).log().item(), torch.tensor(3.0).log().item(), 9.0], rows=2, seen=(0, 4))
    draw = SelfWeighted(All(exclude="seen"), alpha=2.0)(view)
    assert torch.allclose(draw.share, torch.tensor([0.0, 1 / 14, 4 / 14, 9 / 14, 0.0]).expand(2, -1))
    assert draw.log_count is not None


def test_loss_is_that_of_rotate():
    """L = -log sigmoid(s_+) - sum_j p_j log sigmoid(-s_j), p without gradient."""
    step = worlds.step_of(SelfWeighted(Uniform(6), alpha=1.5), BCE())
    value = step(worlds.first_batch(step), 1, 0)
    value.backward()
    got = step.model.item.weight.grad.clone()
    step.zero_grad()
    batch = worlds.first_batch(step)
    score = step.model(batch)
    negative, positive = score(step.draw.pools[0]), score.positive()
    p = torch.softmax(1.5 * negative.detach(), 1)
    wanted = (-torch.sigmoid(positive).log() - (p * torch.sigmoid(-negative).log()).sum(1)).mean()
    wanted.backward()
    assert torch.allclose(value, wanted, atol=1e-5)
    assert torch.allclose(got, step.model.item.weight.grad, atol=1e-6)


@pytest.mark.parametrize("loss", [BPR(), BCE(), Softmax(), Softmax(logq=True)], ids=["bpr", "bce", "softmax", "logq"])
def test_alpha_0_is_the_base_and_a_large_alpha_the_hardest_candidate(loss: Loss):
    base = Mix({"shared": Uniform(5, per="batch"), "own": Uniform(4)})
    assert torch.allclose(rows_of(SelfWeighted(base, alpha=0.0), loss), rows_of(base, loss), atol=1e-5)
    if isinstance(loss, BPR | BCE):
        assert torch.allclose(rows_of(SelfWeighted(base, alpha=1e5), loss), rows_of(TopK(base, k=1), loss), atol=1e-5)


def test_shares_multiply():
    view = view_of([0.0, 1.0, -0.5, 2.0], rows=3)
    twice, once = SelfWeighted(SelfWeighted(All(), alpha=0.5), alpha=1.0)(view), SelfWeighted(All(), alpha=1.5)(view)
    assert torch.allclose(twice.share, once.share)


def test_rows_without_candidates_and_huge_scores_are_finite():
    view = view_of([[0.0, 1e4, -1e4], [0.0, -1e4, 1e4]], seen=(0, 1, 2))
    draw = SelfWeighted(All(exclude="seen"), alpha=100.0)(view)
    assert torch.equal(draw.share, torch.zeros(2, 3))
    loss = BPR()(Scored.of(view.batch, view.score, draw, view.catalog))
    assert torch.equal(loss, torch.zeros(2))
    assert torch.equal(SelfWeighted(All(), alpha=100.0)(view).share, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("alpha", [-0.1, float("inf")])
def test_refuses(alpha: float):
    with pytest.raises(ValueError, match="alpha"):
        SelfWeighted(All(), alpha=alpha)
