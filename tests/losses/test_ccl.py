"""The cosine contrastive loss against numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.losses import CCL
from recsys.testing.losses import some_scored


def scored(positive: list[float], negative: list[list[float]], valid: list[list[bool]] | None = None):
    case = some_scored()
    rows = torch.arange(len(positive))
    mask = None if valid is None else torch.tensor(valid)
    draw = replace(case.draw.take(rows), valid=mask, log_count=None, rows=None)
    return replace(
        case,
        positive=torch.tensor(positive, dtype=torch.double, requires_grad=True),
        negative=torch.tensor(negative, dtype=torch.double, requires_grad=True),
        draw=draw,
    )


def test_values_and_gradients_by_hand():
    case = scored([0.25, 1.05], [[0.9, 0.5, -0.3, 0.7], [0.4, 0.4, 0.4, 0.4]])
    value = CCL(margin=0.4, weight=10)(case)
    assert value.tolist() == pytest.approx([0.75 + 10 * (0.5 + 0.1 + 0 + 0.3) / 4, 0.0])  # a positive above 1 costs nothing
    positive, negative = torch.autograd.grad(value.sum(), (case.positive, case.negative))
    assert positive.tolist() == [-1.0, 0.0]
    assert negative.tolist() == [[2.5, 2.5, 0.0, 2.5], [0.0] * 4]


def test_the_mean_is_over_valid_candidates():
    case = scored([0.0], [[0.9, 0.8]], [[True, False]])
    assert CCL(margin=0.4, weight=2)(case).tolist() == pytest.approx([1 + 2 * 0.5])
    none = scored([0.0], [[0.9, 0.8]], [[False, False]])
    assert CCL(margin=0.4, weight=2)(none).tolist() == [1.0]


@pytest.mark.parametrize("knobs", [{"margin": 1.0}, {"margin": -1.5}, {"weight": -1.0}])
def test_impossible_knobs_are_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        CCL(**knobs)
