"""The asymmetric loss by hand, as the paper writes it, and in the limit in which it is binary cross entropy."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import BCE, Asymmetric
from recsys.testing.losses import given_scores


def score(p: float) -> float:
    return math.log(p / (1 - p))


def test_values_by_hand():
    case = given_scores([score(0.8), score(0.5)], [[score(0.3), score(0.04)], [score(0.9), score(0.1)]])
    value = Asymmetric(gamma_positive=1.0, gamma_negative=2.0, margin=0.1)(case)
    first = -0.2 * math.log(0.8) - (0.2**2 * math.log(0.8) + 0) / 2
    second = -0.5 * math.log(0.5) - (0.8**2 * math.log(0.2) + 0) / 2
    assert value.tolist() == pytest.approx([first, second])


def test_candidates_below_the_margin_have_no_gradient():
    case = given_scores([0.0], [[score(0.04), score(0.06), -40.0]])
    (slope,) = torch.autograd.grad(Asymmetric(gamma_negative=0.5)(case).sum(), case.negative)
    assert slope[0, 0] == slope[0, 2] == 0
    assert slope[0, 1] > 0


def test_without_powers_and_margin_it_is_bce():
    case = given_scores([0.3, -2.0], [[1.0, -0.5, 30.0], [-30.0, 0.1, 2.0]])
    assert torch.allclose(Asymmetric(gamma_positive=0.0, gamma_negative=0.0, margin=0.0)(case), BCE()(case))


def test_a_hard_candidate_costs_as_much_as_its_score_is_high():
    """Without a margin, log(1 - p) is that of the score, not of a probability rounded to 1; with one it ends at log margin."""
    case = given_scores([0.0], [[500.0]])
    free = Asymmetric(gamma_negative=2.0, margin=0.0)(case)
    assert float(free.detach()) == pytest.approx(math.log(2) + 500)
    (slope,) = torch.autograd.grad(free.sum(), case.negative)
    assert slope.tolist() == [[pytest.approx(1.0)]]
    assert float(Asymmetric(gamma_negative=2.0, margin=0.1)(case).detach()) == pytest.approx(math.log(2) - 0.9**2 * math.log(0.1))


@pytest.mark.parametrize("knobs", [{"gamma_positive": -1.0}, {"gamma_negative": -0.1}, {"margin": 1.0}, {"margin": -0.1}])
def test_impossible_knobs_are_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        Asymmetric(**knobs)
