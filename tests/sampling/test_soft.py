from __future__ import annotations

import pytest
import torch

from recsys.losses import BPR
from recsys.sampling import All, SelfWeighted, Soft, Uniform
from recsys.step import Scored

from .given import fits, frequencies, valid_ids, view_of

SCORES = [1.0, 0.0, 0.5, 1.4, 3.0, -2.0]  # item 0 is the target


def softmax(temperature: float, without: tuple[int, ...] = (0,)) -> torch.Tensor:
    logit = torch.tensor(SCORES, dtype=torch.double) / temperature
    logit[list(without)] = -torch.inf
    return logit.softmax(0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_draws_follow_the_softmax(temperature: float):
    draw = Soft(All(), k=2, temperature=temperature)(view_of(SCORES, rows=20_000))
    pairs = torch.bincount(draw.ids()[:, 0] * 6 + draw.ids()[:, 1], minlength=36).double()
    assert fits(pairs, torch.outer(softmax(temperature), softmax(temperature)).flatten())


def test_limits_are_a_uniform_draw_and_the_hardest_candidate():
    view = view_of(SCORES, rows=20_000, seen=(0, 2))
    assert fits(frequencies(Soft(All(exclude="seen"), temperature=1e9)(view), 6), torch.tensor([0, 1, 0, 1, 1, 1], dtype=torch.double))
    assert valid_ids(Soft(All(exclude="seen"), k=3, temperature=1e-3)(view)) == [[4, 4, 4]] * 20_000


def test_on_average_it_is_the_weighted_mean_of_self_weighted():
    view = view_of(SCORES, rows=200_000)
    small = view_of(SCORES)
    exact = SelfWeighted(All(), alpha=2.0)(small)
    wanted = BPR()(Scored.of(small.batch, small.score, exact, small.catalog))
    draw = Soft(All(), temperature=0.5)(view)
    losses = BPR()(Scored.of(view.batch, view.score, draw, view.catalog))
    assert abs(float(losses.mean() - wanted)) < 5 * float(losses.std()) / 200_000**0.5
    assert float(losses.std()) > 0


def test_what_is_not_valid_is_never_drawn():
    draw = Soft(All(exclude="seen"), k=4)(view_of(SCORES, rows=2000, seen=(0, 3, 4, 5)))
    assert {item for row in valid_ids(draw) for item in row} == {1, 2} and draw.valid.all()
    assert valid_ids(Soft(All(exclude="seen"), k=2)(view_of([0.0, 1.0], rows=2, seen=(0, 1)))) == [[], []]


def test_it_promises_no_expected_counts():
    assert "log_count" in Uniform(3).gives(set()) and Soft(Uniform(3)).gives(set()) == {"negatives"}
    assert Soft(Uniform(3))(view_of(SCORES)).log_count is None


@pytest.mark.parametrize("wrong", [{"k": 0}, {"temperature": 0.0}, {"temperature": float("inf")}])
def test_refuses(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Soft(All(), **wrong)
