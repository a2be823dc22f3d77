"""S-POP, transitions and neighbouring sessions, worked by hand and by slow loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.data.log import Histories, Log
from recsys.models import Markov, SessionKNN, SessionPopular
from recsys.recommender import ClosedForm
from recsys.testing import worlds
from recsys.testing.models import check_model


def log_of(*sessions: list[int], items: int) -> Log:
    owner = torch.tensor([number for number, session in enumerate(sessions) for _ in session])
    return worlds._log(owner, torch.tensor([item for session in sessions for item in session]), len(sessions), items, "session")


def scores(model: ClosedForm, log: Log, *lists: list[int]) -> torch.Tensor:
    model.solve(log)
    return model.scores(Histories.of(list(lists)))


def test_session_popular_counts_the_session_then_all() -> None:
    log = log_of([0, 1, 1, 2], [1, 3], items=4)  # 1, 3, 1, 1 events
    found = scores(SessionPopular(), log, [2, 3, 2], [])
    wanted = torch.tensor([[0.25, 0.75, 2.25, 1.25], [0.25, 0.75, 0.25, 0.25]])
    torch.testing.assert_close(found, wanted)


def test_transitions_are_smoothed_by_popularity() -> None:
    """From 0: to 1 twice, to 2 once. Shares of the 7 events: 2/7, 3/7, 2/7, 0."""
    log = log_of([0, 1, 1], [0, 1], [2, 2], items=4)
    log = replace(log, items=torch.tensor([0, 1, 1, 0, 1, 2, 2], dtype=torch.int32))
    share = torch.tensor([2, 3, 2, 0]) / 7
    found = scores(Markov(smoothing=0.5), log, [2, 0], [3], [])
    torch.testing.assert_close(found[0], (torch.tensor([0.0, 2, 0, 0]) + 0.5 * share) / 2.5)
    torch.testing.assert_close(found[1], share)  # followed by nothing
    torch.testing.assert_close(found[2], share)
    torch.testing.assert_close(found.sum(1), torch.ones(3))


def test_sequential_rules_weigh_by_distance() -> None:
    log = log_of([0, 1, 2, 0, 3], [3, 0], items=4)
    found = scores(Markov(window=3, smoothing=1e-6), log, [0])
    follows = torch.tensor([1 / 3, 1.0, 1 / 2, 1.0])  # from the first 0: 1, 2 and 0; from the second: 3
    torch.testing.assert_close(found[0], follows / follows.sum(), atol=1e-5, rtol=1e-5)


def slow(log: Log, lists: list[list[int]], k: int, sample: int, linear: bool, idf: bool, end: list[int]) -> np.ndarray:
    sessions = [log.items[a:b].tolist() for a, b in zip(log.offsets[:-1].tolist(), log.offsets[1:].tolist(), strict=True)]
    latest = sorted(range(len(sessions)), key=lambda s: (end[s], s), reverse=True)
    out = np.zeros((len(lists), log.num_items))
    for row, asked in enumerate(lists):
        weight = {item: ((at + 1) / len(asked) if linear else 1.0) for at, item in enumerate(asked)}  # the last place stands
        near = [s for s in latest if set(sessions[s]) & set(asked)][:sample]
        similar = {
            s: sum(weight[i] for i in set(sessions[s]) & set(asked)) / np.sqrt(len(set(asked)) * len(set(sessions[s]))) for s in near
        }
        best = sorted(near, key=lambda s: -np.float32(similar[s]))[:k]  # stable: of equal ones the later
        for s in best:
            for item in set(sessions[s]):
                number = sum(item in other for other in sessions)
                out[row, item] += similar[s] * (np.log(len(sessions) / number) if idf else 1)
    return out


@pytest.mark.parametrize(("k", "sample"), [(3, 5), (4, 1000), (100, 1000)])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.parametrize("clock", [False, True])
def test_neighbours_are_the_nearest_of_the_latest(k: int, sample: int, linear: bool, idf: bool, clock: bool) -> None:
    log = worlds.sessions(50, num_items=25)
    end = list(range(50))
    if clock:
        end = torch.randperm(50, generator=torch.Generator().manual_seed(1)).tolist()
        log = replace(log, time=torch.tensor(end).repeat_interleave(log.offsets.diff()))
    lists = [[3, 4, 3], [1], [], [0, 2, 8, 8, 1, 3, 20]]
    model = SessionKNN(k=k, sample=sample, weighting="linear" if linear else "none", idf=idf)
    assert np.allclose(scores(model, log, *lists), slow(log, lists, k, sample, linear, idf, end), atol=1e-5)


def test_late_clicks_decide_where_they_weigh_more() -> None:
    log = log_of([0, 5], [1, 6], items=7)
    found = scores(SessionKNN(weighting="linear"), log, [0, 1])
    assert found[0, 6] > found[0, 5] > 0
    assert scores(SessionKNN(), log, [0, 1])[0, 5] == scores(SessionKNN(), log, [0, 1])[0, 6]


def test_it_conforms_with_weights_too() -> None:
    check_model(SessionKNN(weighting="linear"), personal=False)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Markov(window=0), "window"),
        (lambda: Markov(smoothing=0.0), "smoothing"),
        (lambda: SessionKNN(k=0), "k is 0"),
        (lambda: SessionKNN(k=5, sample=4), "sample is 4 and k 5"),
        (lambda: SessionKNN(weighting="log"), "weighting"),
    ],
)
def test_wrong_options_are_refused(make, word: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=word):
        make()
