"""Lists that are mined, remembered and looked ahead to."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from recsys.models import MF
from recsys.randomness import generator
from recsys.recommender import Trained
from recsys.sampling import Teleported
from recsys.step import EpochView, Step, View
from recsys.testing import worlds

from .given import fits

LOG = worlds.users()


def view(step: Step, epoch: int, at: int = 0) -> View:
    batch = worlds.first_batch(step)
    with torch.no_grad():
        score = step.model(batch).detach()
    return View(batch, score, step.loss, step.catalog, step.batches, epoch, at, generator("draw", epoch, at))


def refresh(step: Step, epoch: int) -> None:
    step.sampler.begin_epoch(EpochView(step.model, step.examples, step.catalog, epoch, generator("epoch", epoch)))


def best(step: Step, depth: int) -> torch.Tensor:
    """What the model ranks first for every user, by all its scores."""
    scores = Trained(step.model).scores(LOG.histories())
    scores[torch.from_numpy(worlds.dense(LOG) > 0)] = -torch.inf
    return scores.topk(depth, dim=1).indices


def drawn(step: Step, epoch: int, row: int = 0) -> set[int]:
    found = set()
    for at in range(60):
        seen = view(step, epoch, at)
        draw = step.sampler(seen)
        found |= set(draw.ids()[row][draw.valid[row]].tolist())
    return found


def test_in_the_warmup_items_are_drawn_uniformly():
    step = worlds.step_of(Teleported(4, warmup=2), model=MF(dim=8, init_std=1.0), log=LOG)
    refresh(step, 2)
    ids = torch.cat([step.sampler(view(step, 2, at)).ids().flatten() for at in range(100)])
    assert fits(torch.bincount(ids, minlength=LOG.num_items).double(), torch.ones(LOG.num_items).double())


def test_then_from_what_the_model_ranks_first_uniformly():
    step = worlds.step_of(Teleported(8, depth=6, momentum=0.0, near=0), log=LOG)
    refresh(step, 2)
    lists = best(step, 6)
    owner = worlds.first_batch(step).owner
    ids = torch.cat([step.sampler(view(step, 2, at)).ids() for at in range(60)], 1)
    for row in range(len(owner)):
        chance = torch.zeros(LOG.num_items, dtype=torch.float64).index_fill(0, lists[owner[row]], 1.0)
        assert fits(torch.bincount(ids[row], minlength=LOG.num_items).double(), chance)


def test_a_share_of_the_former_list_stays():
    step = worlds.step_of(Teleported(8, depth=10, momentum=0.5, near=0, every=1), log=LOG)
    refresh(step, 2)
    before = step.sampler.mined[:, :10].clone()
    assert (step.sampler.mined[:, 10:] == -1).all()
    torch.nn.init.normal_(step.model.user.weight)
    refresh(step, 3)
    assert torch.equal(step.sampler.mined[:, :10].long(), best(step, 10))
    for u in range(LOG.num_owners):
        kept = step.sampler.mined[u, 10:].tolist()
        assert len(kept) == 5 == len(set(kept)) and set(kept) <= set(before[u].tolist())


def test_items_close_to_the_target_are_candidates():
    step = worlds.step_of(Teleported(8, depth=1, momentum=0.0, near=3), log=LOG)
    refresh(step, 2)
    vectors = F.normalize(step.model.item.weight.detach(), dim=1)
    batch = worlds.first_batch(step)
    cosine = (vectors[batch.target] @ vectors.T).scatter(1, batch.target[:, None], -2.0)
    seen = step.catalog.seen(batch.owner, torch.arange(LOG.num_items)[None])
    for row in range(4):
        expected = {*cosine[row].topk(3).indices.tolist(), int(best(step, 1)[batch.owner[row], 0])}
        assert drawn(step, 2, row) == {i for i in expected if not seen[row, i]}


def test_lists_are_made_anew_when_due_and_training_mode_is_left_as_it_was():
    step = worlds.step_of(Teleported(depth=5, every=3, warmup=1), log=LOG).train()
    lists = []
    for epoch in range(1, 8):
        torch.nn.init.normal_(step.model.user.weight)
        refresh(step, epoch)
        lists.append(step.sampler.mined.clone())
    changed = [epoch for epoch in range(2, 8) if not torch.equal(lists[epoch - 1], lists[epoch - 2])]
    assert changed == [2, 5]
    assert step.model.training


@pytest.mark.parametrize(
    ("options", "message"),
    [({"depth": 0}, "depth is 0"), ({"momentum": 1.5}, "momentum is 1.5"), ({"every": 0}, "every is 0"), ({"near": -1}, "near is -1")],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        Teleported(**options)
