"""PLD's choice among a user's positives: its law, and the limits in which it is the plain draw."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy import stats

from recsys.batching import ByUser
from recsys.sampling import PersonalLoss, Unseen
from recsys.testing import worlds


def view_of(sampler: PersonalLoss, *, positives: int = 5, epoch: int = 10, at: int = 0):
    step = worlds.step_of(sampler=sampler, batches=ByUser(size=8, positives=positives))
    batch = step.examples.batch(step.batches.plan[0])
    return replace(worlds.view_of(step, batch, at), epoch=epoch), step


def test_rows_are_kept_as_often_as_the_softmax_of_their_losses_says():
    sampler = PersonalLoss(Unseen(1, per="group"), temperature=0.7, warmup=0)
    view, _ = view_of(sampler)
    with torch.no_grad():
        draw = sampler.base(view)
        wanted = (-view.losses(draw).double() / 0.7).view(8, 5).softmax(1)
        kept = torch.zeros(40)
        for seed in range(4000):
            found = sampler.refine(replace(view, generator=torch.Generator().manual_seed(seed)), draw)
            kept[found.rows] += 1
    assert (kept.view(8, 5).sum(1) == 4000).all()  # one row of each group, every time
    assert stats.chisquare(kept.numpy(), (4000 * wanted).flatten().numpy(), ddof=7).pvalue > 1e-4
    assert wanted.max() > 0.3  # the law is far from uniform, so that a uniform draw would fail
    assert stats.chisquare(kept.numpy(), [800] * 40, ddof=7).pvalue < 1e-6


def test_in_the_warmup_and_at_a_large_temperature_the_same_rows_are_drawn_uniformly():
    rows = []
    for sampler, epoch in (
        (PersonalLoss(Unseen(1, per="group"), warmup=5), 5),
        (PersonalLoss(Unseen(1, per="group"), temperature=1e30, warmup=0), 1),
    ):
        view, _ = view_of(sampler, epoch=epoch)
        with torch.no_grad():
            rows.append(sampler(view).rows)
    assert torch.equal(*rows)
    assert torch.equal(rows[0] // 5, torch.arange(8))


def test_after_the_warmup_a_small_temperature_keeps_the_row_of_the_least_loss():
    sampler = PersonalLoss(Unseen(1, per="group"), temperature=1e-6, warmup=5)
    view, _ = view_of(sampler, epoch=6)
    with torch.no_grad():
        losses = view.losses(sampler.base(replace(view, generator=torch.Generator().manual_seed(3)))).view(8, 5)
        found = sampler(replace(view, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(losses.flatten()[found.rows], losses.amin(1))


def test_groups_of_one_row_leave_the_base_as_it_is():
    sampler = PersonalLoss(Unseen(1, per="group"), warmup=0)
    view, _ = view_of(sampler, positives=1)
    with torch.no_grad():
        base, found = sampler.base(view), sampler(replace(view, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(found.rows, torch.arange(8))
    assert found.ids().shape == base.ids().shape


def test_no_gradient_passes_through_the_choice_and_the_step_learns_from_one_row_a_user():
    sampler = PersonalLoss(Unseen(1, per="group"), warmup=0)
    _, step = view_of(sampler)
    value = step(step.examples.batch(step.batches.plan[0]), 10, 0)
    assert step.scored is not None and len(step.scored.positive) == 8
    value.backward()
    users = step.examples.batch(step.batches.plan[0]).owner.unique()
    moved = step.model.user.weight.grad.abs().sum(1).nonzero()[:, 0]
    assert set(moved.tolist()) <= set(users.tolist())


@pytest.mark.parametrize("knobs", [{"temperature": 0.0}, {"temperature": float("inf")}, {"warmup": -1}])
def test_impossible_knobs_are_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        PersonalLoss(Unseen(1, per="group"), **knobs)
