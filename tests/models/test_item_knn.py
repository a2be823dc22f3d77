from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from recsys import item_item
from recsys.data.log import Histories, Log
from recsys.models import ItemKNN
from recsys.testing import worlds


def fitted(log: Log, **knobs: Any) -> ItemKNN:
    model = ItemKNN(**knobs)
    (epoch,) = model.fit(log)
    assert epoch.rows == len(log)
    return model


def by_loops(similarity: np.ndarray, k: int) -> np.ndarray:
    """W [history item, scored item]: the k nearest of each scored item, the lower code first among equals."""
    weights = np.zeros_like(similarity)
    for j in range(len(similarity)):
        others = sorted((i for i in range(len(similarity)) if i != j), key=lambda i: (-similarity[i, j], i))[:k]
        weights[others, j] = similarity[others, j]
    return weights


# Owners {0, 1}, {0, 1, 2}, {1, 2}, {1}: n = 2, 4, 2, and 0 of item 3; n_01 = 2, n_02 = 1, n_12 = 2
SMALL = worlds._log(torch.tensor([0, 0, 1, 1, 1, 2, 2, 3]), torch.tensor([0, 1, 0, 1, 2, 1, 2, 1]), 4, 4, "user")


@pytest.mark.parametrize(
    ("knobs", "s01", "s02", "s12"),
    [
        ({}, 2 / 8**0.5, 1 / 2, 2 / 8**0.5),
        ({"similarity": "jaccard"}, 2 / 4, 1 / 3, 2 / 4),
        ({"similarity": "dot"}, 2, 1, 2),
        ({"similarity": "dot", "shrinkage": 3.0}, 2 * 2 / 5, 1 / 4, 2 * 2 / 5),
        ({"similarity": "jaccard", "shrinkage": 1.0}, 2 / 4 * 2 / 3, 1 / 3 / 2, 2 / 4 * 2 / 3),
        (
            {"similarity": "dot", "weighting": "idf"},
            np.log(2) ** 2 + np.log(4 / 3) ** 2,
            np.log(4 / 3) ** 2,
            np.log(2) ** 2 + np.log(4 / 3) ** 2,
        ),
    ],
)
def test_similarities_worked_by_hand(knobs: dict[str, Any], s01: float, s02: float, s12: float) -> None:
    weights = fitted(SMALL, **knobs).weights().toarray()
    expected = np.array([[0, s01, s02, 0], [s01, 0, s12, 0], [s02, s12, 0, 0], [0, 0, 0, 0]])
    assert np.allclose(weights, expected, atol=1e-6)


def test_a_score_is_the_sum_over_the_neighbours_in_the_history_and_a_repeat_counts_once() -> None:
    model = fitted(SMALL, similarity="dot", k=1)  # nearest to 0: 1; to 1: 0 (a tie with 2); to 2: 1
    asked = Histories.of([[0], [1], [0, 2], [1, 1, 2, 1], [3], []])
    expected = torch.tensor([[0, 2, 0, 0], [2, 0, 2, 0], [0, 2, 0, 0], [2, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]]).float()
    assert torch.equal(model.scores(asked), expected)


def test_normalised_similarities_of_a_scored_item_add_up_to_one() -> None:
    weights = fitted(SMALL, normalize=True).weights().toarray()
    assert np.allclose(weights[:, 2], [0.5 / (0.5 + 2 / 8**0.5), 1 - 0.5 / (0.5 + 2 / 8**0.5), 0, 0])
    assert np.allclose(weights.sum(0), [1, 1, 1, 0])


def test_centring_predicts_the_deviation_from_the_mean_of_all_owners() -> None:
    log = worlds.users(num_users=50, events=900)
    x = worlds.dense(log)
    model = fitted(log, k=7, normalize=True, centre=True)
    expected = x.mean(0) + (x - x.mean(0)) @ model.weights().toarray()
    assert np.allclose(model.scores(log.histories()), expected, atol=1e-6)
    assert np.array_equal(model.weights().toarray(), fitted(log, k=7, normalize=True).weights().toarray())


@pytest.mark.parametrize("k", [1, 4, 200])
def test_it_is_the_cosine_of_another_library_in_blocks_of_any_size(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    log = worlds.users(num_users=50, events=900)
    expected = by_loops(cosine_similarity(worlds.dense(log).T).astype(np.float32), k)
    for size in (1, 5000, 1 << 24):
        monkeypatch.setattr(item_item, "BLOCK", size)
        assert np.allclose(fitted(log, k=k).weights().toarray().sum(0), expected.sum(0), atol=1e-5)
    if k == 200:
        assert np.allclose(fitted(log, k=k).weights().toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.0, 4.0])
def test_idf_is_a_cosine_of_weighted_owners(shrinkage: float) -> None:
    log = worlds.users(num_users=50, events=900)
    x = worlds.dense(log)
    weighted = x * np.log(log.num_items / x.sum(1))[:, None]
    both = x.T @ x
    expected = by_loops(cosine_similarity(weighted.T) * both / np.maximum(both + shrinkage, 1), 200)
    assert np.allclose(fitted(log, k=200, weighting="idf", shrinkage=shrinkage).weights().toarray(), expected, atol=1e-5)


def test_repeats_of_a_session_are_one_pair() -> None:
    log = worlds.sessions()
    assert len(log) > (worlds.dense(log) > 0).sum()
    expected = by_loops(cosine_similarity(worlds.dense(log).T), 200)
    assert np.allclose(fitted(log, k=200).weights().toarray(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [{"k": 0}, {"similarity": "pearson"}, {"shrinkage": -1.0}, {"weighting": "bm25"}, {"weighting": "idf", "similarity": "jaccard"}],
)
def test_a_wrong_knob_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ItemKNN(**wrong)
