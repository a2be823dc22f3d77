"""Candidates from what the batch's other sequences were read from."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from recsys.sampling import BatchInputs
from recsys.testing import worlds

from .given import fits

LOG = worlds.sessions(40)


def setting(sampler: BatchInputs):  # type: ignore[no-untyped-def]
    step = worlds.step_of(sampler, log=LOG)
    return step, step.examples.batch(torch.arange(8))


def test_a_list_is_drawn_without_replacement_from_the_positions_of_others() -> None:
    step, batch = setting(sampler := BatchInputs(6, exclude="nothing"))
    for at in range(50):
        draw = sampler(worlds.view_of(step, batch, at))
        assert draw.valid is not None and draw.valid.all()
        for group, items in enumerate(draw.pools[0].items.tolist()):
            others = Counter(batch.context[batch.context_group != group].tolist())
            assert not Counter(items) - others  # never more often than it was read


def test_every_position_of_others_is_drawn_equally_often() -> None:
    step, batch = setting(sampler := BatchInputs(3, exclude="nothing"))
    count = torch.zeros(8, 60, dtype=torch.float64)
    for at in range(4000):
        items = sampler(worlds.view_of(step, batch, at)).pools[0].items
        count.scatter_add_(1, items, torch.ones(8, 3).double())
    for group in range(8):
        others = torch.bincount(batch.context[batch.context_group != group], minlength=60).double()
        assert fits(count[group], others / others.sum())


def test_too_few_positions_are_all_taken_and_the_rest_does_not_count() -> None:
    step, batch = setting(sampler := BatchInputs(500, exclude="nothing"))
    draw = sampler(worlds.view_of(step, batch))
    for row in range(len(batch)):
        found = Counter(draw.ids()[row][draw.valid[row]].tolist())
        assert found == Counter(batch.context[batch.context_group != batch.group[row]].tolist())


@pytest.mark.parametrize("exclude", ["positive", "seen"])
def test_what_is_excluded_does_not_count(exclude: str) -> None:
    step, batch = setting(sampler := BatchInputs(500, exclude=exclude))  # type: ignore[arg-type]
    draw = sampler(worlds.view_of(step, batch))
    all_of = BatchInputs(500, exclude="nothing")(worlds.view_of(step, batch)).valid
    seen = torch.from_numpy(worlds.dense(LOG) > 0)[batch.owner].gather(1, draw.ids())
    bad = draw.ids() == batch.target[:, None] if exclude == "positive" else seen
    assert torch.equal(draw.valid, all_of & ~bad) and (all_of & bad).any()


def test_a_sequence_alone_has_no_candidate() -> None:
    step, _ = setting(sampler := BatchInputs(3))
    draw = sampler(worlds.view_of(step, step.examples.batch(torch.tensor([0]))))
    assert not draw.valid.any()
