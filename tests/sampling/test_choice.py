from __future__ import annotations

import itertools

import pytest
import torch

from recsys.pool import Draw, Pool
from recsys.randomness import generator
from recsys.sampling.choice import gumbel, highest, with_replacement, without_replacement

from .given import fits, valid_ids


def some(rows: int, items: int) -> Draw:
    return Draw((Pool(torch.arange(items).expand(rows, -1)),))


def test_gumbel_noise_has_the_distribution_function_exp_of_minus_exp_of_minus_x():
    noise = gumbel((100_000,), generator("gumbel"))
    for x in (-1.0, 0.0, 0.5, 2.0, 5.0):
        share, wanted = float((noise <= x).double().mean()), float(torch.exp(-torch.exp(torch.tensor(-x, dtype=torch.double))))
        assert abs(share - wanted) < 5 * (wanted * (1 - wanted) / 100_000) ** 0.5
    assert noise.dtype == torch.float64


def test_gumbel_noise_goes_beyond_what_float32_can_hold():
    """P(g > 16.64) is 2**-24: of 2**26 numbers 4 are expected above it, and float32's uniform numbers allow none."""
    bound = -torch.log(-torch.log(torch.tensor(1 - 2**-24, dtype=torch.double)))
    stream = generator("tail")
    beyond = sum(int((gumbel((1 << 22,), stream) > bound + 1e-9).sum()) for _ in range(16))
    assert 1 <= beyond <= 14
    largest = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))  # of float32, and so of torch.rand
    assert float(-torch.log(-torch.log(largest.double()))) == pytest.approx(float(bound))


def test_choosing_from_a_catalogue_with_float32_noise_is_biased():
    """One candidate of score 17 against N = 2**24 of score 0: it wins with probability e^17 / (e^17 + N), with float32's noise too often.

    The largest of N uniform numbers is drawn at once, as u^(1/N); float32's are the multiples of 2**-24 below it.
    """
    n, rounds, score = 2**24, 200_000, 17.0
    u = torch.rand(rounds, 2, generator=generator("largest"), dtype=torch.double)
    own, most = u[:, 0], u[:, 1] ** (1 / n)
    coarse = ((most * 2**24).floor() / 2**24).clamp(max=1 - 2**-24)
    truth = float(torch.tensor(score, dtype=torch.double).exp() / (torch.tensor(score, dtype=torch.double).exp() + n))

    def wins(largest: torch.Tensor) -> float:
        return float((score - torch.log(-torch.log(own)) > -torch.log(-torch.log(largest))).double().mean())

    error = (truth * (1 - truth) / rounds) ** 0.5
    assert abs(wins(most) - truth) < 4 * error
    assert wins(coarse) - truth > 50 * error


def test_without_replacement_is_one_after_the_other_among_those_left():
    """Every ordered pair of 4 candidates: p_i p_j / (1 - p_i)."""
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.double)
    p = weight / weight.sum()
    rows = 40_000
    draw = without_replacement(some(rows, 4), weight.log().expand(rows, -1), 2, generator("pairs"))
    code = draw.ids()[:, 0] * 4 + draw.ids()[:, 1]
    wanted = torch.zeros(16, dtype=torch.double)
    for i, j in itertools.permutations(range(4), 2):
        wanted[4 * i + j] = p[i] * p[j] / (1 - p[i])
    assert fits(torch.bincount(code, minlength=16).double(), wanted)


def test_with_replacement_follows_the_weights_and_draws_apart():
    weight = torch.tensor([0.0, 5.0, 1.0, 0.0, 2.0, 0.0], dtype=torch.double)
    rows = 20_000
    draw = with_replacement(some(rows, 6), (weight.log() - 1000).expand(rows, -1), 2, generator("apart"))
    p = weight / weight.sum()
    code = draw.ids()[:, 0] * 6 + draw.ids()[:, 1]
    assert fits(torch.bincount(code, minlength=36).double(), torch.outer(p, p).flatten())


def test_weights_of_any_size():
    log_weight = torch.tensor([[-1e6, -1e6 - 1, -torch.inf], [1e6, 0.0, 0.0], [-torch.inf, -torch.inf, -torch.inf]], dtype=torch.double)
    for choose in (with_replacement, without_replacement):
        draw = choose(some(3, 3), log_weight, 2, generator("size"))
        first, second, none = valid_ids(draw)
        assert set(first) <= {0, 1} and first and 0 in second and none == []
    assert valid_ids(without_replacement(some(3, 3), log_weight, 3, generator("size"))) == [[0, 1], [0, 1, 2], []]


def test_highest_keeps_at_most_what_there_is():
    key = torch.tensor([[0.5, -torch.inf, 2.0], [-torch.inf] * 3])
    draw = highest(some(2, 3), key, 2)
    assert draw.ids()[0].tolist() == [2, 0] and draw.valid.tolist() == [[True, True], [False, False]]
    assert highest(some(2, 3), key, 9).width == 3
