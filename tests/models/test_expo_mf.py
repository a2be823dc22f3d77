from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data.log import Histories, Log
from recsys.errors import RunError
from recsys.models import ExpoMF
from recsys.models import expo_mf as module
from recsys.testing import worlds


def fitted(log: Log, **knobs: float) -> ExpoMF:
    model = ExpoMF(**{"dim": 5, "init_std": 0.1, **knobs})  # type: ignore[arg-type]
    (epoch,) = model.fit(log)
    assert epoch.rows == len(log)
    return model


def by_loops(
    log: Log, *, dim: int, iterations: int, precision: float, penalty: float, init: tuple[np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """The same by one user and one item at a time, in float64: vectors and priors."""
    click = np.zeros((log.num_owners, log.num_items))
    click[log.owners.numpy(), log.items.numpy()] = 1
    user, item = (x.astype(float) for x in init)
    mu = np.full(log.num_items, 0.01)

    def exposed() -> np.ndarray:
        density = np.sqrt(precision / 2 / np.pi) * np.exp(-precision / 2 * (user @ item.T) ** 2)
        return np.where(click > 0, 1.0, mu * density / (mu * density + 1 - mu))

    for _ in range(iterations):
        w = exposed()
        for u in range(len(user)):
            gram = precision * (item * w[u][:, None]).T @ item + penalty * np.eye(dim)
            user[u] = np.linalg.solve(gram, precision * item.T @ (w[u] * click[u]))
        w = exposed()
        for i in range(len(item)):
            gram = precision * (user * w[:, i][:, None]).T @ user + penalty * np.eye(dim)
            item[i] = np.linalg.solve(gram, precision * user.T @ (w[:, i] * click[:, i]))
        mu = exposed().sum(0) / len(user)
    return [user, item, mu]


def test_it_is_the_em_algorithm_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOATS", 400)  # several blocks
    log = worlds.users()
    init = fitted(log, iterations=1)  # for its sizes only
    stream = module.generator(3, "expo_mf")
    start = [torch.randn(n, 5, generator=stream).numpy() * 0.1 for n in (len(init.user), len(init.item))]
    model = fitted(log, iterations=3, precision=2.0, penalty=0.05, seed=3)
    user, item, mu = by_loops(log, dim=5, iterations=3, precision=2.0, penalty=0.05, init=(start[0], start[1]))
    assert np.allclose(model.user, user, atol=2e-4) and np.allclose(model.item, item, atol=2e-4) and np.allclose(model.mu, mu, atol=1e-5)


def test_certain_exposure_is_least_squares_over_all_pairs() -> None:
    """With mu = 1 nothing is unseen, and the model is matrix factorisation of zeros and ones, all weighing the same."""
    log = worlds.users()
    model = ExpoMF(dim=4)
    click = torch.zeros(log.num_owners, log.num_items, dtype=torch.bool)
    click[log.owners, log.items.long()] = True
    other = torch.randn(log.num_items, 4, generator=module.generator("other"))
    solved = model._half(click, torch.randn(log.num_owners, 4, generator=module.generator("row")), other, torch.ones(log.num_items))
    expected = torch.linalg.lstsq(other, click.float().T).solution.T
    assert torch.allclose(solved, expected, atol=1e-4)


def test_popular_items_are_likelier_exposed_and_an_unexpected_miss_is_likelier_unseen() -> None:
    log = worlds.users(num_users=200, events=3000)
    model = fitted(log, iterations=10, precision=4.0, penalty=0.1)
    assert np.corrcoef(model.mu, log.counts)[0, 1] > 0.8
    weight = model._posterior(torch.zeros(3, dtype=torch.bool), torch.tensor([0.0, 0.5, 2.0]), torch.tensor(0.3))
    assert weight[0] > weight[1] > weight[2] > 0


def test_an_unknown_user_with_the_history_of_a_known_one_is_answered_alike() -> None:
    log = worlds.users(num_users=60, events=1500)
    model = fitted(log, iterations=15, penalty=0.5)
    known = log.histories()
    stranger = Histories(known.items, known.start, known.stop, torch.full_like(known.owner, -1))
    one, other = model.scores(known), model.scores(stranger)
    agreement = torch.nn.functional.cosine_similarity(one, other)
    assert agreement.mean() > 0.98
    assert not model.scores(Histories.of([[]])).any()


def test_more_pairs_than_fit_are_refused_before_they_are_made() -> None:
    owners = 200_000
    log = worlds._log(torch.arange(owners), torch.arange(owners) % 1000, owners, 1000, "user")
    with pytest.raises(RunError, match=r"holds all pairs at once.*200,000 users x 1,000 items: take WMF"):
        next(iter(ExpoMF().fit(log)))


@pytest.mark.parametrize(
    "wrong", [{"dim": 0}, {"precision": 0.0}, {"penalty": -1.0}, {"prior": (0.5, 1.0)}, {"start": 1.0}, {"iterations": 0}]
)
def test_a_wrong_knob_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ExpoMF(**wrong)  # type: ignore[arg-type]
