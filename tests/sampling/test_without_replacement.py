"""Draws without replacement: exact inclusion probabilities, and sums that they make unbiased."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from recsys.data.log import Log
from recsys.losses import Softmax
from recsys.sampling import All, WithoutReplacement
from recsys.sampling.without_replacement import inclusion
from recsys.testing import worlds

COUNTS = [40, 12, 6, 3, 3, 1, 0]


def log() -> Log:
    lists = [[i for i, n in enumerate(COUNTS) if u < n] for u in range(40)]
    offsets = torch.tensor([0, *(len(x) for x in lists)]).cumsum(0)
    return Log(torch.tensor([i for x in lists for i in x], dtype=torch.int32), offsets, len(COUNTS))


def draws(sampler: WithoutReplacement, repeats: int) -> list[torch.Tensor]:
    step = worlds.step_of(sampler, log=log())
    batch = worlds.first_batch(step)
    return [sampler(worlds.view_of(step, batch, at)).ids()[0] for at in range(repeats)]


def test_inclusion_probabilities_by_hand():
    # 3 of (8, 2, 1, 1): the first for certain, the others 2 of (2, 1, 1): again the first of these, then 1 of (1, 1)
    assert inclusion(torch.tensor([8.0, 2.0, 1.0, 1.0, 0.0]).double(), 3).tolist() == [1, 1, 0.5, 0.5, 0]
    assert inclusion(torch.tensor([3.0, 2.0, 1.0]).double(), 1).tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 6])
    assert inclusion(torch.tensor([3.0, 0.0, 1.0]).double(), 9).tolist() == [1, 0, 1]


@pytest.mark.parametrize("num", [1, 2, 4])
@pytest.mark.parametrize("power", [0.0, 0.75])
def test_items_are_included_as_often_as_promised_and_never_twice(num: int, power: float):
    sampler, repeats = WithoutReplacement(num, power=power, exclude="nothing"), 3000
    found = draws(sampler, repeats)
    assert all(len(x) == num == len(set(x.tolist())) for x in found)
    seen = torch.bincount(torch.cat(found), minlength=len(COUNTS)).tolist()
    chance = inclusion(torch.tensor([n**power if n else 0 for n in COUNTS]).double(), num).tolist()
    assert sum(chance) == pytest.approx(num)
    for item, (times, p) in enumerate(zip(seen, chance, strict=True)):
        assert times == repeats * p if p in (0.0, 1.0) else stats.binomtest(times, repeats, p).pvalue > 1e-4, item


def test_items_occur_together_in_every_pair():
    pairs = {tuple(sorted(x.tolist())) for x in draws(WithoutReplacement(2, power=0.0), 2000)}
    assert len(pairs) == 15  # of the six items that have events


def test_the_weighted_sum_is_unbiased():
    sampler = WithoutReplacement(3, power=0.5, exclude="nothing")
    value = torch.tensor([0.3, 2.0, 1.0, 5.0, 0.1, 4.0, 9.0]).double()
    found = torch.stack([(value[ids] / sampler.inclusion[ids]).sum() for ids in draws(sampler, 4000)])
    error = found.std() / len(found) ** 0.5
    assert abs(found.mean() - value[:6].sum()) < 3 * error
    assert error > 0


def test_all_items_drawn_are_the_full_softmax():
    everything = worlds.step_of(WithoutReplacement(60), Softmax(logq=True))
    full = worlds.step_of(All(), Softmax())
    assert (everything.catalog.counts > 0).all()
    a, b = (step(worlds.first_batch(step), 1, 0).detach() for step in (everything, full))
    torch.testing.assert_close(a, b)
