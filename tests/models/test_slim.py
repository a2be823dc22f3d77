from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet

from recsys.data.log import Histories, Log
from recsys.models import EASE, SLIM
from recsys.models import slim as module
from recsys.testing import worlds


def fitted(log: Log, **knobs: Any) -> SLIM:
    model = SLIM(**{"tolerance": 1e-7, "sweeps": 10_000, **knobs})
    (epoch,) = model.fit(log)
    assert epoch.rows == len(log)
    return model


def by_gram(x: np.ndarray, l1: float, l2: float, sweeps: int = 2000) -> np.ndarray:
    """The kernel's twin: coordinate descent on X'X, for all items at once and without candidates."""
    gram = x.T @ x
    weights = np.zeros_like(gram)
    for _ in range(sweeps):
        before = weights.copy()
        for i in range(len(gram)):
            weights[i] = (gram[i] - gram[i] @ weights + gram[i, i] * weights[i] - l1).clip(0) / (gram[i, i] + l2)
            weights[i, i] = 0
        if np.abs(weights - before).max() < 1e-9:
            break
    return weights


LOG = worlds.users(num_users=50, events=900)


@pytest.mark.parametrize("log", [LOG, worlds.sessions()], ids=["users", "sessions"])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 5.0), (1.5, 2.0), (0.01, 100.0)])
def test_it_is_coordinate_descent_on_the_gram_matrix(log: Log, l1: float, l2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = by_gram(worlds.dense(log), l1, l2)
    assert (expected > 0).any()
    for cells in (1, 7 * 60, 1 << 24):
        monkeypatch.setattr(module, "CELLS", cells)
        assert np.allclose(fitted(log, l1=l1, l2=l2).weights().toarray(), expected, atol=1e-5)


def test_it_is_the_elastic_net_of_another_library() -> None:
    x, alpha, ratio = worlds.dense(LOG), 0.08, 0.3
    weights = fitted(LOG, l1=len(x) * alpha * ratio, l2=len(x) * alpha * (1 - ratio)).weights().toarray()
    assert (weights > 0).mean() > 0.05
    for j in range(0, x.shape[1], 6):
        others = np.delete(np.arange(x.shape[1]), j)
        net = ElasticNet(alpha=alpha, l1_ratio=ratio, positive=True, fit_intercept=False, tol=1e-10, max_iter=100_000)
        assert np.allclose(weights[others, j], net.fit(x[:, others], x[:, j]).coef_, atol=1e-5)
        assert weights[j, j] == 0


def test_a_heavy_ridge_makes_every_weight_its_own_regression() -> None:
    """l2 -> infinity: w_ij -> n_ij / l2, which EASE goes to as well."""
    ease = EASE(penalty=1e5)
    for _ in ease.fit(LOG):
        pass
    weights = fitted(LOG, l1=0.0, l2=1e5, tolerance=1e-12).weights().toarray()
    assert np.allclose(weights, ease.weight, atol=1e-7) and weights.max() > 5e-5


def test_a_weight_needs_more_common_owners_than_l1() -> None:
    both = worlds.dense(LOG).T @ worlds.dense(LOG)
    weights = fitted(LOG, l1=4.0, l2=1.0).weights().toarray()
    assert (weights > 0).any() and not weights[both <= 4].any()
    assert fitted(LOG, l1=50.0).weights().nnz == 0


def test_candidates_are_the_nearest_by_cosine_and_all_of_them_are_no_choice() -> None:
    x = worlds.dense(LOG)
    cosine = x.T @ x / np.sqrt(np.outer(x.sum(0), x.sum(0))).clip(1)
    np.fill_diagonal(cosine, 0)
    few = fitted(LOG, l1=0.0, l2=10.0, candidates=5).weights().toarray()
    for j in range(x.shape[1]):
        chosen = sorted(range(x.shape[1]), key=lambda i: (-round(cosine[i, j], 12), i))[:5]
        assert set(few[:, j].nonzero()[0]) <= set(chosen)
        # the best that these five allow
        a = x[:, chosen]
        gradient = a.T @ (a @ few[chosen, j] - x[:, j]) + 10.0 * few[chosen, j]
        assert np.allclose(np.minimum(gradient, few[chosen, j]), 0, atol=1e-4)
    every = fitted(LOG, l1=0.0, l2=10.0, candidates=60).weights().toarray()
    assert np.array_equal(every, fitted(LOG, l1=0.0, l2=10.0).weights().toarray())


def test_threads_change_nothing() -> None:
    one = fitted(LOG, l2=5.0).weights().toarray()
    torch.set_num_threads(3)
    assert np.array_equal(fitted(LOG, l2=5.0).weights().toarray(), one)


def test_a_repeat_counts_once_and_nothing_gives_nothing() -> None:
    model = fitted(LOG, l2=5.0)
    scores = model.scores(Histories.of([[0, 2], [2, 0, 2], []]))
    assert scores[0].any() and torch.equal(scores[0], scores[1]) and not scores[2].any()


@pytest.mark.parametrize("wrong", [{"l1": -1.0}, {"l2": 0.0}, {"candidates": 0}, {"tolerance": 0.0}, {"sweeps": 0}])
def test_a_wrong_knob_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SLIM(**wrong)
