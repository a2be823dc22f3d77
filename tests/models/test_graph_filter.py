"""GraphFilter against the dense formulas of GF-CF and BSPM, integrated by an independent solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from recsys.data.log import Histories, Log
from recsys.models import GraphFilter
from recsys.models import graph_filter as module
from recsys.testing import worlds

LOG = worlds.users()


def pieces(log: Log, factors: int):
    """X, Y'Y and the ideal low-pass filter, dense, in float64."""
    x = np.zeros((log.num_owners, log.num_items))
    x[log.owners.numpy(), log.items.numpy()] = 1
    owners, items = x.sum(1), x.sum(0)
    y = x / np.sqrt(np.where(owners > 0, owners, 1))[:, None] / np.sqrt(np.where(items > 0, items, 1))
    v = np.linalg.svd(y, full_matrices=False)[2][:factors].T
    root = np.sqrt(items)
    low = (v / np.where(root > 0, root, 1)[:, None]) @ (v * root[:, None]).T
    return x, y.T @ y, low


def fitted(**options) -> GraphFilter:
    model = GraphFilter(**options)
    assert len(list(model.fit(LOG))) == 1
    return model


def close(found: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=2e-5)


def test_linear_filter():
    x, p, _ = pieces(LOG, 1)
    close(fitted(low_pass=0.0).scores(LOG.histories()), x @ p)


def test_linear_and_ideal_filter():
    x, p, low = pieces(LOG, 10)
    close(fitted(factors=10, low_pass=0.7).scores(LOG.histories()), x @ p + 0.7 * x @ low)


def test_factors_of_a_catalogue_wider_than_the_krylov_space():
    log = worlds.users(num_users=400, num_items=500, events=6000)
    model = GraphFilter(factors=16, low_pass=1.0)
    list(model.fit(log))
    _, p, _ = pieces(log, 16)
    vectors = (model.back.double() / log.counts.double().clamp(min=1).sqrt()[:, None]).numpy()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(16), atol=1e-5)
    kept, largest = np.trace(vectors.T @ p @ vectors), np.linalg.eigvalsh(p)[-16:].sum()
    assert 0.999 * largest < kept < 1.00001 * largest


def test_more_factors_than_the_rank_of_the_log():
    log = worlds.users(num_users=6, num_items=500, events=300)
    model = GraphFilter(factors=100, low_pass=1.0)
    list(model.fit(log))
    x, p, low = pieces(log, 6)
    vectors = model.back / log.counts.clamp(min=1).sqrt()[:, None]
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(6), atol=1e-5, rtol=0)
    close(model.scores(log.histories()), x @ p + x @ low)


@pytest.mark.parametrize("merge", ["early", "late"])
def test_sharpening_is_runge_kutta_4_of_the_differential_equation(merge):
    x, p, low = pieces(LOG, 10)
    start, rest = (x @ p + 0.5 * x @ low, 0) if merge == "early" else (x @ p, 0.5 * x @ low)

    def slope(y):
        return -y @ p

    h, y = 1.5, start
    for _ in range(2):  # the classical scheme, stage by stage
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    close(fitted(factors=10, low_pass=0.5, sharpen=3.0, steps=2, merge=merge).scores(LOG.histories()), y + rest)


def test_many_steps_tend_to_the_exact_solution():
    x, p, _ = pieces(LOG, 1)
    exact = x @ p @ expm(-2.0 * p)
    error = [np.abs(fitted(low_pass=0.0, sharpen=2.0, steps=n).scores(LOG.histories()).numpy() - exact).max() for n in (1, 3)]
    assert error[1] < error[0] / 20 and error[1] < 1e-3  # of fourth order: 3^4 = 81 times less
    row = solve_ivp(lambda _, y: -y @ p, (0, 2.0), (x @ p)[0], rtol=1e-8, atol=1e-10).y[:, -1]
    np.testing.assert_allclose(exact[0], row, atol=1e-6)


def test_blocks_of_columns_do_not_matter(monkeypatch):
    model = fitted(factors=5, sharpen=1.0)
    whole = model.scores(LOG.histories())
    monkeypatch.setattr(module, "COLUMNS", 7)
    torch.testing.assert_close(model.scores(LOG.histories()), whole)


def test_repeats_count_once_and_an_empty_history_scores_nothing():
    model = fitted()
    found = model.scores(Histories.of([[3, 3, 5], [3, 5], []]))
    assert torch.equal(found[0], found[1])
    assert found[2].eq(0).all()


def test_items_without_an_owner_score_0():
    log = Log(LOG.items, LOG.offsets, LOG.num_items + 2)
    model = GraphFilter(sharpen=1.0)
    list(model.fit(log))
    assert model.scores(log.histories())[:, -2:].eq(0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": 0}, "factors is 0"),
        ({"low_pass": -1.0}, "low_pass is -1.0"),
        ({"sharpen": float("inf")}, "sharpen is inf"),
        ({"steps": 0}, "steps is 0"),
        ({"merge": "middle"}, "allowed are 'early' and 'late'"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        GraphFilter(**options)
