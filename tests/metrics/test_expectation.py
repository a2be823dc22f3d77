"""The expectation of sampled metrics, from exact ranks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import hypergeom
from torch import Tensor

from recsys.errors import RecsysError
from recsys.evaluation import mean
from recsys.metrics import (
    F1,
    MAP,
    MRR,
    NDCG,
    DCGLog2Rank,
    HitRate,
    MAPUnnormalized,
    Metric,
    NDCGUncapped,
    Precision,
    Ranking,
    Recall,
    RecallCapped,
    expected_sampled,
    metric,
)
from recsys.ranks import Ranks


def ranks(rank: list[int], candidates: int, relevant: int | None = None) -> Ranks:
    """Of one query."""
    known = torch.tensor(rank, dtype=torch.long)
    return Ranks(known, torch.zeros_like(known), torch.tensor([candidates]), torch.tensor([len(rank) if relevant is None else relevant]))


def test_by_hand():
    """Of 4 others 2 stand before the relevant item, 2 of 4 are drawn: none of the better ones with probability 1 / 6, one with 4 / 6."""
    given = ranks([3], 5)
    assert expected_sampled(HitRate(1), given, 2).item() == pytest.approx(1 / 6, abs=1e-12)
    assert expected_sampled(MRR(2), given, 2).item() == pytest.approx(1 / 6 + 4 / 6 / 2, abs=1e-12)
    assert expected_sampled(NDCG(3), given, 2).item() == pytest.approx(1 / 6 + 4 / 6 / math.log2(3) + 1 / 6 / 2, abs=1e-12)
    assert expected_sampled(Recall(1), ranks([0, 1], 5, 3), 2).item() == pytest.approx(1 / 3, abs=1e-12)
    assert expected_sampled(Recall(1), ranks([0, 0], 5), 2).item() == 0.0
    assert math.isnan(expected_sampled(Recall(1), ranks([], 5), 2).item())


def test_with_all_others_drawn_it_is_the_exact_metric():
    given = ranks([3, 4, 9], 12, 5)
    for num in (9, 99, None):
        assert expected_sampled(NDCG(4), given, num).item() == pytest.approx(
            (1 / 2 + 1 / math.log2(5)) / sum(1 / math.log2(r + 1) for r in range(1, 5)), abs=1e-12
        )


@pytest.mark.parametrize("rank", [1, 2, 50, 400, 39_000, 40_000])
@pytest.mark.parametrize("num", [1, 99, 5000])
def test_the_law_of_a_rank_is_hypergeometric(rank: int, num: int):
    found = [expected_sampled(HitRate(k), ranks([rank], 40_000), num).item() for k in (1, 5, 20)]
    expected = [hypergeom.cdf(k - 1, 39_999, rank - 1, num) for k in (1, 5, 20)]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("kind", [Recall, RecallCapped, Precision, F1, HitRate, MRR, MAP, NDCG, NDCGUncapped, DCGLog2Rank, MAPUnnormalized])
@pytest.mark.parametrize("k", [2, 4])
def test_it_is_the_mean_over_all_samples(kind: type[Metric], k: int):
    """Every sample of 3 of 6 others, with relevant items at ranks 3, 4, 6 and 9 of 10 and one that is unknown."""
    at, values = {3, 4, 6, 9}, []
    for chosen in itertools.combinations(sorted(set(range(1, 11)) - at), 3):
        hits = torch.tensor([[r in at for r in sorted({*at, *chosen})]])
        lists = torch.arange(7)[None]
        values.append(kind(k).measure(Ranking(lists, -lists.double(), hits, torch.tensor([5]), torch.ones(10).long())).item())
    assert expected_sampled(kind(k), ranks([9, 3, 6, 4, 0], 10, 5), 3).item() == pytest.approx(np.mean(values), abs=1e-12)
    assert len(set(values)) > 1 or (kind, k) == (HitRate, 4)


def test_a_query_depends_on_its_own_ranks_alone():
    one, two = ranks([3, 9], 50), ranks([2, 7, 8, 1], 40, 6)
    both = Ranks(*(torch.cat([a, b + (n == 1)]) for n, (a, b) in enumerate(zip(two, one, strict=True))))
    each = [expected_sampled(MAP(5), x, 10).item() for x in (two, one)]
    assert expected_sampled(MAP(5), both, 10).tolist() == each


def test_a_metric_whose_terms_are_not_separate_is_refused():
    class Squared(NDCG):
        """The square of ndcg: what a hit adds depends on the ranks of the others."""

        def measure(self, ranking: Ranking) -> Tensor:
            return super().measure(ranking) ** 2

    with pytest.raises(RecsysError, match="squared@5 is no sum over relevant items"):
        expected_sampled(Squared(5), ranks([2, 4], 10), 3)
    with pytest.raises(RecsysError, match="at least 1"):
        expected_sampled(Recall(5), ranks([1, 3], 10), 0)


def test_99_sampled_candidates_swap_the_order_of_two_models():
    """One has the answer at rank 1 for a fifth of the queries and in the middle for the others, one at rank 200 of 10,000 for all: the
    first is the better one at the top, and the second is said to be, in the manner of Krichene and Rendle (2020)."""
    size, items = 50, 10_000
    query, relevant = torch.arange(size), torch.ones(size, dtype=torch.long)
    one = Ranks(torch.tensor([1, 5000, 5000, 5000, 5000] * (size // 5)), query, torch.full((size,), items), relevant)
    two = one._replace(rank=torch.full((size,), 200))
    for name in ("hit_rate@10", "ndcg@10", "mrr@10"):
        said = {num: [mean(expected_sampled(metric(name), each, num)) for each in (one, two)] for num in (None, 99, 9000)}
        print(*(f"{name} {num or 'exact'}: {first:.3f} {second:.3f}" for num, (first, second) in said.items()), sep="; ")
        assert said[None] == [pytest.approx(0.2, abs=1e-12), 0.0]
        assert said[99][1] > 1.5 * said[99][0] and said[9000][0] > said[9000][1]
