"""Entropy maximisation by hand: candidates are pulled to the score 0, and let go of where they score high."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import EntropyMaximization
from recsys.testing.losses import given_scores


def test_values_by_hand():
    p = [0.5, 0.2]
    case = given_scores([1.0], [[math.log(x / (1 - x)) for x in p]])
    entropy = [-x * math.log(x) - (1 - x) * math.log(1 - x) for x in p]
    wanted = math.log(1 + math.exp(-1)) - 0.6 * sum(entropy) / 2
    assert EntropyMaximization(weight=0.6)(case).tolist() == pytest.approx([wanted])


def test_the_gradient_is_that_of_the_paper():
    """weight s p (1 - p) / K: 0 at 0, away from either end, and small again far out."""
    case = given_scores([0.0], [[-50.0, -2.0, 0.0, 2.0, 50.0]])
    (slope,) = torch.autograd.grad(EntropyMaximization(weight=5.0)(case).sum(), case.negative)
    p = torch.sigmoid(case.negative.detach())
    assert torch.allclose(slope, case.negative.detach() * p * (1 - p))
    assert slope[0, 3] > 0.2 > 1e-9 > slope[0, 4] >= 0


def test_an_impossible_weight_is_refused():
    with pytest.raises(ValueError, match="weight is -1"):
        EntropyMaximization(weight=-1.0)
