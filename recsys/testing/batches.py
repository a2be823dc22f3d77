"""Conformance suite for batch policies: call :func:`check_batches` on your own."""

from __future__ import annotations

import copy

import torch

from recsys.batching import Batches
from recsys.examples import LabelledPairs
from recsys.step import Step
from recsys.testing import worlds
from recsys.testing.expect import check_configuration, expect

EPOCHS = 200


def check_batches(batches: Batches, *, covers: bool = True, random: bool = True) -> None:
    """Raises AssertionError, naming the class and the promise, if a batch policy breaks one.

    No batch is larger than ``size`` (groups); ids lie among the examples; an epoch has every example exactly once (``covers``); the
    plan follows from seed and epoch alone, and differs between epochs (``random``); ``among`` is respected; ``log_prob`` is the
    probability of an item to be the target of a row, as observed over many epochs.
    """
    check_configuration(batches)
    log = worlds.sessions() if "lengths" in batches.needs() else worlds.users()
    examples = LabelledPairs() if "labels" in batches.needs() else None
    step = worlds.step_of(batches=copy.deepcopy(batches), log=log, examples=copy.deepcopy(examples))
    policy, total = step.batches, len(step.examples)
    plan = _plan(step, 1)
    expect(all(len(batch) <= policy.size for batch in policy.plan), batches, "makes a batch of more than size examples or groups")
    expect((plan >= 0).all() and (plan < total).all(), batches, "names examples that do not exist")
    if covers:
        expect(torch.equal(plan.sort().values, torch.arange(total)), batches, "an epoch does not have every example exactly once")
    again = worlds.step_of(batches=copy.deepcopy(batches), log=log, examples=examples)
    expect(torch.equal(_plan(again, 1), plan), batches, "the same seed and epoch give another plan")
    expect(torch.equal(_plan(step, 2), plan) != random, batches, "epochs are equal" if random else "epochs differ")
    among = torch.arange(total)[::3]
    view = step.batches._view
    kept = torch.cat([batch.flatten() for batch in policy.epoch(view, among)])
    expect(torch.isin(kept, among).all(), batches, "takes examples that it was not given")
    _log_prob(step, batches)


def _plan(step: Step, epoch: int) -> torch.Tensor:
    step.begin_epoch(epoch)
    return torch.cat([batch.flatten() for batch in step.batches.plan])


def _log_prob(step: Step, batches: Batches) -> None:
    if "log_prob" not in batches.gives(set()):
        return
    items = step.catalog.num_items
    observed = torch.zeros(items, dtype=torch.double)
    for epoch in range(1, EPOCHS + 1):
        plan = _plan(step, epoch)
        rows = step.examples.batch(plan)
        observed += torch.bincount(rows.target, minlength=items)
    share = step.batches.log_prob(torch.arange(items)).double().exp()
    expected = share * observed.sum()
    expect(abs(float(share.sum()) - 1) < 1e-4, batches, "log_prob does not sum to 1 over the catalogue")
    worst = ((observed - expected).abs() / expected.clamp(min=1).sqrt()).max()
    expect(worst < 5.5, batches, f"log_prob is wrong: observed shares are up to {worst:.1f} standard errors off")
