from __future__ import annotations

import pytest
import torch

from recsys.sampling import All, Ambiguous, TopK, Uniform

from .given import fits, frequencies, valid_ids, view_of

SCORES = [1.0, 0.0, 0.5, 1.4, 3.0, -2.0]  # item 0 is the target


def formula(a: float, b: float) -> torch.Tensor:
    scores = torch.tensor(SCORES, dtype=torch.double)
    p = torch.exp(-a * (scores - 1.0 - b) ** 2)
    p[0] = 0
    return p / p.sum()


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize(("a", "b"), [(1.0, 0.0), (0.5, -1.0), (0.0, 0.0)])
def test_draws_follow_the_formula(a: float, b: float, replacement: bool):
    draw = Ambiguous(All(), a=a, b=b, replacement=replacement)(view_of(SCORES, rows=20_000))
    assert fits(frequencies(draw, 6), formula(a, b))


def test_of_two_without_replacement_the_second_is_drawn_among_the_others():
    ids = Ambiguous(All(), k=2)(view_of(SCORES, rows=40_000)).ids()
    assert bool((ids[:, 0] != ids[:, 1]).all())
    p = formula(1.0, 0.0)
    second = sum(p[i] * p / (1 - p[i]) * (torch.arange(6) != i) for i in range(1, 6))
    assert fits(torch.bincount(ids[:, 1], minlength=6).double(), second)


def test_with_replacement_candidates_repeat():
    ids = Ambiguous(All(), k=2, replacement=True)(view_of(SCORES, rows=20_000)).ids()
    assert fits(torch.bincount(ids[:, 0] * 6 + ids[:, 1], minlength=36).double(), torch.outer(formula(1, 0), formula(1, 0)).flatten())


def test_by_hand_scores_at_equal_distance_have_equal_chances():
    """Target at 2: p of 1 and of 3 is e^-1 each, of 0 is e^-4; with b = -1 the one at 1 is the likeliest."""
    draw = Ambiguous(All())(view_of([2.0, 1.0, 3.0, 0.0], rows=20_000))
    e = torch.tensor(1.0, dtype=torch.double).exp()
    assert fits(frequencies(draw, 4), torch.tensor([0, 1 / e, 1 / e, e**-4]))
    moved = Ambiguous(All(), b=-1.0)(view_of([2.0, 1.0, 3.0, 0.0], rows=20_000))
    assert fits(frequencies(moved, 4), torch.tensor([0, 1, e**-4, 1 / e]))


def test_a_large_a_takes_those_nearest_to_the_positive():
    view = view_of([[1.0, 0.9, 5.0, 1.2, -3.0, 0.0], [1.0, 9.0, 8.0, 7.0, 6.0, 5.0]])
    assert valid_ids(Ambiguous(All(), k=2, a=1e6)(view)) == [[1, 3], [4, 5]]


def test_positives_are_never_drawn_and_short_rows_say_so():
    view = view_of([1.0, 1.0, 0.9, 1.1, 0.3, 2.0], rows=500, seen=(0, 1, 3, 4))
    for replacement in (False, True):
        draw = Ambiguous(TopK(All(exclude="seen"), k=4), k=3, replacement=replacement)(view)
        assert {item for row in valid_ids(draw) for item in row} == {2, 5}
    draw = Ambiguous(TopK(All(exclude="seen"), k=4), k=3)(view)
    assert valid_ids(draw) == [[2, 5]] * 500
    nothing = Ambiguous(All(exclude="seen"), k=2, replacement=True)(view_of([0.0, 1.0], rows=3, seen=(0, 1)))
    assert valid_ids(nothing) == [[], [], []]


def test_a_base_of_at_most_k_candidates_is_passed_on():
    view = view_of(SCORES, rows=4)
    draw = Ambiguous(Uniform(3), k=3)(view)
    assert torch.equal(draw.ids(), Uniform(3)(view_of(SCORES, rows=4)).ids())


@pytest.mark.parametrize("wrong", [{"k": 0}, {"a": -1.0}, {"a": float("inf")}, {"b": float("nan")}])
def test_refuses(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Ambiguous(All(), **wrong)
