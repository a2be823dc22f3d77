from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.batching import Balanced, Batches, Shuffled
from recsys.examples import LabelledPairs
from recsys.losses import WMF
from recsys.sampling import Nothing
from recsys.step import Step
from recsys.testing import worlds


def step_of(batches: Batches, **log: int) -> Step:
    given = worlds.users(**log)
    return worlds.step_of(Nothing(), WMF(unclicked=0.1), batches=batches, log=given, examples=LabelledPairs())


def labels(step: Step, batch: Tensor) -> Tensor:
    label = step.examples.batch(batch).label
    assert label is not None
    return label


@pytest.mark.parametrize(("positives", "ones"), [(0.5, 5), (0.0, 0), (1.0, 10), (0.24, 2)])
def test_every_batch_has_its_share_of_observed_pairs(positives: float, ones: int) -> None:
    step = step_of(Balanced(size=10, positives=positives, steps=30))
    assert len(step.batches.plan) == 30
    assert {int(labels(step, batch).sum()) for batch in step.batches.plan} == {ones}


def chi_square(ids: Tensor, among: Tensor) -> float:
    """Standard deviations from what uniform draws give."""
    count = torch.bincount(torch.searchsorted(among, ids), minlength=len(among)).double()
    expected = len(ids) / len(among)
    return float(((count - expected).square() / expected).sum() - (len(among) - 1)) / (2 * (len(among) - 1)) ** 0.5


@pytest.mark.parametrize("restricted", [False, True])
def test_each_kind_is_drawn_uniformly_with_replacement(restricted: bool) -> None:
    step = step_of(Balanced(size=1000, steps=200), num_users=9, num_items=30, events=60)
    among = torch.arange(len(step.examples))
    drawn = torch.cat(step.batches.plan)
    if restricted:
        among = among[among % 3 != 1]
        drawn = torch.cat(list(step.batches.epoch(step.batches._view, among)))
    label = labels(step, among) > 0
    one = labels(step, drawn) > 0
    assert torch.isin(drawn, among).all()
    assert abs(chi_square(drawn[one], among[label])) < 4.5
    assert abs(chi_square(drawn[~one], among[~label])) < 4.5


def test_without_a_share_all_pairs_are_alike() -> None:
    step = step_of(Balanced(size=1000, positives=None, steps=200), num_users=9, num_items=30)
    assert abs(chi_square(torch.cat(step.batches.plan), torch.arange(270))) < 4.5
    assert torch.allclose(step.batches.log_prob(torch.arange(30)).exp(), torch.full((30,), 1 / 30))


@pytest.mark.parametrize("full", [False, True])
def test_a_kind_that_does_not_occur_gives_its_place_to_the_other(full: bool) -> None:
    pair = torch.arange(6 if full else 0)
    log = worlds._log(pair // 3, pair % 3, 2, 3, "user")
    step = worlds.step_of(Nothing(), WMF(), batches=Balanced(size=8, steps=2), log=log, examples=LabelledPairs())
    assert [labels(step, batch).tolist() for batch in step.batches.plan] == [[float(full)] * 8] * 2


def test_all_pairs_once_give_the_mean_over_all_pairs() -> None:
    """The mean loss of an epoch of Shuffled is the average over U x N in the paper; uniform draws estimate it; half and half do not."""
    whole = step_of(Shuffled(size=10_000))
    with torch.no_grad():
        exact = float(whole(whole.examples.batch(whole.batches.plan[0]), 1, 0))
        pairs = torch.arange(len(whole.examples))
        score = (whole.model.user.weight @ whole.model.item.weight.T).flatten()
        by_hand = torch.where(labels(whole, pairs) > 0, (1 - score.sigmoid()) ** 2, 0.1 * score.sigmoid() ** 2).mean()
        assert exact == pytest.approx(float(by_hand), rel=1e-5)
        found = {}
        for positives in (None, 0.5):
            drawn = step_of(Balanced(size=500, positives=positives, steps=200))
            values = torch.tensor([float(drawn(drawn.examples.batch(batch), 1, 0)) for batch in drawn.batches.plan], dtype=torch.double)
            found[positives] = abs(float(values.mean()) - exact) / (float(values.std()) / 200**0.5)
    assert found[None] < 3.5 and found[0.5] > 10


@pytest.mark.parametrize(("wrong", "said"), [({"positives": 1.5}, "positives is 1.5"), ({"steps": 0}, "steps is 0"), ({"size": 0}, "size")])
def test_a_wrong_knob_is_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Balanced(**wrong)  # type: ignore[arg-type]
