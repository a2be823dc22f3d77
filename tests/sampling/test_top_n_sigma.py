from __future__ import annotations

import pytest
import torch

from recsys.losses import BPR, Softmax
from recsys.sampling import All, Mix, TopK, TopNSigma, Uniform
from recsys.testing import worlds

from .given import valid_ids, view_of


def test_by_hand():
    """Scores 0, 2, 4, 6: std 5^0.5 = 2.236, so that n = 1 keeps what is above 3.76 and n = 2 what is above 1.53. Alike: all are kept."""
    view = view_of([[9.0, 0.0, 2.0, 4.0, 6.0], [0.0, 3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0, 10.0]])
    assert valid_ids(TopNSigma(All(), n=1.0)(view)) == [[3, 4], [1, 2, 3, 4], [4]]
    assert valid_ids(TopNSigma(All(), n=2.0)(view)) == [[2, 3, 4], [1, 2, 3, 4], [4]]
    assert valid_ids(TopNSigma(All(), n=0.0)(view)) == [[4], [1, 2, 3, 4], [4]]


def test_highest_score_and_deviation_are_those_of_valid_candidates():
    """Item 1 is seen: without it 0, 1, 2 remain, std 0.816."""
    view = view_of([5.0, 100.0, 0.0, 1.0, 2.0], seen=(0, 1))
    assert valid_ids(TopNSigma(All(exclude="seen"), n=1.3)(view)) == [[3, 4]]
    assert valid_ids(TopNSigma(All(exclude="seen"), n=1.2)(view)) == [[4]]
    assert valid_ids(TopNSigma(All(exclude="seen"))(view_of([0.0, 1.0], rows=2, seen=(0, 1)))) == [[], []]


def rows_of(sampler: object, loss: object) -> torch.Tensor:
    step = worlds.step_of(sampler, loss)  # type: ignore[arg-type]
    step(worlds.first_batch(step), 1, 0)
    return step.loss(step.scored).detach()


def test_a_large_n_is_the_base_and_n_0_the_hardest_candidate():
    base = Mix({"shared": Uniform(5, per="batch"), "own": Uniform(4)})
    for loss in (BPR(), Softmax(logq=True)):
        assert torch.allclose(rows_of(TopNSigma(base, n=1e6), loss), rows_of(base, loss), atol=1e-6)
    unlike = Uniform(1, per="batch", exclude="nothing")  # one candidate has no equal in its row
    assert torch.allclose(rows_of(TopNSigma(unlike, n=0.0), BPR()), rows_of(TopK(unlike, k=1), BPR()))
    wide = Mix({"all": All()})
    assert torch.allclose(rows_of(TopNSigma(wide, n=0.0), BPR()), rows_of(TopK(wide, k=1), BPR()), atol=1e-6)


def test_pools_keep_their_shapes():
    step = worlds.step_of(TopNSigma(Uniform(50, per="batch")), BPR())
    step(worlds.first_batch(step), 1, 0)
    assert step.draw.pools[0].items.shape == (50,) and step.draw.valid.shape == (32, 50)
    kept = step.draw.valid.sum(1)
    assert int(kept.min()) >= 1 and len(kept.unique()) > 1


@pytest.mark.parametrize("n", [-0.1, float("inf")])
def test_refuses(n: float):
    with pytest.raises(ValueError, match="n is"):
        TopNSigma(All(), n=n)
