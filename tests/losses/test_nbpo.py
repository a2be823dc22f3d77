"""NBPO and its relatives: gradients against independent ones, the authors' update, and that a collapsed noise model is reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from recsys import ConfigError, Fit
from recsys.batching import InOrder
from recsys.catalog import Catalog
from recsys.compatibility import check
from recsys.learner import Learner
from recsys.losses import BCE, BPO, BPR, NBPO, Loss, NBPOo, NBPOs
from recsys.models import MF
from recsys.optimizers import SGD
from recsys.optimizers.optimizer import Group
from recsys.pool import Draw, Pool
from recsys.sampling import Unseen
from recsys.step import Scored
from recsys.testing import check_loss, worlds
from recsys.testing.losses import ITEMS, some_scored

GRID = torch.cartesian_prod(torch.linspace(-6, 6, 9).double(), torch.linspace(-6, 6, 9).double())


def on_grid() -> tuple[Tensor, Tensor]:
    """Scores and flip logits, to be differentiated."""
    return GRID[:, 0].clone().requires_grad_(), GRID[:, 1].clone().requires_grad_()


def slopes(cost: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The derivatives of minus the cost (what is ascended) with respect to score and flip logit."""
    inputs = on_grid()
    score, flip = torch.autograd.grad(-cost(*inputs).sum(), inputs)
    return score, flip


def close(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    return all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(found, expected, strict=True))


def set_up(loss: Loss) -> Loss:
    torch.manual_seed(3)
    loss.setup(Catalog(worlds.users(num_items=ITEMS)))
    return loss.double()


def logits_of(loss: NBPOo, case: Scored) -> tuple[Tensor, Tensor]:
    """p_u . q_i of every target [R] and candidate [R, K], pair by pair."""
    p, q = loss.user.weight, loss.item.weight
    owners, targets, ids = case.batch.owner.tolist(), case.batch.target.tolist(), case.draw.ids().tolist()
    positive = torch.stack([p[u] @ q[i] for u, i in zip(owners, targets, strict=True)])
    negative = torch.stack([torch.stack([p[u] @ q[j] for j in row]) for u, row in zip(owners, ids, strict=True)])
    return positive, negative


# Gradients


def test_the_surrogate_gradient_of_nbpo_is_the_four_expressions_of_the_paper():
    r, f = GRID.T
    s, gamma = torch.sigmoid(r), torch.sigmoid(f)
    loss = NBPO()
    assert close(slopes(loss.observed), ((1 - gamma) * (1 - s), -gamma * s))
    assert close(slopes(loss.unobserved), (gamma * (1 - s) - s, (1 - gamma) * s))


def test_the_surrogate_gradient_of_nbpo_is_that_of_its_stop_gradient_form():
    def observed(r: Tensor, f: Tensor) -> Tensor:
        s, gamma = torch.sigmoid(r), torch.sigmoid(f)
        return -((1 - gamma).detach() * s.log() + s.detach() * (1 - gamma).log())

    def unobserved(r: Tensor, f: Tensor) -> Tensor:
        s, gamma = torch.sigmoid(r), torch.sigmoid(f)
        return -(gamma.detach() * s.log() + (1 - s).log() + s.detach() * gamma.log())

    assert close(slopes(NBPO().observed), slopes(observed))
    assert close(slopes(NBPO().unobserved), slopes(unobserved))


def test_the_surrogate_gradient_takes_the_logarithm_of_each_factor_of_the_likelihood():
    """Every factor x of a product in NBPOs has its derivative divided by x: dx becomes d log x."""
    r, f = GRID.T
    s, gamma = torch.sigmoid(r), torch.sigmoid(f)
    score, flip = slopes(NBPOs().observed)  # of (1 - gamma) s: one product
    assert close(slopes(NBPO().observed), (score / s, flip / (1 - gamma)))
    score, flip = slopes(NBPOs().unobserved)  # of (1 - s) + gamma s: the derivative by r has a part of either product
    assert torch.allclose(score, -s * (1 - s) + gamma * s * (1 - s), rtol=0, atol=1e-12)
    assert close(slopes(NBPO().unobserved), (-s * (1 - s) / (1 - s) + gamma * s * (1 - s) / s, flip / gamma))


