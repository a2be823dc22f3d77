from __future__ import annotations

import pytest
import torch

from recsys import compatibility
from recsys.batching import Balanced, Shuffled
from recsys.examples import LabelledPairs
from recsys.losses import BPR, WMF, Loss, Softmax
from recsys.sampling import All, InversePropensity, Nothing, ReweightedLoss, TruncatedLoss, Uniform, Unseen
from recsys.step import Scored
from recsys.testing import worlds

from .given import view_of

# the positive minus the one candidate: the loss of BPR falls with it
GAPS = [[0.5, 0.0], [-3.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]


def kept(sampler: TruncatedLoss, **given: object) -> list[int]:
    draw = sampler(view_of(GAPS, **given))  # type: ignore[arg-type]
    return list(range(5)) if draw.rows is None else draw.rows.tolist()


def test_by_hand_the_rows_of_largest_loss_are_dropped():
    """After all steps: 0.2 of 5 rows is the second row; 0.4 and 0.59 (rounded down) the fourth too."""
    assert kept(TruncatedLoss(All(), rate=0.2, steps=1), at=1) == [0, 2, 3, 4]
    assert kept(TruncatedLoss(All(), rate=0.4, steps=1), at=1) == [0, 2, 4]
    assert kept(TruncatedLoss(All(), rate=0.59, steps=1), at=1) == [0, 2, 4]
    assert kept(TruncatedLoss(All(), rate=0.0, steps=1), at=1) == [0, 1, 2, 3, 4]


def test_the_rate_grows_with_the_steps_of_all_epochs_and_then_stays():
    """rate 0.8 in 20 steps, epochs of 10: 4 of 5 rows in the end."""
    sampler = TruncatedLoss(All(), rate=0.8, steps=20)
    number = [5 - len(kept(sampler, epoch=epoch, at=at)) for epoch in (1, 2, 3) for at in (0, 4, 5, 9)]
    done = [10 * (epoch - 1) + at for epoch in (1, 2, 3) for at in (0, 4, 5, 9)]
    assert number == [int(0.8 * min(t / 20, 1) * 5) for t in done] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4]


def test_rows_labelled_0_always_stay_and_do_not_count():
    label = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0])
    assert kept(TruncatedLoss(All(), rate=0.4, steps=1), at=1, label=label) == [0, 1, 2, 4]  # 1 of the 3 positives
    assert kept(TruncatedLoss(All(), rate=0.3, steps=1), at=1, label=label) == [0, 1, 2, 3, 4]


def test_a_step_learns_from_the_rows_kept_alone():
    size = 40
    plain = worlds.step_of(Uniform(3), Softmax(logq=True), batches=Shuffled(size=size))
    step = worlds.step_of(TruncatedLoss(Uniform(3), rate=0.25, steps=1), Softmax(logq=True), batches=Shuffled(size=size))
    plain(worlds.first_batch(plain), 1, 5)
    value = step(worlds.first_batch(step), 1, 5)
    losses = plain.loss(plain.scored)
    assert len(step.scored.positive) == 30
    assert torch.allclose(value, losses.sort().values[:30].mean())
    assert torch.equal(step.scored.batch.target, worlds.first_batch(step).target[step.draw.rows])


@pytest.mark.parametrize("wrapper", [TruncatedLoss, ReweightedLoss, InversePropensity])
def test_labelled_rows_without_candidates_are_denoised_as_in_the_paper(wrapper: type[TruncatedLoss]):
    """Binary cross entropy on labelled rows and no candidate at all: the setting of the paper."""
    sampler = wrapper(Nothing())
    parts = {"data": Users(), "examples": LabelledPairs(), "batches": Balanced(), "sampler": sampler, "loss": WMF(delta="log")}
    compatibility.check(parts)


def test_of_labelled_rows_without_candidates_the_worst_positives_are_dropped():
    sampler = TruncatedLoss(Nothing(), rate=0.25, steps=1)
    step = worlds.step_of(sampler, WMF(delta="log"), batches=Balanced(size=32, steps=3), examples=LabelledPairs())
    plain = worlds.step_of(Nothing(), WMF(delta="log"), batches=Balanced(size=32, steps=3), examples=LabelledPairs())
    batch = worlds.first_batch(step)
    value = step(batch, 1, 2)
    plain(batch, 1, 2)
    losses, ones = plain.loss(plain.scored), batch.label > 0
    assert int(ones.sum()) == 16 and len(step.scored.batch) == 28
    assert torch.allclose(value, (losses[ones].sort().values[:12].sum() + losses[~ones].sum()) / 28)


class Users:
    def gives(self) -> set[str]:
        return {"user"}


def test_rate_0_is_the_base_to_the_bit():
    def trained(sampler: object) -> torch.Tensor:
        step = worlds.step_of(sampler, BPR())  # type: ignore[arg-type]
        step(worlds.first_batch(step), 3, 2).backward()
        return step.model.item.weight.grad

    assert torch.equal(trained(TruncatedLoss(Unseen(2), rate=0.0)), trained(Unseen(2)))


def test_rows_already_chosen_are_chosen_again_among_themselves():
    inner = TruncatedLoss(All(), rate=0.2, steps=1)
    assert kept(TruncatedLoss(inner, rate=0.25, steps=1), at=1) == [0, 2, 4]


def test_a_loss_that_is_not_a_number_is_left_for_the_step_to_refuse():
    class Broken(Loss):
        def forward(self, scored: Scored) -> torch.Tensor:
            return torch.where(torch.arange(len(scored.positive)) == 2, torch.nan, scored.positive)

    assert kept(TruncatedLoss(All(), rate=0.8, steps=1), at=1, loss=Broken()) == [2]


@pytest.mark.parametrize("wrong", [{"rate": 1.0}, {"rate": -0.1}, {"steps": 0}])
def test_refuses(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TruncatedLoss(All(), **wrong)
