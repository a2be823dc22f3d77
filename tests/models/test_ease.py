from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data.log import Histories, Log
from recsys.errors import RunError
from recsys.models import EASE
from recsys.models import ease as module
from recsys.testing import worlds


def fitted(log: Log, penalty: float) -> EASE:
    model = EASE(penalty=penalty)
    (epoch,) = model.fit(log)
    assert epoch.rows == len(log)
    return model


def regressed(x: np.ndarray, penalty: float) -> np.ndarray:
    """Each item on all the others, one ridge regression after the other."""
    weights = np.zeros((x.shape[1],) * 2)
    for j in range(x.shape[1]):
        others = np.delete(np.arange(x.shape[1]), j)
        a = x[:, others]
        weights[others, j] = np.linalg.solve(a.T @ a + penalty * np.eye(len(others)), a.T @ x[:, j])
    return weights


@pytest.mark.parametrize("owners", [50, 90])
@pytest.mark.parametrize("rows", [1, 7, 512])
@pytest.mark.parametrize("penalty", [0.5, 80.0])
def test_it_is_the_ridge_regression_of_each_item_on_all_others(
    owners: int, rows: int, penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    log = worlds.users(num_users=owners, events=900)
    assert np.allclose(fitted(log, penalty).weight, regressed(worlds.dense(log), penalty), atol=2e-5)


@pytest.mark.parametrize("memory", [None, 4 * (60**2 + 50**2) - 1])
def test_with_fewer_owners_than_items_it_is_solved_from_their_side_if_there_is_room(memory: int | None, monkeypatch) -> None:
    sizes: list[int] = []
    sweep = module._sweep
    monkeypatch.setattr(module, "_sweep", lambda matrix: (sizes.append(len(matrix)), sweep(matrix)))
    monkeypatch.setattr(module, "available_memory", lambda: memory)
    log = worlds.users(num_users=50, events=900)
    assert (log.num_owners, log.num_items) == (50, 60)
    assert np.allclose(fitted(log, 3.0).weight, regressed(worlds.dense(log), 3.0), atol=2e-5)
    assert sizes == [50 if memory is None else 60]


def test_two_items_worked_by_hand() -> None:
    """Owners {0, 1}, {0}: of one variable the coefficient is n_01 / (n_i + penalty)."""
    log = worlds._log(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0]), 2, 2, "user")
    assert torch.allclose(fitted(log, 3.0).weight, torch.tensor([[0, 1 / 5], [1 / 4, 0]]))


def test_scores_are_sums_over_distinct_items_of_a_session() -> None:
    log = worlds.sessions()
    model = fitted(log, 10.0)
    assert np.allclose(model.weight, regressed(worlds.dense(log), 10.0), atol=2e-5)  # repeats are one pair
    scores = model.scores(Histories.of([[3, 5, 3, 3], [], [7]]))
    assert torch.allclose(scores, torch.stack([model.weight[3] + model.weight[5], torch.zeros(60), model.weight[7]]))


def test_an_item_without_events_has_no_weights() -> None:
    log = worlds._log(torch.tensor([0, 0, 1]), torch.tensor([0, 2, 0]), 2, 4, "user")
    weight = fitted(log, 1.0).weight
    assert not weight[[1, 3]].any() and not weight[:, [1, 3]].any() and weight[0, 2] > 0


def test_a_matrix_that_does_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: 3 * 2**30)
    log = worlds._log(torch.tensor([0]), torch.tensor([0]), 1, 40_000, "user")
    with pytest.raises(RunError, match=r"EASE needs 6\.0 GiB for the weights of 40,000 x 40,000 items, and 3\.0 GiB are free; take SLIM"):
        next(iter(EASE().fit(log)))


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("inf")])
def test_a_wrong_penalty_is_refused(penalty: float) -> None:
    with pytest.raises(ValueError, match="penalty"):
        EASE(penalty=penalty)