def test_nbpo_has_the_value_of_the_log_likelihood_and_another_gradient():
    inputs = on_grid()
    for name in ("observed", "unobserved"):
        assert torch.allclose(getattr(NBPO(), name)(*inputs), getattr(NBPOo(), name)(*inputs), rtol=0, atol=1e-12)
        assert not close(slopes(getattr(NBPO(), name)), slopes(getattr(NBPOo(), name)))


def likelihood(loss: NBPOo, case: Scored) -> tuple[Tensor, Tensor]:
    """P(observed) of each target and P(not observed) of each candidate, in plain probabilities."""
    positive, negative = logits_of(loss, case)
    observed = (1 - torch.sigmoid(positive)) * torch.sigmoid(case.positive)
    return observed, (1 - torch.sigmoid(case.negative)) + torch.sigmoid(negative) * torch.sigmoid(case.negative)


@pytest.mark.parametrize(("kind", "objective"), [(NBPOo, torch.log), (NBPOs, lambda p: p - 1)])
def test_value_and_gradient_are_those_of_the_objective_also_for_the_vectors_of_gamma(
    kind: type[NBPOo], objective: Callable[[Tensor], Tensor]
):
    loss, case = set_up(kind(dim=4, init=2.0)), some_scored()
    case = replace(case, positive=case.positive.requires_grad_(), negative=case.negative.requires_grad_())
    of = (case.positive, case.negative, loss.user.weight, loss.item.weight)
    observed, unobserved = likelihood(loss, case)
    expected = -(case.negative.shape[1] * objective(observed) + objective(unobserved).sum(1))
    found = loss(case)
    assert torch.allclose(found, expected, rtol=0, atol=1e-10)
    pairs = zip(torch.autograd.grad(found.sum(), of), torch.autograd.grad(expected.sum(), of), strict=True)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-10) and (b != 0).any() for a, b in pairs)


def test_nothing_overflows():
    """Scores and flip logits far out, in either direction, in single precision."""
    far = torch.cartesian_prod(*[torch.tensor([-1e4, -90.0, 0.0, 90.0, 1e4])] * 2)
    for loss in (NBPO(), NBPOs(), NBPOo()):
        for cost in (loss.observed, loss.unobserved):
            inputs = (far[:, 0].clone().requires_grad_(), far[:, 1].clone().requires_grad_())
            value = cost(*inputs)
            assert torch.isfinite(value).all() and (value >= -1e-6).all()
            assert all(torch.isfinite(slope).all() for slope in torch.autograd.grad(value.sum(), inputs))


# Values, sums, limits


def test_hand_worked():
    """All logits 0: sigmoid and gamma are 1/2, P(observed) is 1/4 and P(not observed) 3/4. The positive counts once a candidate."""
    case = some_scored()
    case = replace(case, positive=torch.zeros_like(case.positive), negative=torch.zeros_like(case.negative))
    k = case.negative.shape[1]
    for loss, expected in ((NBPO(dim=2), math.log(4) + math.log(4 / 3)), (NBPOs(dim=2), 3 / 4 + 1 / 4), (BPO(), 2 * math.log(2))):
        set_up(loss)
        for table in loss.parameters():
            torch.nn.init.zeros_(table)
        assert torch.allclose(loss(case), torch.full_like(case.positive, k * expected))


def test_bpo_is_bce_times_the_number_of_candidates():
    case = some_scored()
    valid = torch.arange(7) < torch.arange(12)[:, None] % 7 + 1
    case = replace(case, draw=replace(case.draw, valid=valid))
    assert torch.allclose(BPO()(case), valid.sum(1) * BCE()(case))


@pytest.mark.parametrize("kind", [BPO, NBPO, NBPOo, NBPOs])
def test_a_row_without_candidates_is_left_with_its_positive(kind: type[BPO]):
    loss, case = set_up(kind()), some_scored()
    alone = loss(replace(case, draw=replace(case.draw, valid=torch.zeros_like(case.negative, dtype=torch.bool))))
    assert torch.allclose(alone, loss.costs(case)[0])


