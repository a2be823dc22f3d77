from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recsys import item_item
from recsys.data.log import Histories, Log
from recsys.models import ItemKNN, RP3beta
from recsys.testing import worlds


def fitted(log: Log, **knobs: Any) -> RP3beta:
    model = RP3beta(**knobs)
    (epoch,) = model.fit(log)
    assert epoch.rows == len(log)
    return model


def walked(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Transition probabilities to the power of alpha, then popularity to the power of beta, without pruning."""
    to_owner = (x / x.sum(0).clip(1)).T ** alpha
    to_item = (x / x.sum(1, keepdims=True).clip(1)) ** alpha
    weights = to_owner @ to_item / x.sum(0).clip(1) ** beta
    np.fill_diagonal(weights, 0)
    return weights


# Owners {0, 1}, {0, 1, 2}: from item 0 both owners with 1/2; from the first to item 1 with 1/2, from the second to 1 and 2 with 1/3
SMALL = worlds._log(torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 0, 1, 2]), 2, 3, "user")


def test_the_walk_worked_by_hand() -> None:
    a, b = 1 / 2 * (1 / 2 + 1 / 3), 1 / 2 * 1 / 3
    expected = np.array([[0, a, b], [a, 0, b], [1 / 3, 1 / 3, 0]])
    assert np.allclose(fitted(SMALL).weights().toarray(), expected)
    assert np.allclose(fitted(SMALL, beta=1.0).weights().toarray(), expected / [2, 2, 1])
    squared = np.array([[0, (1 / 4 + 1 / 9) / 4, 1 / 36], [(1 / 4 + 1 / 9) / 4, 0, 1 / 36], [1 / 9, 1 / 9, 0]])
    assert np.allclose(fitted(SMALL, alpha=2.0).weights().toarray(), squared)


def test_pruning_and_normalising_worked_by_hand() -> None:
    assert np.allclose(fitted(SMALL, k=1).weights().toarray(), [[0, 5 / 12, 0], [5 / 12, 0, 0], [1 / 3, 0, 0]])  # a tie: the lower code
    # each row then sums to 1, and of a scored item one weight is left: of the two for item 0 the first
    assert np.allclose(fitted(SMALL, k=1, normalize=True).weights().toarray(), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert np.allclose(fitted(SMALL, k=2, normalize=True).weights().toarray().sum(1), 1)


@pytest.mark.parametrize("log", [worlds.users(num_users=50, events=900), worlds.sessions()], ids=["users", "sessions"])
def test_it_is_a_product_of_transition_matrices_in_blocks_of_any_size(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = walked(worlds.dense(log), 0.6, 0.3)
    for size in (1, 3000, 1 << 24):
        monkeypatch.setattr(item_item, "BLOCK", size)
        assert np.allclose(fitted(log, k=200, alpha=0.6, beta=0.3).weights().toarray(), expected, rtol=1e-4)


def test_the_walk_of_a_user_is_the_product_of_three_steps_up_to_the_first() -> None:
    """The whole walk of a user who is known: X / h, to an owner, to an item."""
    log = worlds.users(num_users=50, events=900)
    x = worlds.dense(log)
    three = (x / x.sum(1, keepdims=True)) @ walked(x, 1.0, 0.0)
    scores = fitted(log, k=200).scores(log.histories()).numpy()
    assert np.allclose(scores / x.sum(1, keepdims=True), three, atol=1e-6)


def test_without_exponents_it_counts_owners_of_both() -> None:
    log = worlds.users(num_users=50, events=900)
    dots = ItemKNN(k=200, similarity="dot")
    for _ in dots.fit(log):
        pass
    assert np.array_equal(fitted(log, k=200, alpha=0.0).weights().toarray(), dots.weights().toarray())


def test_beta_takes_popular_items_back() -> None:
    log = worlds.users(num_users=50, events=900)
    asked = log.histories()
    mean = [log.counts[fitted(log, beta=beta).scores(asked).topk(5).indices].double().mean().item() for beta in (0.0, 0.5, 1.0)]
    assert mean[0] > mean[1] > mean[2]


def test_a_repeat_counts_once_and_nothing_gives_nothing() -> None:
    scores = fitted(SMALL).scores(Histories.of([[0, 2], [0, 2, 0, 2, 2], []]))
    assert torch.equal(scores[0], scores[1]) and not scores[2].any()


@pytest.mark.parametrize("wrong", [{"k": 0}, {"alpha": -0.1}, {"beta": -1.0}, {"alpha": float("inf")}])
def test_a_wrong_knob_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RP3beta(**wrong)
