"""Variants for parity with publications: what they are, and that they are not the default."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.metrics import MAP, NDCG, DCGLog2Rank, MAPUnnormalized, Metric, NDCGUncapped, Ranking
from recsys.testing.metrics import some_ranking

log2 = math.log2


def ranking(hits: list[list[int]], relevant: list[int]) -> Ranking:
    found = torch.tensor(hits, dtype=torch.bool)
    items = torch.arange(found.shape[1]).expand_as(found)
    return Ranking(items, -items.double(), found, torch.tensor(relevant), torch.ones(found.shape[1], dtype=torch.long))


@pytest.mark.parametrize(
    ("measure", "hits", "relevant", "expected"),
    [
        (NDCGUncapped(2), [1, 0], 4, 1 / (1 + 1 / log2(3) + 1 / 2 + 1 / log2(5))),
        (NDCGUncapped(2), [1, 1], 3, (1 + 1 / log2(3)) / (1 + 1 / log2(3) + 1 / 2)),  # the best list of two scores below 1
        (NDCGUncapped(3), [0, 1, 0], 1, 1 / log2(3)),
        (DCGLog2Rank(1), [1], 5, 1.0),
        (DCGLog2Rank(4), [0, 1, 0, 0], 1, 1.0),  # rank 2 weighs as much as rank 1
        (DCGLog2Rank(4), [1, 1, 1, 1], 4, 1 + 1 + 1 / log2(3) + 1 / 2),
        (MAPUnnormalized(4), [1, 0, 1, 0], 9, 1 + 2 / 3),
        (MAPUnnormalized(3), [1, 1, 1], 3, 3.0),
    ],
)
def test_hand_worked(measure: Metric, hits: list[int], relevant: int, expected: float):
    assert measure.measure(ranking([hits], [relevant])).item() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_uncapped_ideal_changes_queries_with_more_than_k_relevant_items_alone(k: int):
    given = some_ranking(25)
    plain, uncapped = NDCG(k).measure(given), NDCGUncapped(k).measure(given)
    few, many = (given.relevant > 0) & (given.relevant <= k), (given.relevant > k) & (plain > 0)
    assert few.sum() > 5 and many.sum() > 5
    assert torch.equal(uncapped[few], plain[few]) and (uncapped[many] < plain[many]).all()


def test_its_value_depends_on_no_other_query():
    few, most = ranking([[1, 0]], [2]), ranking([[1, 0], [0, 1]], [2, 5000])
    assert NDCGUncapped(2).measure(few)[0] == NDCGUncapped(2).measure(most)[0]


@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_unnormalized_sum_is_average_precision_times_its_normaliser(k: int):
    given = some_ranking(25)
    expected = MAP(k).measure(given) * given.relevant.clamp(max=k)
    assert torch.allclose(MAPUnnormalized(k).measure(given), expected, rtol=0, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("kind", [DCGLog2Rank, MAPUnnormalized, NDCGUncapped])
def test_nothing_relevant_is_left_out_and_the_publication_named(kind: type[Metric]):
    assert math.isnan(kind(2).measure(ranking([[0, 0]], [0])).item())
    assert "For parity with" in (kind.__doc__ or "")
