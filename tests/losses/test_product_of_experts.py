"""The product of experts: what popularity explains is taken out of the scores."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import ProductOfExperts, Softmax
from recsys.pool import Draw, Pool
from recsys.sampling import All, Uniform
from recsys.scorer import DotScorer
from recsys.step import Scored
from recsys.testing import worlds
from recsys.testing.losses import some_scored


def ready(loss: ProductOfExperts, case: Scored) -> ProductOfExperts:
    loss.setup(case.catalog)
    return loss


def test_without_strength_it_is_the_softmax():
    case = some_scored()
    loss = ready(ProductOfExperts(strength=0.0, temperature=0.3, logq=True), case)
    assert torch.allclose(loss(case), Softmax(temperature=0.3, logq=True)(case))


def test_by_hand():
    """e^{s/T} p^strength, p by counts with one more event for each item."""
    case = some_scored()
    counts = case.catalog.counts.double() + 1
    p = counts / counts.sum()
    own = (case.positive / 0.5).exp() * p[case.batch.target] ** 2
    others = (case.negative / 0.5).exp() * p[case.draw.ids()] ** 2
    value = ready(ProductOfExperts(strength=2.0, temperature=0.5), case)(case)
    assert torch.allclose(value, -(own / (own + others.sum(1))).log())


def test_the_scores_that_it_asks_for_are_preferences_over_popularity():
    """One score an item, the same for everybody, against the whole catalogue: where data follow the popularity alone, no score is better
    than another, while the softmax asks for s = log p."""
    log = worlds.users(num_users=200, events=6000)
    step = worlds.step_of(All(exclude="positive"), log=log)
    batch = step.examples.batch(torch.arange(len(log)))
    smoothed = (step.catalog.counts.double() + 1).log()

    def slope(loss: Softmax, scores: torch.Tensor) -> float:
        table = scores[:, None].clone().requires_grad_()
        everything = torch.arange(log.num_items)
        valid = everything[None] != batch.target[:, None]
        score = DotScorer(torch.ones(len(batch), 1, dtype=torch.double), table, batch.target)
        scored = Scored.of(batch, score, Draw((Pool(everything),), valid=valid), step.catalog)
        loss.setup(step.catalog)
        return float(torch.autograd.grad(loss(scored).mean(), table)[0].abs().max())

    flat = torch.zeros(log.num_items, dtype=torch.double)
    assert slope(ProductOfExperts(), flat) < 1e-3  # but for the one event more
    assert slope(Softmax(), smoothed) < 1e-3
    assert slope(ProductOfExperts(), smoothed) > 5e-3
    assert slope(Softmax(), flat) > 5e-3


def test_the_weak_part_is_no_part_of_what_is_served_or_saved():
    step = worlds.step_of(Uniform(3), ProductOfExperts())
    assert list(step.loss.parameters()) == [] and step.loss.state_dict() == {}


@pytest.mark.parametrize("strength", [-0.1, float("inf")])
def test_an_impossible_strength_is_refused(strength):
    with pytest.raises(ValueError, match="strength is"):
        ProductOfExperts(strength=strength)
