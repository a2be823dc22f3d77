from __future__ import annotations

import copy

import pytest
import torch

from recsys.losses import BPR
from recsys.models import MF
from recsys.randomness import generator
from recsys.sampling import All, DiverseHard, TopK, Uniform
from recsys.step import Step
from recsys.testing import worlds

from .given import valid_ids, view_of


def with_clusters(sampler: DiverseHard, clusters: list[int]) -> DiverseHard:
    sampler.register_buffer("cluster", torch.tensor(clusters))
    return sampler


def test_by_hand_the_hardest_of_each_cluster():
    sampler = with_clusters(DiverseHard(All(exclude="seen"), clusters=4), [0, 0, 0, 1, 1, 2])
    view = view_of([[9.0, 1.0, 2.0, 3.0, 4.0, 5.0], [9.0, 2.0, 1.0, 4.0, 3.0, -5.0]], seen=(0,))
    draw = sampler(view)
    assert draw.ids()[:, :3].tolist() == [[2, 4, 5], [1, 3, 5]]
    assert draw.valid.tolist() == [[True, True, True, False]] * 2  # nothing is in cluster 3
    seen = sampler(view_of([9.0, 1.0, 2.0, 3.0, 4.0, 5.0], seen=(0, 2, 3, 4)))
    assert valid_ids(seen) == [[1, 5]]
    assert valid_ids(sampler(view_of([1.0] * 6, seen=(0, 1, 2, 3, 4, 5)))) == [[]]


def test_of_equal_candidates_there_is_one():
    draw = with_clusters(DiverseHard(All(), clusters=1), [0] * 5)(view_of([0.0, 1.0, 1.0, 0.0, 1.0], rows=3))
    assert draw.ids().tolist() == [[1]] * 3


def test_equals_a_loop_over_rows_and_clusters():
    step = worlds.step_of(DiverseHard(Uniform(25, exclude="seen"), clusters=6), BPR())
    batch = worlds.first_batch(step)
    draw = step.sampler(worlds.view_of(step, batch))
    view = worlds.view_of(step, batch)
    base = step.sampler.base(view)
    scores, ids, cluster = view.scores(base), base.ids(), step.sampler.cluster
    for row in range(len(batch)):
        for c in range(6):
            of_it = [at for at in range(25) if int(cluster[ids[row, at]]) == c and scores[row, at] > -torch.inf]
            assert bool(draw.valid[row, c]) == bool(of_it)
            if of_it:
                assert int(draw.ids()[row, c]) == int(ids[row, max(of_it, key=lambda at: float(scores[row, at]))])


def test_one_cluster_is_the_hardest_candidate():
    def rows(sampler: object) -> torch.Tensor:
        step = worlds.step_of(sampler, BPR())  # type: ignore[arg-type]
        step(worlds.first_batch(step), 1, 0)
        return step.loss(step.scored).detach()

    assert torch.equal(rows(DiverseHard(Uniform(9), clusters=1)), rows(TopK(Uniform(9), k=1)))


def planted(every: int = 1) -> Step:
    """60 items in 3 directions, lengths aside."""
    step = worlds.step_of(DiverseHard(Uniform(9), clusters=3, every=every), BPR(), model=MF(dim=3))
    stream = generator("planted")
    with torch.no_grad():
        direction = torch.eye(3)[torch.arange(60) % 3] + 0.05 * torch.randn(60, 3, generator=stream)
        step.model.item.weight.copy_(direction * torch.rand(60, 1, generator=stream).mul(5).exp())
    return step


def test_clusters_are_found_anew_every_so_many_epochs_and_kept_with_the_state():
    step = planted(every=2)
    before = step.sampler.cluster.clone()
    step.begin_epoch(2)
    assert torch.equal(step.sampler.cluster, before)  # not this epoch
    step.model.train()
    step.begin_epoch(3)
    assert step.model.training
    label = step.sampler.cluster
    assert all(len(label[at::3].unique()) == 1 for at in range(3)) and len(label.unique()) == 3
    again = planted(every=2)
    again.begin_epoch(3)
    assert torch.equal(again.sampler.cluster, label)
    fresh = planted(every=2)
    fresh.load_state_dict(copy.deepcopy(step.state_dict()))
    fresh.begin_epoch(3, resumed=True)
    assert torch.equal(fresh.sampler.cluster, label)


@pytest.mark.parametrize("wrong", [{"clusters": 0}, {"every": 0}])
def test_refuses(wrong: dict[str, int]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiverseHard(All(), **wrong)
