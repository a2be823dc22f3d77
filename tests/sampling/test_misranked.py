from __future__ import annotations

import pytest
import torch

from recsys.losses import BPR
from recsys.sampling import All, Misranked, Uniform
from recsys.testing import worlds

from .given import fits, frequencies, valid_ids, view_of

SCORES = [1.0, 0.0, 0.5, 1.4, 3.0, -2.0]  # item 0 is the target


def test_draws_uniformly_among_those_within_the_margin_and_no_other():
    one = Misranked(All(), margin=0.75)(view_of(SCORES, rows=20_000))
    assert fits(frequencies(one, 6), torch.tensor([0, 0, 1, 1, 1, 0], dtype=torch.double))
    two = Misranked(All(), k=2, margin=0.75)(view_of(SCORES, rows=20_000))
    pairs = {tuple(row) for row in valid_ids(two)}
    assert pairs == {(2, 3), (2, 4), (3, 4)}
    assert fits(frequencies(two, 6), torch.tensor([0, 0, 1, 1, 1, 0], dtype=torch.double))


def test_by_hand():
    """The margin is strict: a candidate exactly a margin below the positive does not violate it."""
    view = view_of([[1.0, 0.0, 0.25, 2.0], [5.0, 1.0, 2.0, 3.0], [0.0, -1.0, -0.5, -2.0]])
    assert valid_ids(Misranked(All(), k=3, margin=1.0)(view)) == [[2, 3], [], [2]]
    assert valid_ids(Misranked(All(), k=3, margin=0.0)(view)) == [[3], [], []]
    assert valid_ids(Misranked(All(), k=9, margin=2.5)(view)) == [[1, 2, 3], [3], [1, 2, 3]]


def test_is_the_item_at_which_warp_stops():
    """Trials one after the other from the same draws, until one violates the margin."""
    scores, rows = torch.tensor(SCORES), 40_000
    ids = Uniform(4)(view_of(SCORES, rows=rows, at=1)).ids()
    bad = scores[ids] > scores[0] - 0.75
    stopped = ids.gather(1, bad.int().argmax(1, keepdim=True))[:, 0][bad.any(1)]
    draw = Misranked(Uniform(4), margin=0.75)(view_of(SCORES, rows=rows, at=2))
    found = draw.ids()[:, 0][draw.valid[:, 0]]
    share = len(stopped) / rows
    assert abs(len(found) / rows - share) < 5 * (2 * share * (1 - share) / rows) ** 0.5
    assert share == pytest.approx(1 - (2 / 5) ** 4, abs=0.01)
    third = torch.tensor([0, 0, 1, 1, 1, 0], dtype=torch.double)
    assert fits(torch.bincount(stopped, minlength=6).double(), third)
    assert fits(torch.bincount(found, minlength=6).double(), third)


def test_an_infinite_margin_draws_uniformly_from_the_base():
    draw = Misranked(All(exclude="seen"), margin=float("inf"))(view_of(SCORES, rows=20_000, seen=(0, 4)))
    assert fits(frequencies(draw, 6), torch.tensor([0, 1, 1, 1, 0, 1], dtype=torch.double))


def test_what_is_not_valid_is_never_drawn():
    """Also where the model's own scores are infinitely far apart, and the margin is infinite."""
    view = view_of(SCORES, rows=300, seen=(0, 2, 3))
    assert {item for row in valid_ids(Misranked(All(exclude="seen"), k=2, margin=0.75)(view)) for item in row} == {4}
    far = Misranked(All(exclude="seen"), k=9, margin=float("inf"))(view)
    assert valid_ids(far) == [[1, 4, 5]] * 300


def test_rows_without_violators_are_worth_nothing_and_have_no_gradient():
    step = worlds.step_of(Misranked(Uniform(9), margin=0.0), BPR())
    with torch.no_grad():  # every target before everything else
        step.model.user.weight.fill_(1.0)
        step.model.item.weight.zero_()
        step.model.item.weight[worlds.first_batch(step).target] = 1.0
    value = step(worlds.first_batch(step), 1, 0)
    assert not bool(step.draw.valid.any())
    value.backward()
    assert float(value.detach()) == 0.0 and float(step.model.user.weight.grad.abs().sum()) == 0.0


@pytest.mark.parametrize("wrong", [{"k": 0}, {"margin": -0.1}, {"margin": float("nan")}])
def test_refuses(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Misranked(All(), **wrong)
