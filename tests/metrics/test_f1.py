from __future__ import annotations

import math

import pytest
import torch

from recsys.metrics import F1, Precision, Ranking, Recall, metric
from recsys.testing.metrics import some_ranking


def ranking(hits: list[list[int]], relevant: list[int]) -> Ranking:
    found = torch.tensor(hits, dtype=torch.bool)
    depth = found.shape[1]
    return Ranking(
        torch.arange(depth).expand_as(found),
        torch.arange(depth, 0, -1).double().expand(found.shape),
        found,
        torch.tensor(relevant),
        torch.ones(depth, dtype=torch.long),
    )


@pytest.mark.parametrize(
    ("k", "hits", "relevant", "expected"),
    [
        (5, [1, 0, 1, 0, 0], 3, 0.5),  # precision 2/5, recall 2/3
        (2, [1, 0, 1, 0, 0], 3, 0.4),  # precision 1/2, recall 1/3
        (1, [1], 1, 1.0),
        (4, [0, 1, 0, 0], 1, 0.4),  # precision 1/4, recall 1
        (4, [0, 0, 0, 0], 2, 0.0),  # neither: no division by 0
    ],
)
def test_hand_worked(k: int, hits: list[int], relevant: int, expected: float):
    assert F1(k).measure(ranking([hits], [relevant])).item() == pytest.approx(expected, abs=1e-15)


def test_nothing_relevant_is_undefined():
    assert math.isnan(F1(2).measure(ranking([[0, 0]], [0])).item())


@pytest.mark.parametrize("k", [1, 5, 20])
def test_it_is_the_harmonic_mean_of_precision_and_recall_of_each_query(k: int):
    given = some_ranking(25)
    precision, recall, found = Precision(k).measure(given), Recall(k).measure(given), F1(k).measure(given)
    hit = precision > 0
    assert hit.sum() > 50
    assert torch.allclose(found[hit], 2 / (1 / precision[hit] + 1 / recall[hit]), rtol=0, atol=1e-14)
    assert (found[~hit & ~found.isnan()] == 0).all()
    of_means = 2 / (1 / precision.nanmean() + 1 / recall.nanmean())
    assert abs(found.nanmean() - of_means) > 0.005


def test_it_is_asked_for_by_name():
    assert metric("f1@10").name == "f1@10" and isinstance(metric("F1@10"), F1)
