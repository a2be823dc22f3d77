from __future__ import annotations

import pytest
import torch

from recsys.sampling import All, StochasticTopK, TopK, Uniform

from .given import fits, frequencies, valid_ids, view_of

SCORES = [1.0, 0.0, 0.5, 1.4, 3.0, -2.0]  # item 0 is the target
RANK = torch.tensor([torch.inf, 4.0, 3.0, 2.0, 1.0, 5.0], dtype=torch.double)


def weights(mode: str, beta: float) -> torch.Tensor:
    scores = torch.tensor(SCORES, dtype=torch.double)
    weight = {"softmax": torch.exp(beta * scores), "power": torch.sigmoid(scores) ** beta, "softrank": RANK**-beta}[mode]
    weight[0] = 0
    return weight / weight.sum()


@pytest.mark.parametrize("mode", ["softmax", "power", "softrank"])
@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_the_first_and_the_second_follow_the_formula(mode: str, beta: float):
    ids = StochasticTopK(All(), k=2, beta=beta, mode=mode)(view_of(SCORES, rows=40_000)).ids()  # type: ignore[arg-type]
    p = weights(mode, beta)
    pairs = p[:, None] * p / (1 - p[:, None]) * (1 - torch.eye(6))
    assert fits(torch.bincount(ids[:, 0] * 6 + ids[:, 1], minlength=36).double(), pairs.flatten())


@pytest.mark.parametrize("mode", ["softmax", "power", "softrank"])
def test_limits_are_a_uniform_draw_and_top_k(mode: str):
    view = view_of(SCORES, rows=20_000, seen=(0, 2))
    flat = StochasticTopK(All(exclude="seen"), beta=0.0, mode=mode)(view)  # type: ignore[arg-type]
    assert fits(frequencies(flat, 6), torch.tensor([0, 1, 0, 1, 1, 1], dtype=torch.double))
    few = view_of(SCORES, rows=50, seen=(0, 2))
    sharp = StochasticTopK(All(exclude="seen"), k=3, beta=1e6, mode=mode)(few)  # type: ignore[arg-type]
    assert valid_ids(sharp) == valid_ids(TopK(All(exclude="seen"), k=3)(few)) == [[1, 3, 4]] * 50


def test_softrank_does_not_see_the_scale_of_scores():
    small, large = view_of(SCORES, rows=100), view_of([1000 * s for s in SCORES], rows=100)
    one, two = (StochasticTopK(All(), k=2, mode="softrank")(view).ids() for view in (small, large))
    assert torch.equal(one, two)


@pytest.mark.parametrize("mode", ["softmax", "power", "softrank"])
def test_rows_with_too_few_candidates_get_those_they_have(mode: str):
    draw = StochasticTopK(All(exclude="seen"), k=3, mode=mode)(view_of(SCORES, rows=200, seen=(0, 1, 2, 4)))  # type: ignore[arg-type]
    assert draw.width == 3 and valid_ids(draw) == [[3, 5]] * 200
    none = StochasticTopK(All(exclude="seen"), mode=mode)(view_of([0.0, 1.0], seen=(0, 1)))  # type: ignore[arg-type]
    assert valid_ids(none) == [[]]


def test_a_base_of_at_most_k_candidates_is_passed_on():
    draw = StochasticTopK(Uniform(3), k=3)(view_of(SCORES, rows=4))
    assert torch.equal(draw.ids(), Uniform(3)(view_of(SCORES, rows=4)).ids())


@pytest.mark.parametrize("wrong", [{"k": 0}, {"beta": -1.0}, {"mode": "sofmax"}])
def test_refuses(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StochasticTopK(All(), **wrong)
