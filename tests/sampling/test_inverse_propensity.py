from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.losses import BPR
from recsys.pool import Draw
from recsys.propensity import Given, ItemPowerLaw
from recsys.sampling import InversePropensity, Mix, PersonalLoss, ReweightedLoss, Sampler, TopK, Uniform, Unseen
from recsys.step import Denominator, Step, reduce
from recsys.testing import worlds


def step_of(sampler: Sampler, denominator: Denominator = "rows") -> Step:
    step = worlds.step_of(sampler)
    step.denominator = denominator
    return step


def drawn(step: Step) -> Draw:
    with torch.no_grad():
        draw: Draw = step.sampler(worlds.view_of(step, worlds.first_batch(step)))
    return draw


def theta(step: Step) -> Tensor:
    """[R]: the propensities of the first batch by the power law, computed apart."""
    log = worlds.users()
    owners = torch.zeros(log.num_items).index_add_(0, log.items.long(), torch.ones(len(log)))  # pairs are distinct there
    return (owners / owners.max()).sqrt()[worlds.first_batch(step).target]


@pytest.mark.parametrize("clip", [0.0, 0.1, 0.6, 1.0])
def test_rows_weigh_one_over_theta_and_candidates_stay(clip: float) -> None:
    step, plain = step_of(InversePropensity(Unseen(3), clip=clip)), step_of(Unseen(3))
    draw = drawn(step)
    assert draw.weight is not None and torch.allclose(draw.weight, 1 / theta(step).clamp(min=clip))
    assert torch.equal(draw.ids(), drawn(plain).ids())


def value(step: Step) -> float:
    return float(step(worlds.first_batch(step), 1, 0).detach())


def test_ips_and_snips_are_the_weighted_sum_over_rows_and_over_weights() -> None:
    plain = step_of(Unseen(3))
    value(plain)
    assert plain.scored is not None
    losses, weight = BPR()(plain.scored).detach(), 1 / theta(plain).clamp(min=0.1)
    assert value(step_of(InversePropensity(Unseen(3)), "rows")) == pytest.approx(float((losses * weight).mean()), rel=1e-5)
    assert value(step_of(InversePropensity(Unseen(3)), "weights")) == pytest.approx(float((losses * weight).sum() / weight.sum()), rel=1e-5)


def test_a_clip_of_one_is_the_base() -> None:
    for denominator in ("rows", "weights", "sum"):
        assert value(step_of(InversePropensity(Unseen(3), clip=1.0), denominator)) == value(step_of(Unseen(3), denominator))


def test_a_constant_factor_of_theta_changes_ips_and_not_snips(tmp_path: Path) -> None:
    paths = [tmp_path / "whole.npy", tmp_path / "half.npy"]
    whole = np.random.default_rng(1).uniform(0.2, 1.0, 60)
    for path, factor in zip(paths, (1.0, 0.5), strict=True):
        np.save(path, factor * whole)
    of = {
        d: [value(step_of(InversePropensity(Unseen(3), propensity=Given(path), clip=0.0), d)) for path in paths]
        for d in ("rows", "weights")
    }
    assert of["rows"][1] == pytest.approx(2 * of["rows"][0], rel=1e-5)
    assert of["weights"][1] == pytest.approx(of["weights"][0], rel=1e-5)


def test_the_edges_of_snips() -> None:
    loss = torch.tensor([3.0, 1.0])
    assert reduce(loss[:1], None, torch.tensor([50.0]), "weights") == 3  # one row: its loss, whatever its weight
    assert reduce(loss, None, torch.tensor([1e6, 1e-3]), "weights") == pytest.approx(3, rel=1e-6)  # one weight outweighs all: its row
    assert reduce(loss[:0], None, loss[:0], "weights") == 0  # no row
    assert reduce(loss, None, torch.zeros(2), "weights") == 0  # no weight: not nan
    assert reduce(loss, torch.tensor([2.0, 1.0]), torch.tensor([1.0, 4.0]), "weights") == pytest.approx(10 / 6)  # events' weights multiply
    bounded = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    weight = 1 / torch.rand(1000, generator=torch.Generator().manual_seed(1)).clamp(min=1e-4)
    assert bounded.min() <= reduce(bounded, None, weight, "weights") <= bounded.max()


def test_rows_without_a_click_weigh_one_and_other_weights_are_multiplied() -> None:
    step = step_of(InversePropensity(ReweightedLoss(Unseen(3), beta=1.0)))
    batch = worlds.first_batch(step)
    label = (torch.arange(len(batch)) % 2).float()
    inner = drawn(step_of(ReweightedLoss(Unseen(3), beta=1.0)))
    with torch.no_grad():
        weight = step.sampler(worlds.view_of(step, replace(batch, label=label))).weight
    assert torch.allclose(weight, inner.weight * torch.where(label > 0, 1 / theta(step).clamp(min=0.1), 1.0))


def test_weights_follow_rows_that_are_kept() -> None:
    step = step_of(PersonalLoss(InversePropensity(Unseen(3)), warmup=0))
    draw = drawn(step)
    assert draw.rows is not None and draw.weight is not None
    assert torch.allclose(draw.weight, (1 / theta(step).clamp(min=0.1))[draw.rows])


def test_it_gives_what_its_base_gives_and_is_no_part_of_a_mixture() -> None:
    assert InversePropensity(Uniform(3)).gives(set()) == {"negatives", "log_count"}
    assert InversePropensity(TopK(Uniform(3))).gives(set()) == {"negatives"}
    with pytest.raises(ValueError, match="put it around the Mix"):
        drawn(step_of(Mix({"weighted": InversePropensity(Uniform(3))})))
    with pytest.raises(ValueError, match="clip is 2"):
        InversePropensity(Uniform(3), propensity=ItemPowerLaw(), clip=2)
