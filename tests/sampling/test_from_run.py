"""Candidates that a finished run would recommend: which, how often, and for whom."""

from __future__ import annotations

import pytest
import torch

import recsys
from recsys.data.log import Log
from recsys.errors import ConfigError, RunError
from recsys.models import EASE, MF
from recsys.sampling import FromRun, Mix, TopK, Uniform
from recsys.testing import worlds

from .given import fits

LOG = worlds.users()


def lists(run: str, depth: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The best unseen items of every user and their scores, from all scores sorted."""
    scores = recsys.load(run).recommender.scores(LOG.histories())
    scores[torch.from_numpy(worlds.dense(LOG) > 0)] = -torch.inf
    best = scores.sort(dim=1, descending=True, stable=True)
    return best.indices[:, :depth], best.values[:, :depth]


def drawn(sampler: FromRun, repeats: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """(owner, item) of many draws."""
    step = worlds.step_of(sampler, log=LOG)
    owner, items = [], []
    for at in range(repeats):
        batch = worlds.first_batch(step)
        found = sampler(worlds.view_of(step, batch, at)).ids()
        owner.append(batch.owner[:, None].expand_as(found).flatten())
        items.append(found.flatten())
    return torch.cat(owner), torch.cat(items)


@pytest.mark.parametrize("model", [MF(dim=8, init_std=1.0), EASE(penalty=5.0)])
@pytest.mark.parametrize("temperature", [None, 0.7])
def test_draws_follow_the_list_of_the_owner(model, temperature):
    run = worlds.finished_run(LOG, model)
    best, scores = lists(run, 6)
    chance = torch.full_like(scores, 1 / 6) if temperature is None else torch.softmax(scores / temperature, 1)
    owner, items = drawn(FromRun(run, num=50, depth=6, temperature=temperature))
    for u in owner.unique().tolist():
        expected = torch.zeros(LOG.num_items, dtype=torch.float64).index_copy(0, best[u], chance[u].double())
        assert fits(torch.bincount(items[owner == u], minlength=LOG.num_items).double(), expected), u


def test_expected_counts_are_those_of_the_law():
    run = worlds.finished_run(LOG)
    best, scores = lists(run, 5)
    sampler = FromRun(run, num=7, depth=5, temperature=2.0)
    step = worlds.step_of(sampler, log=LOG)
    batch = worlds.first_batch(step)
    count = sampler.log_count(worlds.view_of(step, batch), torch.arange(LOG.num_items)[None]).exp()
    expected = torch.zeros(len(batch), LOG.num_items).scatter(1, best[batch.owner], 7 * torch.softmax(scores / 2, 1)[batch.owner])
    torch.testing.assert_close(count, expected)


def test_a_user_who_has_everything_has_no_candidate_and_short_lists_are_short():
    items = torch.tensor([0, 1, 2, 0, 1], dtype=torch.int32)
    log = Log(items, torch.tensor([0, 3, 5]), 3)
    sampler = FromRun(worlds.finished_run(log), num=4, depth=10)
    step = worlds.step_of(sampler, log=log)
    batch = step.examples.batch(torch.arange(5))
    draw = sampler(worlds.view_of(step, batch))
    assert draw.valid.tolist() == [[False] * 4] * 3 + [[True] * 4] * 2
    assert draw.ids()[3:].eq(2).all()


def test_it_is_a_part_of_mixtures_and_a_base():
    run = worlds.finished_run(LOG)
    step = worlds.step_of(TopK(Mix({"mined": FromRun(run, num=5), "random": Uniform(5)}), k=3), log=LOG)
    assert torch.isfinite(step(worlds.first_batch(step), 1, 0))


def test_refusals(monkeypatch):
    run = worlds.finished_run(LOG)
    for options, message in (({"depth": 0}, "depth is 0"), ({"temperature": 0.0}, "temperature is 0"), ({"num": 0}, "num is 0")):
        with pytest.raises(ValueError, match=message):
            FromRun(run, **options)
    with pytest.raises(RunError, match="another training log"):
        worlds.step_of(FromRun(worlds.finished_run(worlds.users(seed=2))), log=LOG)
    monkeypatch.setattr("recsys.sampling.from_run.LARGEST", 100)
    with pytest.raises(ConfigError, match="take a smaller depth"):
        worlds.step_of(FromRun(run), log=LOG)
