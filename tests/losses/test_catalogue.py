"""The catalogue of losses against numbers worked by hand, published fixtures, and the losses they become in a limit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from recsys.losses import BCE, BPR, GBCE, WARP, BPRMax, DebiasedContrastive, Hinge, SelfAdversarial, Softmax, Top1Max
from recsys.sampling import SelfWeighted, Uniform
from recsys.step import Scored, View
from recsys.testing.losses import given_scores as scored
from recsys.testing.losses import some_scored


def made(loss, case: Scored):
    loss.setup(case.catalog)
    return loss


POSITIVE = [1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0, 4.0]
NEGATIVE = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [6, 3, 8], [6, 3, 8], [9, 8, 7], [6, 5, 4], [3, 2, 1], [6, 3, 8]]


def test_bpr_max_has_the_published_values():
    """The fixtures of TRON's tests: per step, and 30.8290 / 9 in the mean over the steps that count."""
    case = scored(POSITIVE, [[float(x) for x in row] for row in NEGATIVE])
    value = BPRMax()(case).detach()
    wanted = [1.6600, 3.3725, 5.3181, 3.3759, 3.3759, 5.3181, 3.3725, 1.6600, 3.3759]
    assert value.tolist() == pytest.approx(wanted, abs=1e-4)
    assert float(value.sum()) == pytest.approx(30.8290, abs=1e-3)
    weight = torch.tensor([1.0, 2.0, 3.0], dtype=torch.double).softmax(0)
    penalised = BPRMax(penalty=0.5)(case)
    assert float(penalised[0].detach() - value[0]) == pytest.approx(0.5 * float((weight * torch.tensor([1.0, 4.0, 9.0])).sum()))


def test_bpr_max_behind_an_elu_by_hand():
    """ELU of alpha 0.5: 1 stays 1, -2 is 0.5 (e^-2 - 1) = -0.43233; and it changes the order of no two scores."""
    case = scored([1.0], [[2.0, -2.0]])
    low = 0.5 * (math.exp(-2) - 1)
    weight = [math.exp(2) / (math.exp(2) + math.exp(low)), math.exp(low) / (math.exp(2) + math.exp(low))]
    sigmoid = [1 / (1 + math.exp(1)), 1 / (1 + math.exp(low - 1))]
    wanted = -math.log(weight[0] * sigmoid[0] + weight[1] * sigmoid[1]) + 0.5 * (weight[0] * 4 + weight[1] * low**2)
    assert BPRMax(penalty=0.5, elu=0.5)(case).tolist() == pytest.approx([wanted])
    with pytest.raises(ValueError, match="alpha is above 0"):
        BPRMax(elu=0.0)


def test_softmax_and_bce_have_the_published_values():
    """The other fixtures of TRON's tests: sampled softmax per step, and the mean of BCE over three steps."""
    value = Softmax()(scored(POSITIVE, [[float(x) for x in row] for row in NEGATIVE])).detach()
    wanted = [2.4938, 4.4197, 6.4093, 4.1488, 4.1488, 6.4093, 4.4197, 2.4938, 4.1488]
    assert value.tolist() == pytest.approx(wanted, abs=1e-4) and float(value.sum()) == pytest.approx(39.0920, abs=1e-3)
    steps = BCE()(scored([1.0, -2.0, 3.0], [[1.1, 1.2], [1.2, 2.1], [-1.0, 4.0]]))
    assert float(steps.detach().mean()) == pytest.approx(2.6397, abs=1e-4)


