from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data.log import Histories, Log
from recsys.errors import RunError
from recsys.models import IALS
from recsys.models import ials as module
from recsys.testing import worlds


def fitted(log: Log, **knobs: Any) -> IALS:
    model = IALS(**{"factors": 6, "regularization": 2.0, "alpha": 10.0, **knobs})
    (epoch,) = model.fit(log)
    assert epoch.rows == len(log)
    return model


def solved(x: np.ndarray, other: np.ndarray, alpha: float, ridge: float) -> np.ndarray:
    """The exact half step of each row of x, one after the other, with confidences as a dense diagonal."""
    rows = []
    for row in x:
        c = np.diag(np.where(row > 0, alpha, 1.0))
        rows.append(np.linalg.solve(other.T @ c @ other + ridge * np.eye(other.shape[1]), other.T @ c @ row))
    return np.stack(rows)


LOG = worlds.users(num_users=40, events=800)


@pytest.mark.parametrize("log", [LOG, worlds.sessions()], ids=["users", "sessions"])
def test_it_ends_in_a_fixed_point_of_the_least_squares_steps(log: Log) -> None:
    model = fitted(log, iterations=400, use_cg=False)
    user, item, x = model.user.double().numpy(), model.item.double().numpy(), worlds.dense(log)
    assert np.abs(item).max() > 0.1
    assert np.allclose(solved(x.T, user, 10.0, 2.0), item, atol=1e-3)  # items are solved last, and the users they were solved for
    assert np.allclose(solved(x, item, 10.0, 2.0), user, atol=5e-3)  # have stopped moving


def test_conjugate_gradients_come_to_the_same_loss() -> None:
    x = worlds.dense(LOG)

    def loss(model: IALS) -> float:
        user, item = model.user.double().numpy(), model.item.double().numpy()
        return float((np.where(x > 0, 10.0, 1.0) * (x - user @ item.T) ** 2).sum() + 2.0 * ((user**2).sum() + (item**2).sum()))

    exact, steps, start = (loss(fitted(LOG, **k)) for k in ({"iterations": 50, "use_cg": False}, {"iterations": 50}, {"iterations": 1}))
    assert steps == pytest.approx(exact, rel=0.02)
    assert start > 1.05 * steps


def test_an_unknown_owner_gets_the_exact_step_for_its_distinct_items(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(LOG)
    lists = [[1, 4, 9], [4, 4, 1, 9, 1], [], [0], list(range(30))]
    x = np.zeros((5, LOG.num_items))
    for row, items in enumerate(lists):
        x[row, items] = 1
    expected = solved(x, model.item.double().numpy(), 10.0, 2.0)
    for floats in (1, 2 * 6 * 30, 1 << 24):
        monkeypatch.setattr(module, "FLOATS", floats)
        assert np.allclose(model.vectors(Histories.of(lists))[0], expected, atol=1e-4)
    assert not expected[2].any()


def test_it_folds_in_as_implicit_does() -> None:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse

    model = fitted(LOG)
    theirs = AlternatingLeastSquares(factors=6, regularization=2.0, alpha=10.0)
    theirs.user_factors, theirs.item_factors = model.user.numpy(), model.item.numpy()
    rows = sparse.csr_matrix(worlds.dense(LOG).astype(np.float32))
    expected = theirs.recalculate_user(np.arange(LOG.num_owners), rows)
    known = LOG.histories()
    stranger = Histories(known.items, known.start, known.stop, torch.full_like(known.owner, -1))
    assert np.allclose(model.vectors(stranger)[0], expected, atol=1e-4)


def test_known_and_unknown_owners_may_be_asked_together() -> None:
    model = fitted(LOG)
    query, item = model.vectors(Histories.of([[1], [1], [5]], owner=torch.tensor([7, -1, 2])))
    assert torch.equal(query[[0, 2]], model.user[[7, 2]]) and torch.equal(item, model.item)
    assert torch.equal(query[1:2], model.vectors(Histories.of([[1]]))[0])


def test_the_seed_decides_and_threads_do_not() -> None:
    one = fitted(LOG)
    torch.set_num_threads(3)
    again, other = fitted(LOG), fitted(LOG, seed=1)
    assert torch.equal(one.user, again.user) and torch.equal(one.item, again.item)
    assert not torch.allclose(one.item, other.item)


def test_without_implicit_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    with pytest.raises(RunError, match=r"not installed: pip install 'recsys-axes\[baselines\]'"):
        next(iter(IALS().fit(LOG)))


@pytest.mark.parametrize("wrong", [{"factors": 0}, {"regularization": 0.0}, {"alpha": 0.5}, {"iterations": 0}])
def test_a_wrong_knob_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        IALS(**wrong)
