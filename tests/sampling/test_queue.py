"""The queue of earlier targets: first in, first out, and part of the state."""

from __future__ import annotations

import pytest
import torch

from recsys.batching import InOrder
from recsys.sampling import Queue, TruncatedLoss
from recsys.testing import worlds


def after(steps: int, size: int = 10):
    step = worlds.step_of(sampler=Queue(size), batches=InOrder(size=4))
    targets = []
    for at in range(steps):
        batch = step.examples.batch(step.batches.plan[at])
        step(batch, 1, at)
        step.end_step()
        targets.append(batch.target)
    return step, targets


def test_before_the_first_step_nothing_is_valid_and_a_step_is_finite():
    step, _ = after(0)
    batch = step.examples.batch(step.batches.plan[0])
    assert not step.sampler(worlds.view_of(step, batch)).valid.any()
    assert torch.isfinite(step(batch, 1, 0))


def test_the_latest_targets_come_first_and_the_oldest_leave():
    step, targets = after(3)
    assert step.sampler.kept.tolist() == torch.cat([targets[2], targets[1], targets[0][:2]]).tolist()
    step, targets = after(2)
    assert step.sampler.kept.tolist() == [*targets[1].tolist(), *targets[0].tolist(), -1, -1]


def test_a_target_in_the_queue_is_no_candidate_of_its_own_row():
    step, _ = after(3)
    batch = step.examples.batch(step.batches.plan[2])  # its own targets are in the queue now
    draw = step.sampler(worlds.view_of(step, batch))
    ids = draw.ids().expand(4, -1)
    assert torch.equal(draw.valid, ids != batch.target[:, None])


def test_rows_that_a_sampler_around_it_leaves_out_are_kept_too():
    """Which rows stay depends on their losses; the expected counts are those of all."""
    step = worlds.step_of(sampler=TruncatedLoss(Queue(10), rate=0.5, steps=1), batches=InOrder(size=4))
    batch = step.examples.batch(step.batches.plan[1])
    step(batch, 1, 1)
    assert step.draw.rows is not None and len(step.draw.rows) == 2
    step.end_step()
    assert step.sampler.base.kept.tolist() == [*batch.target.tolist(), *[-1] * 6]


def test_the_queue_is_resumed():
    step, _ = after(3)
    fresh = worlds.step_of(sampler=Queue(10), batches=InOrder(size=4))
    fresh.load_state_dict(step.state_dict())
    assert torch.equal(fresh.sampler.kept, step.sampler.kept)


def test_a_queue_of_nothing_is_refused():
    with pytest.raises(ValueError, match="size is 0"):
        Queue(0)
