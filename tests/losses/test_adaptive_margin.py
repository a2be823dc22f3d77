"""Self-distilled margins by hand: a candidate alike may score alike, an unlike one is to score below."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.losses import AdaptiveMargin
from recsys.pool import Draw, Pool
from recsys.scorer import DotScorer
from recsys.step import Scored
from recsys.testing import worlds
from recsys.testing.losses import given_scores


def test_by_hand():
    """Items 0: (3, 4), 1: the same direction, 2: at a right angle, 3: the opposite; margins 0, 1 and 2."""
    table = torch.tensor([[3.0, 4.0], [6.0, 8.0], [-4.0, 3.0], [-3.0, -4.0]], dtype=torch.double)
    target = torch.tensor([0])
    case = given_scores([0.5], [[0.4, 0.1, -0.7]])
    for pool in (Pool(torch.tensor([[1, 2, 3]])), Pool(torch.tensor([1, 2, 3]))):
        found = replace(case, score=DotScorer(table[:1], table, target), draw=Draw((pool,)), batch=replace(case.batch, target=target))
        assert AdaptiveMargin()(found).tolist() == pytest.approx([(0.1**2 + (0.4 - 1) ** 2 + (1.2 - 2) ** 2) / 3])


@pytest.mark.parametrize("cosine", [False, True])
def test_no_gradient_passes_through_the_margin(cosine: bool):
    """The gradient of the item vectors is that of the same loss with margins that are mere numbers."""
    step = worlds.step_of()
    batch = worlds.first_batch(step)
    step(batch, 1, 0)
    draw = step.draw

    def slope(margin: torch.Tensor | None) -> torch.Tensor:
        table = step.model.item.weight.detach().double().requires_grad_()
        score = DotScorer(step.model.user.weight[batch.owner].detach().double(), table, batch.target, cosine=cosine)
        scored = Scored.of(batch, score, draw, step.catalog)
        if margin is None:  # noqa: SIM108
            value = AdaptiveMargin()(scored)
        else:
            value = (scored.positive[:, None] - scored.negative - margin).square().mean(1)
        return torch.autograd.grad(value.sum(), table)[0]

    item = step.model.item.weight.detach().double()
    margin = 1 - torch.cosine_similarity(item[batch.target][:, None], item[draw.ids()], dim=2)
    assert torch.allclose(slope(None), slope(margin))