def test_shares_weigh_the_candidates():
    """All the weight on one candidate: it counts as if it had been drawn every time."""
    loss, case = set_up(NBPO()), some_scored()
    share = torch.zeros_like(case.negative)
    share[:, 2] = 1
    ids = case.draw.ids()[:, 2:3].expand(-1, 7)
    repeated = replace(case, negative=case.negative[:, 2:3].expand(-1, 7), draw=Draw((Pool(ids),)))
    assert torch.allclose(loss(replace(case, draw=replace(case.draw, share=share))), loss(repeated))


@pytest.mark.parametrize("kind", [NBPO, NBPOo])
def test_without_noise_it_is_bpo_in_value_and_gradient(kind: type[NBPOo]):
    loss, case = set_up(kind(dim=4)), some_scored()
    torch.nn.init.constant_(loss.user.weight, 5.0)
    torch.nn.init.constant_(loss.item.weight, -2.0)  # p . q = -40
    case = replace(case, positive=case.positive.requires_grad_(), negative=case.negative.requires_grad_())
    inputs = (case.positive, case.negative)
    assert torch.allclose(loss(case), BPO()(case), rtol=0, atol=1e-9)
    found, expected = (torch.autograd.grad(x(case).sum(), inputs) for x in (loss, BPO()))
    assert close(found, expected)


@pytest.mark.parametrize("gamma", [0.5, 0.3, 0.05])
def test_a_constant_gamma_pulls_negatives_to_gamma_over_one_plus_gamma(gamma: float):
    """The label smoothing that a collapsed noise model amounts to."""
    score = torch.logit(torch.tensor([gamma / (1 + gamma)], dtype=torch.double)).requires_grad_()
    flip = torch.logit(torch.tensor([gamma], dtype=torch.double))
    (slope,) = torch.autograd.grad(NBPO().unobserved(score, flip).sum(), score)
    assert abs(slope.item()) < 1e-12
    beside = torch.tensor([-0.1, 0.1]).double().add(score.detach()).requires_grad_()
    (slope,) = torch.autograd.grad(NBPO().unobserved(beside, flip).sum(), beside)
    assert slope[0] < -0.001 and slope[1] > 0.001


def test_gamma_starts_where_the_authors_have_it():
    loss = set_up(NBPO(dim=50))
    p, q = loss.user.weight, loss.item.weight
    widest = 5 / 50**0.5
    assert p.min() >= 0 and widest * 0.99 < p.max() <= widest and -widest <= q.min() < -widest * 0.99 and q.max() <= 0
    logit = p @ q.T
    assert logit.mean().item() == pytest.approx(-25 / 4, abs=0.3)
    assert torch.sigmoid(logit).mean().item() == pytest.approx(0.002, abs=0.001)


def test_it_needs_users():
    with pytest.raises(ConfigError, match="NBPO needs 'user'"):
        check({"sampler": Unseen(), "loss": NBPO(), "examples": MF().examples()})
    for wrong in ({"dim": 0}, {"init": 0.0}):
        with pytest.raises(ValueError, match=r"it must be above 0|at least 1"):
            NBPO(**wrong)


def test_the_suite_knows_a_surrogate_from_a_true_gradient():
    class Undeclared(NBPO):
        surrogate = False

    class Overdeclared(NBPOo):
        surrogate = True

    with pytest.raises(AssertionError, match="a gradient that is not that of its value"):
        check_loss(Undeclared())
    with pytest.raises(AssertionError, match="is a surrogate by its class, and its gradient is that of its value"):
        check_loss(Overdeclared())


# The authors' update