@pytest.mark.parametrize("loss", [BCE(), BPR(), BPRMax(), GBCE(), Softmax(), Top1Max()], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("size", [100.0, 1e4])
def test_extreme_scores_give_finite_values_and_slopes(loss, size: float):
    """Where log(1 + exp(x)) overflows (the published code's BCE, from 89 on)."""
    case = scored([-size, size, size], [[size, 0.0], [-size, size], [size, size]])
    positive, negative = case.positive.detach().requires_grad_(), case.negative.detach().requires_grad_()
    value = made(loss, case)(replace(case, positive=positive, negative=negative))
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(positive.grad).all() and torch.isfinite(negative.grad).all()


@pytest.mark.parametrize("loss", [BPRMax(), WARP(margin=1.0), Hinge(margin=1.0)], ids=lambda x: type(x).__name__)
def test_with_one_candidate_the_weights_of_candidates_are_gone(loss):
    case = scored([0.3, 2.0], [[0.5], [0.1]])
    gap = case.negative[:, 0] - case.positive
    value = made(loss, case)(case)
    if isinstance(loss, BPRMax):
        assert torch.allclose(value, BPR()(case))
    elif isinstance(loss, Hinge):
        assert torch.allclose(value, F.relu(1 + gap))
    else:  # the rank of a row whose only candidate violates is N - 1
        phi = sum(1 / k for k in range(1, case.catalog.num_items))
        assert value.tolist() == pytest.approx([phi * 1.2, 0.0])


def test_top1_max_by_hand():
    case = scored([1.0], [[0.0, 2.0]])
    weight = [1 / (1 + math.exp(2)), 1 / (1 + math.exp(-2))]
    terms = [1 / (1 + math.exp(1)) + 0.5, 1 / (1 + math.exp(-1)) + 1 / (1 + math.exp(-4))]
    assert Top1Max()(case).tolist() == pytest.approx([weight[0] * terms[0] + weight[1] * terms[1]])


def test_hinge_by_hand_and_only_violators_get_a_gradient():
    case = scored([1.0], [[0.5, -1.0, 2.0, 0.0]])
    value = Hinge(margin=1.0)(case)
    assert value.tolist() == [(0.5 + 0 + 2.0 + 0) / 4]
    (slope,) = torch.autograd.grad(value.sum(), case.negative)
    assert slope.tolist() == [[0.25, 0.0, 0.25, 0.0]]


def test_warp_weighs_by_the_rank_that_violators_suggest():
    case = scored([1.0, 1.0], [[0.5, -1.0, 2.0, -3.0], [-1.0, -1.0, -1.0, -1.0]])
    rank = (case.catalog.num_items - 1) * 2 // 4
    phi = sum(1 / k for k in range(1, rank + 1))
    value = made(WARP(margin=1.0), case)(case)
    assert value.tolist() == pytest.approx([phi * (0.5 + 2.0) / 2, 0.0])
    (slope,) = torch.autograd.grad(value.sum(), case.negative)
    assert slope.tolist() == [pytest.approx([phi / 2, 0.0, phi / 2, 0.0]), [0.0] * 4]  # none through the rank


def test_gbce_without_calibration_is_bce_summed_and_with_it_the_positive_counts_by_the_share_of_candidates():
    case = scored([0.7], [[0.2, -1.0, 0.4]])
    pull, push = F.softplus(-case.positive), F.softplus(case.negative).sum(1)
    assert torch.allclose(GBCE(calibration=0.0)(case), pull + push)
    alpha = 3 / (case.catalog.num_items - 1)
    assert torch.allclose(GBCE(calibration=1.0)(case), alpha * pull + push)
    power = (torch.sigmoid(case.positive) ** (0.75 * (alpha - 1) + 1)).log()  # as the paper writes it
    assert torch.allclose(GBCE()(case), -power + push)


def test_debiased_contrastive_without_bias_is_the_sampled_softmax_and_by_hand_with_it():
    case = scored([0.6, -0.2], [[0.1, 0.3, -0.5], [0.9, 0.8, 0.7]])
    assert torch.allclose(DebiasedContrastive(positive_share=0.0, temperature=0.5)(case), Softmax(temperature=0.5)(case))
    own, others = math.exp(0.6 / 0.5), sum(math.exp(x / 0.5) for x in (0.1, 0.3, -0.5)) / 3
    g = max((others - 0.1 * own) / 0.9, math.exp(-1 / 0.5))
    assert float(DebiasedContrastive(positive_share=0.1, temperature=0.5)(case)[0].detach()) == pytest.approx(
        -math.log(own / (own + 3 * g))
    )


def test_debiased_contrastive_never_goes_below_its_floor():
    case = scored([1.0], [[-1.0, -0.9]])
    value = DebiasedContrastive(positive_share=0.5, temperature=0.1)(case).detach()
    assert float(value) == pytest.approx(math.log1p(2 * math.exp(-20)), rel=1e-6)


def test_self_adversarial_weighs_hard_candidates_more_and_passes_no_gradient_through_the_weights():
    case = scored([0.5], [[2.0, 0.0]])
    assert torch.allclose(SelfAdversarial(sharpness=0.0)(case), BCE()(case))
    share = torch.tensor([2.0, 0.0], dtype=torch.double).softmax(0)
    value = SelfAdversarial(sharpness=1.0, margin=0.3)(case)
    wanted = F.softplus(-case.positive - 0.3) + (share * F.softplus(case.negative + 0.3)).sum(1)
    assert torch.allclose(value, wanted)
    (slope,) = torch.autograd.grad(value.sum(), case.negative)
    assert torch.allclose(slope[0], share * torch.sigmoid(case.negative[0] + 0.3))


def test_sharpness_of_the_draw_and_of_the_loss_add():
    """p of sharpness b over shares softmax(a s) is softmax((a + b) s), also where a candidate is not valid: the weights sum to 1."""
    negative, valid = [[2.0, 0.0, -1.0, 0.7], [0.3, -0.4, 4.0, 1.0]], [[True] * 4, [True, True, False, True]]
    logit = torch.tensor(negative, dtype=torch.double).masked_fill(~torch.tensor(valid), -torch.inf)
    shared = scored([0.5, -0.2], negative, valid, share=(0.4 * logit).softmax(1).tolist())
    plain = scored([0.5, -0.2], negative, valid)
    value = SelfAdversarial(sharpness=0.6, margin=0.3)(shared)
    assert torch.allclose(value, SelfAdversarial(sharpness=1.0, margin=0.3)(plain))
    assert torch.allclose(SelfAdversarial(sharpness=0.0)(shared), SelfAdversarial(sharpness=0.4)(plain))
    high = SelfAdversarial(sharpness=1.0)(replace(shared, negative=torch.full_like(shared.negative, 50.0))) - F.softplus(-shared.positive)
    assert torch.allclose(high, torch.full_like(high, 50.0)), "all candidates cost 50, so does their mean"


@pytest.mark.parametrize(
    "loss",
    [BPRMax(penalty=0.1), Top1Max(), WARP(), GBCE(), DebiasedContrastive(), SelfAdversarial()],
    ids=lambda loss: type(loss).__name__,
)
def test_candidates_that_are_not_valid_are_not_there(loss):
    full = scored([0.4, 0.1], [[0.3, 5.0, -0.1], [0.2, -0.7, 9.0]], [[True, False, True], [True, True, False]])
    less = scored([0.4, 0.1], [[0.3, -0.1], [0.2, -0.7]])
    assert torch.allclose(made(loss, full)(full), made(loss, less)(less))


@pytest.mark.parametrize(
    "loss",
    [BPRMax(penalty=0.1), Top1Max(), WARP(), GBCE(), Hinge(), DebiasedContrastive(), SelfAdversarial(), Softmax()],
    ids=lambda loss: type(loss).__name__,
)
def test_shares_of_a_draw_count(loss):
    """Equal ones change nothing; a candidate whose share is 0 has no gradient, the others have one."""
    positive, negative = [0.4, 0.1], [[0.3, 0.9, -0.1], [0.2, -0.7, 0.5]]
    plain, equal = scored(positive, negative), scored(positive, negative, share=[[1 / 3] * 3] * 2)
    assert torch.allclose(made(loss, plain)(plain), loss(equal))
    skewed = scored(positive, negative, share=[[0.75, 0.0, 0.25]] * 2)
    (slope,) = torch.autograd.grad(loss(skewed).sum(), skewed.negative)
    assert slope[:, 1].abs().max() < 1e-12
    assert (slope[:, [0, 2]] != 0).all()


def test_bpr_max_is_exact_for_scores_far_apart():
    """The candidate of weight 1 is 500 above the positive: the value is 500, and the gradient goes there."""
    case = scored([500.0], [[1000.0, 0.0]])
    value = BPRMax()(case)
    assert value.tolist() == pytest.approx([500.0])
    (slope,) = torch.autograd.grad(value.sum(), case.negative)
    assert slope.tolist() == [pytest.approx([1.0, 0.0])]


def test_with_self_weighted_candidates_debiased_contrastive_is_the_loss_of_robinson_et_al():
    """Their estimate of the others: K sum_j w_j e^{s_j/t}, w the softmax of beta s_j / t, less the share of the positive."""
    beta, t, share = 0.7, 0.5, 0.1
    case = some_scored()
    score = replace(case.score, query=case.score.query / 4)
    view = View(case.batch, score, BPR(), case.catalog, None, 1, 0, torch.Generator())
    draw = SelfWeighted(Uniform(1), alpha=beta / t).refine(view, replace(case.draw, log_count=None))
    found = DebiasedContrastive(positive_share=share, temperature=t)(Scored.of(case.batch, score, draw, case.catalog))
    own, others = (score.positive() / t).exp(), (score(case.draw.pools[0]) / t).exp()
    importance = others**beta
    reweighted = (importance * others).sum(1) / importance.mean(1)
    count = others.shape[1]
    others = torch.maximum((reweighted - share * count * own) / (1 - share), torch.full_like(own, count * math.exp(-1 / t)))
    assert torch.allclose(found, -(own / (own + others)).log())
