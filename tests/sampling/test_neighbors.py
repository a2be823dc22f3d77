"""Candidates from a ring of neighbours around the positive: which ones, how often, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.errors import ConfigError
from recsys.sampling import Neighbors
from recsys.sampling import neighbors as module
from recsys.testing import worlds

from .given import fits

LOG = worlds.users(num_users=30, num_items=40, events=500)


def ranked() -> list[list[int]]:
    """Each item's neighbours, the most alike first, one pair of sets after the other."""
    owners = [set(np.flatnonzero(column)) for column in worlds.dense(LOG).T]
    found = []
    for i, a in enumerate(owners):
        alike = {j: len(a & b) / np.sqrt(len(a) * len(b)) for j, b in enumerate(owners) if j != i and a & b}
        found.append(sorted(alike, key=lambda j: (-alike[j], j)))
    return found


@pytest.mark.parametrize(("near", "far"), [(0, 5), (3, 10), (8, 400)])
def test_draws_are_uniform_over_the_ring(near: int, far: int) -> None:
    sampler = Neighbors(50, near=near, far=far, exclude="nothing")
    step = worlds.step_of(sampler, log=LOG)
    count = torch.zeros(40, 40, dtype=torch.float64)
    for at in range(100):
        batch = worlds.first_batch(step)
        items = sampler(worlds.view_of(step, batch, at)).ids()
        count.index_put_((batch.target[:, None].expand_as(items), items), torch.ones(()).double(), accumulate=True)
    rings = [ranking[near:far] for ranking in ranked()]
    for target in torch.nonzero(count.sum(1)).flatten().tolist():
        expected = torch.zeros(40, dtype=torch.float64)
        expected[rings[target]] = 1 / len(rings[target])
        assert fits(count[target], expected), target


def test_expected_counts_are_those_of_the_ring() -> None:
    sampler = Neighbors(7, near=2, far=9)
    step = worlds.step_of(sampler, log=LOG)
    batch = worlds.first_batch(step)
    count = sampler.log_count(worlds.view_of(step, batch), torch.arange(40)[None]).exp()
    expected = torch.zeros(len(batch), 40)
    for row, target in enumerate(batch.target.tolist()):
        expected[row, ranked()[target][2:9]] = 1.0
    torch.testing.assert_close(count, expected)


def test_what_the_owner_has_seen_is_no_candidate() -> None:
    sampler = Neighbors(50, near=0, far=20)
    step = worlds.step_of(sampler, log=LOG)
    batch = worlds.first_batch(step)
    draw = sampler(worlds.view_of(step, batch))
    seen = torch.from_numpy(worlds.dense(LOG) > 0)[batch.owner].gather(1, draw.ids())
    assert draw.valid is not None and torch.equal(draw.valid, ~seen) and seen.any() and not seen.all()


def test_an_item_alone_has_no_candidate() -> None:
    """Owner 0 has items 0 and 1, owner 1 has item 2 alone."""
    log = worlds._log(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), 2, 3, "user")
    sampler = Neighbors(4, near=0, far=2, exclude="nothing")
    step = worlds.step_of(sampler, log=log)
    batch = step.examples.batch(torch.arange(3))
    draw = sampler(worlds.view_of(step, batch))
    assert draw.valid is not None and draw.valid.tolist() == [[True] * 4, [True] * 4, [False] * 4]
    assert draw.ids()[:2].tolist() == [[1] * 4, [0] * 4]


@pytest.mark.parametrize("options", [{"num": 0}, {"near": -1}, {"near": 5, "far": 5}])
def test_wrong_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Neighbors(**options)


def test_lists_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 3599)
    with pytest.raises(ConfigError, match="lists of 90 items for 40 items, more than 3,599 in all; take a smaller far"):
        worlds.step_of(Neighbors(), log=LOG)
