from __future__ import annotations

import torch
from scipy import stats

from recsys.data.log import Histories
from recsys.models import Random
from recsys.models.random import _mixed
from recsys.ranking import rank
from recsys.testing import worlds
from recsys.testing.models import fit


def test_every_item_is_as_likely_at_every_rank() -> None:
    """First and last places of 8,000 queries over 40 items: chi-square against uniform."""
    model = fit(Random(), worlds.checkerboard(40))
    asked = Histories.of([[]] * 8000, owner=torch.arange(8000))
    order = rank(model, asked, 40, mask_seen=False).items
    for place in (0, 17, 39):
        assert stats.chisquare(torch.bincount(order[:, place], minlength=40)).pvalue > 1e-3


def test_scores_are_uniform_and_those_of_two_queries_or_items_unrelated() -> None:
    model = fit(Random(), worlds.users(num_items=3000, events=4000))
    scores = model.scores(Histories.of([[]] * 300, owner=torch.arange(300)))
    assert stats.kstest(scores.flatten()[:100_000], "uniform").pvalue > 1e-3
    for table in (scores, scores.T[:300]):
        of = torch.corrcoef(table)
        assert (of - torch.eye(len(of))).abs().max() < 6 / table.shape[1] ** 0.5


def test_a_query_keeps_its_ranking_and_another_owner_history_or_seed_gets_its_own() -> None:
    log = worlds.users()
    model = fit(Random(), log)
    asked = Histories.of([[1, 2], [1, 2], [2, 1], [1, 2, 2], [1], []], owner=torch.tensor([3, 4, 3, 3, -1, -1]))
    scores = model.scores(asked)
    assert torch.equal(scores, fit(Random(), log).scores(asked))
    assert torch.equal(scores[4:], model.scores(asked.take(slice(4, None))))
    assert torch.equal(scores[0], scores[2])  # the order of a history is nothing
    kept = scores[[0, 1, 3, 4, 5]]
    assert len(torch.unique(kept, dim=0)) == 5
    assert not (fit(Random(seed=1), log).scores(asked) == scores).any()


def test_the_hash_is_the_finaliser_of_splitmix64() -> None:
    """The first three outputs of the generator from state 0, whose k-th state is k times the golden gamma; as published with it."""
    gamma = 0x9E3779B97F4A7C15 - 2**64
    found = [int(x) % 2**64 for x in _mixed(torch.arange(3) * gamma)]
    assert found == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
