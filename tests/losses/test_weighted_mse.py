"""Weighted least squares by hand, and summed over all rows the objective of implicit ALS."""

from __future__ import annotations

import pytest
import torch

from recsys.losses import WeightedMSE
from recsys.sampling import All
from recsys.testing import worlds
from recsys.testing.losses import given_scores


def test_values_and_gradients_by_hand():
    case = given_scores([0.25, 1.5], [[0.5, -1.0], [0.0, 0.1]], [[True, True], [True, False]])
    value = WeightedMSE(weight=4.0)(case)
    assert value.tolist() == pytest.approx([0.5625 + 4 * (0.25 + 1.0) / 2, 0.25])
    positive, negative = torch.autograd.grad(value.sum(), (case.positive, case.negative))
    assert positive.tolist() == pytest.approx([-1.5, 1.0])  # above 1 is as wrong as below
    assert negative.tolist() == [pytest.approx([2.0, -4.0]), [0.0, 0.0]]


def test_over_all_rows_it_is_implicit_als_with_a_weight_that_grows_with_the_users_events():
    """sum over observed (1 - s)^2 + sum over users (weight n_u / N) sum over all items s^2, and the same with confidences 1 + alpha_0."""
    log, weight = worlds.users(), 5.0
    step = worlds.step_of(All(exclude="nothing"), WeightedMSE(weight=weight), log=log)
    with torch.no_grad():
        step(step.examples.batch(torch.arange(len(log))), 1, 0)
        rows = step.loss(step.scored).double()
        score = (step.model.user.weight @ step.model.item.weight.T).double()
    seen = torch.zeros(log.num_owners, log.num_items, dtype=torch.double)
    seen[log.owners, log.items.long()] = 1
    alpha = weight * seen.sum(1, keepdim=True) / log.num_items
    assert float(rows.sum()) == pytest.approx(float((seen * (1 - score) ** 2).sum() + (alpha * score**2).sum()), rel=1e-5)
    confident = seen * (1 + alpha) * (score - 1 / (1 + alpha)) ** 2 + (1 - seen) * alpha * score**2
    constant = (seen * alpha / (1 + alpha)).sum()
    assert float(rows.sum()) == pytest.approx(float(confident.sum() + constant), rel=1e-5)


def test_an_impossible_weight_is_refused():
    with pytest.raises(ValueError, match="weight is -1"):
        WeightedMSE(weight=-1.0)