def one_step(loss: Loss, optimizer: SGD) -> tuple[list[np.ndarray], list[np.ndarray], Scored]:
    """All tables before and after a step of three negatives a row, and what it scored."""
    plan = Fit(epochs=1, optimizer=optimizer, denominator="sum", device="cpu")
    made = Learner(model=MF(dim=6, init_std=0.4, init_law="uniform"), batches=InOrder(size=100), sampler=Unseen(3), loss=loss, fit=plan)
    made.setup(worlds.users())
    made.step.double()
    tables = [made.step.model.user, made.step.model.item, *([loss.user, loss.item] if isinstance(loss, NBPOo) else [])]
    before = [t.weight.detach().numpy().copy() for t in tables]
    seen: list[Scored] = []
    made.step.end_step = lambda: seen.append(made.step.scored)  # the step forgets it afterwards
    made.step.begin_epoch(1)
    made._one_step(made.step.examples.batch(made.step.batches.plan[0]), 1, 0)
    return before, [t.weight.detach().numpy() for t in tables], seen[0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def pairs_of(scored: Scored) -> list[tuple[int, int, int]]:
    """(user, positive, negative), one for each candidate."""
    rows = zip(scored.batch.owner.tolist(), scored.batch.target.tolist(), scored.draw.ids().tolist(), strict=True)
    return [(u, i, j) for u, i, row in rows for j in row]


def test_a_step_of_nbpo_is_the_update_of_the_authors():
    """X += eta (dX - lambda X) on whole tables, with sums, the positive once with each of its negatives."""
    rate, decay, flips = 0.02, 0.7, 3.0
    optimizer = SGD(lr=rate, weight_decay=decay, groups={"loss.*": Group(weight_decay=flips)})
    before, after, scored = one_step(NBPO(dim=5), optimizer)
    assert len(scored.batch) == 100 and scored.negative.shape == (100, 3)
    u_, v_, p_, q_ = before
    du, dv, dp, dq = (np.zeros_like(x) for x in before)
    for u, i, j in pairs_of(scored):
        for item, of_score, of_flip in (
            (i, lambda s, g: (1 - g) * (1 - s), lambda s, g: -g * s),
            (j, lambda s, g: g * (1 - s) - s, lambda s, g: (1 - g) * s),
        ):
            s, g = sigmoid(u_[u] @ v_[item]), sigmoid(p_[u] @ q_[item])
            du[u] += of_score(s, g) * v_[item]
            dv[item] += of_score(s, g) * u_[u]
            dp[u] += of_flip(s, g) * q_[item]
            dq[item] += of_flip(s, g) * p_[u]
    for old, new, gradient, weight in zip(before, after, (du, dv, dp, dq), (decay, decay, flips, flips), strict=True):
        np.testing.assert_allclose(new, old + rate * (gradient - weight * old), rtol=0, atol=1e-10)


def test_a_step_of_bpr_is_the_update_of_the_authors_with_rate_times_and_decay_over_the_number_of_negatives():
    """Ours is a mean over candidates: config bpr.yaml states the authors' numbers that way."""
    rate, decay = 0.02, 0.7
    before, after, scored = one_step(BPR(), SGD(lr=rate * 3, weight_decay=decay / 3))
    u_, v_ = before
    du, dv = np.zeros_like(u_), np.zeros_like(v_)
    for u, i, j in pairs_of(scored):
        slope = sigmoid(-(u_[u] @ (v_[i] - v_[j])))
        du[u] += slope * (v_[i] - v_[j])
        dv[i] += slope * u_[u]
        dv[j] -= slope * u_[u]
    for old, new, gradient in ((before[0], after[0], du), (before[1], after[1], dv)):
        np.testing.assert_allclose(new, old + rate * (gradient - decay * old), rtol=0, atol=1e-10)


# What is reported


def test_figures_are_those_of_the_pairs_of_the_epoch():
    loss, case = set_up(NBPO(dim=3, init=2.0)), some_scored()
    valid = torch.rand(case.negative.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    other = some_scored()
    other = replace(other, batch=replace(other.batch, owner=(other.batch.owner + 3) % 30), draw=replace(other.draw, valid=valid))
    loss(case)
    loss(other)
    positive, negative = logits_of(loss, case)
    further, masked = logits_of(loss, other)
    gamma = torch.sigmoid(torch.cat([positive, negative.flatten(), further, masked[valid]]))
    assert loss.figures() == {
        "gamma_min": pytest.approx(gamma.min().item(), abs=1e-12),
        "gamma_mean": pytest.approx(gamma.mean().item(), abs=1e-12),
        "gamma_max": pytest.approx(gamma.max().item(), abs=1e-12),
    }
    assert loss.remarks() == []
    assert loss.figures() == {}, "an epoch's figures are forgotten with it"


def test_what_a_sampler_asks_is_not_counted_and_an_interrupted_epoch_is():
    loss, case = set_up(NBPO(dim=3)), some_scored()
    with torch.no_grad():
        loss(case)
    assert loss.figures() == {}
    loss(case)
    resumed = set_up(NBPO(dim=3))
    resumed.load_state_dict(loss.state_dict())
    assert resumed.figures() == loss.figures() != {}


@pytest.mark.parametrize(("decay", "collapses"), [(5.0, True), (0.0, False)])
def test_a_run_reports_gamma_and_says_when_it_is_one_constant(decay: float, collapses: bool):
    """Heavy decay pulls every p . q to 0, so that gamma is 1/2 for all pairs."""
    optimizer = SGD(lr=0.05, weight_decay=0.1, groups={"loss.*": Group(weight_decay=decay)})
    plan = Fit(epochs=12, optimizer=optimizer, denominator="sum", patience=None, device="cpu")
    made = Learner(model=MF(dim=6), batches=InOrder(size=50), sampler=Unseen(3), loss=NBPO(dim=8), fit=plan)
    epochs = []
    for epoch in made.fit(worlds.users()):
        epoch.value = 0.0
        epochs.append(epoch)
    first, last = epochs[0], epochs[-1]
    assert set(first.figures) >= {"loss.gamma_min", "loss.gamma_mean", "loss.gamma_max"}
    assert first.figures["loss.gamma_min"] < first.figures["loss.gamma_mean"] < first.figures["loss.gamma_max"] - 0.01
    assert first.remarks == []
    if collapses:
        assert last.figures["loss.gamma_mean"] == pytest.approx(0.5, abs=1e-3)
        assert last.figures["loss.gamma_max"] - last.figures["loss.gamma_min"] < 1e-3
        (said,) = last.remarks
        assert said.startswith("NBPO: gamma") and "one constant for all pairs" in said and "collapsed" in said and "label smoothing" in said
    else:
        assert last.figures["loss.gamma_max"] - last.figures["loss.gamma_min"] > 0.01
        assert all(epoch.remarks == [] for epoch in epochs)


def test_the_flip_probability_is_learnt_from_where_noise_is():
    """Half of the items were shown to nobody: their pairs are not observed though wanted. Gamma ends higher there."""
    users, items = 60, 40
    stream = torch.Generator().manual_seed(5)
    shown = torch.arange(items) < items // 2
    chance = torch.where(shown, 0.8, 0.05)
    kept = torch.rand(users, items, generator=stream) < chance
    kept[:, 0] = True
    user, item = kept.nonzero(as_tuple=True)
    plan = Fit(epochs=60, optimizer=SGD(lr=0.02, weight_decay=0.02), denominator="sum", patience=None, device="cpu")
    loss = NBPOo(dim=4, init=2.0)
    made = Learner(
        model=MF(dim=4, init_std=0.5, init_law="uniform"), batches=InOrder(size=200), sampler=Unseen(4), loss=loss, fit=plan, seed=1
    )
    for epoch in made.fit(worlds._log(user, item, users, items, "user")):
        epoch.value = 0.0
    gamma = torch.sigmoid(loss.user.weight @ loss.item.weight.T).mean(0)
    assert gamma[~shown].mean() > 2 * gamma[shown].mean()


def test_bpo_adds_nothing_to_learn():
    assert [name for name, _ in set_up(BPO()).named_parameters()] == []
    case = some_scored()
    assert torch.allclose(BPO().costs(case)[0], F.softplus(-case.positive))
