from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from recsys.batching import ByUser, InOrder, Shuffled, Subsampled
from recsys.data.log import Log
from recsys.errors import ConfigError
from recsys.sampling import InBatch
from recsys.testing import worlds

COUNTS = [80, 16, 4]  # of 100 events of 80 users


def log() -> Log:
    lists = [[i for i, n in enumerate(COUNTS) if u < n] for u in range(80)]
    offsets = torch.tensor([0, *(len(x) for x in lists)]).cumsum(0)
    return Log(torch.tensor([i for x in lists for i in x], dtype=torch.int32), offsets, 3)


def plans(threshold: float, epochs: int, base=None) -> list[torch.Tensor]:
    step = worlds.step_of(batches=Subsampled(base or Shuffled(size=16), threshold=threshold), log=log())
    found = []
    for epoch in range(1, epochs + 1):
        step.begin_epoch(epoch)
        found.append(torch.cat(step.batches.plan))
    return found


def test_examples_are_kept_as_often_as_the_formula_says():
    threshold, epochs = 0.05, 300
    target = log().items[torch.cat(plans(threshold, epochs))].long()
    for item, (count, seen) in enumerate(zip(COUNTS, torch.bincount(target, minlength=3).tolist(), strict=True)):
        chance = min(1.0, math.sqrt(threshold / (count / 100)))
        assert stats.binomtest(seen, count * epochs, chance).pvalue > 1e-3, item
    assert torch.bincount(target, minlength=3)[2] == COUNTS[2] * epochs  # rarer than the threshold: always kept


def test_examples_are_kept_independently_and_once():
    first, second = plans(0.05, 2)
    assert first.unique().numel() == first.numel()
    assert set(first.tolist()) != set(second.tolist())


def test_a_threshold_of_1_is_the_base():
    found = torch.cat(plans(1.0, 1, base=InOrder(size=16)))
    assert torch.equal(found, torch.arange(100))


def test_expected_targets_of_a_batch_are_the_thinned_ones():
    step = worlds.step_of(InBatch(), batches=Subsampled(threshold=0.05), log=log())
    weight = torch.tensor([n * min(1.0, math.sqrt(0.05 / (n / 100))) for n in COUNTS])
    torch.testing.assert_close(step.batches.log_prob(torch.arange(3)).exp(), weight / weight.sum())


def test_no_law_is_promised_for_a_base_that_draws_with_replacement():
    assert "log_prob" in Subsampled(Shuffled()).gives(set())
    assert "log_prob" not in Subsampled(ByUser()).gives(set())
    assert "groups" in Subsampled(ByUser(positives=3)).gives(set())


def test_a_threshold_that_leaves_nothing_is_refused():
    with pytest.raises(ConfigError, match="raise it"):
        plans(1e-12, 1)
    with pytest.raises(ValueError, match="threshold is 0"):
        Subsampled(threshold=0.0)
