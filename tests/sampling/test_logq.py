"""Softmax with log q over any proposal tends to the full softmax, in value and gradient, as draws grow; the usual mistakes do not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor

import recsys.sampling
from recsys.batch import Batch
from recsys.batching import Shuffled
from recsys.losses import Softmax
from recsys.models import MF
from recsys.randomness import generator
from recsys.sampling import All, FromRun, InBatch, Mix, Neighbors, Popularity, Queue, Sampler, Uniform, Unseen, WithoutReplacement
from recsys.sampling.sampler import Proposal
from recsys.step import Step
from recsys.testing import worlds

LOG = worlds.users(num_users=40, num_items=40, events=700)
RUN = worlds.finished_run(LOG, MF(dim=4, init_std=1.0))
ROWS = 16
DRAWS = (40, 400, 4000)
REPEATS = 6

# how a sampler with about K candidates of a row is made, and what its full softmax leaves out
MAKERS: dict[str, tuple[Callable[[int], Sampler], str]] = {
    "Uniform per row": (lambda k: Uniform(k), "positive"),
    "Uniform per row, masked": (lambda k: Uniform(k, exclude="seen"), "seen"),
    "Uniform per group": (lambda k: Uniform(k, per="group"), "positive"),
    "Uniform per batch": (lambda k: Uniform(k, per="batch"), "positive"),
    "Unseen": (lambda k: Unseen(k), "seen"),
    "Unseen per group": (lambda k: Unseen(k, per="group"), "seen"),
    "Popularity": (lambda k: Popularity(k), "positive"),
    "Popularity, power 1, per batch": (lambda k: Popularity(k, power=1.0, per="batch"), "positive"),
    "Popularity, power -0.5": (lambda k: Popularity(k, power=-0.5, exclude="seen"), "seen"),
    "InBatch": (lambda k: InBatch(), "positive"),
    "InBatch, seen": (lambda k: InBatch(exclude="seen"), "seen"),
    "FromRun": (lambda k: FromRun(RUN, num=k, depth=40, temperature=1.5), "seen"),
    "Neighbors": (lambda k: Mix({"near": Neighbors(k // 2, near=3, far=30), "any": Uniform(k - k // 2, exclude="seen")}), "seen"),
    "Queue": (lambda k: Queue(k), "positive"),
    "Mix of uniform and popular": (lambda k: Mix({"a": Uniform(k // 2, per="batch"), "b": Popularity(k - k // 2)}), "positive"),
    "Mix of uniform and batch": (lambda k: Mix({"a": Uniform(k // 4), "b": InBatch()}), "positive"),
    "Mix of unlike masks": (lambda k: Mix({"a": Uniform(k // 2, exclude="seen"), "b": Popularity(k - k // 2)}), "positive"),
    "Mix of three": (lambda k: Mix({"a": Uniform(k // 4), "b": Popularity(k // 4, per="group"), "c": Queue(k // 2)}), "positive"),
}


def rows_of(step: Step, others: int, at: int) -> Batch:
    """The same 16 rows, which alone count in the loss, and as many others drawn by the law of the batches."""
    stream = generator("others", at)
    ids = torch.cat([torch.arange(ROWS), torch.randint(len(step.examples), (others,), generator=stream)])
    batch = step.examples.batch(ids)
    weight = torch.cat([torch.ones(ROWS), torch.zeros(others)]) * len(ids) / ROWS
    return replace(batch, weight=weight)


def answer(sampler: Sampler, loss: Softmax, draws: int, at: int) -> tuple[float, Tensor]:
    """The loss and its whole gradient."""
    step = worlds.step_of(sampler, loss, MF(dim=6, init_std=0.6), Shuffled(size=32), LOG)
    for part in sampler.modules():
        if isinstance(part, Queue):
            part.kept.copy_(step.examples.target[torch.randint(len(step.examples), (part.size,), generator=generator("queue", at))])
    in_batch = any(isinstance(part, InBatch) for part in sampler.modules())
    value = step(rows_of(step, draws if in_batch else 0, at), 1, at)
    value.backward()
    return float(value.detach()), torch.cat([p.grad.flatten() for p in step.model.parameters()])


@lru_cache
def full(exclude: str) -> tuple[float, Tensor]:
    return answer(All(exclude=exclude), Softmax(logq=True), 0, 0)


def errors(make: Callable[[int], Sampler], exclude: str, draws: int) -> tuple[float, float]:
    """Root mean square over repeats: of the loss's error, and of the gradient's as a share of its length."""
    loss, gradient = full(exclude)
    found = [answer(make(draws), Softmax(logq=True), draws, at) for at in range(REPEATS)]
    of_loss = torch.tensor([value - loss for value, _ in found])
    of_gradient = torch.stack([(g - gradient).norm() / gradient.norm() for _, g in found])
    return float(of_loss.square().mean().sqrt()), float(of_gradient.square().mean().sqrt())


@pytest.mark.parametrize("name", MAKERS)
def test_loss_and_gradient_tend_to_those_of_the_full_softmax(name: str):
    make, exclude = MAKERS[name]
    of_loss, of_gradient = zip(*(errors(make, exclude, k) for k in DRAWS), strict=True)
    assert of_loss[2] < of_loss[0] and of_loss[2] < 0.03
    assert of_gradient[0] > of_gradient[1] > of_gradient[2]
    assert of_gradient[2] < of_gradient[0] / 5  # a hundred times the draws: a tenth of the error
    assert of_gradient[2] < 0.06


def test_every_proposal_is_here():
    exported = {getattr(recsys.sampling, name) for name in recsys.sampling.__all__}
    proposals = {cls for cls in exported if isinstance(cls, type) and issubclass(cls, Proposal) and cls is not Proposal}
    tried = {type(part) for make, _ in MAKERS.values() for part in make(8).modules()}
    countless = {cls for cls in proposals if "log_count" not in inspected(cls)}
    assert proposals - countless - tried == {All, WithoutReplacement}  # exact, below, and in a file of its own


def inspected(cls: type[Proposal]) -> set[str]:
    """What the class gives where batches tell the law of their targets."""
    given: set[str] = cls.gives(cls.__new__(cls), {"log_prob"})
    return given


@pytest.mark.parametrize("exclude", ["positive", "seen"])
def test_the_whole_catalogue_is_the_full_softmax(exclude):
    loss, gradient = full(exclude)
    step = worlds.step_of(All(exclude=exclude), Softmax(), MF(dim=6, init_std=0.6), Shuffled(size=32), LOG)
    batch = rows_of(step, 0, 0)
    score = step.model(batch)
    scores = score(None)
    hidden = torch.zeros_like(scores, dtype=torch.bool)
    if exclude == "seen":
        hidden = step.catalog.seen(batch.owner, torch.arange(LOG.num_items)[None])
    hidden = hidden & (torch.arange(LOG.num_items) != batch.target[:, None])
    value = torch.nn.functional.cross_entropy(scores.masked_fill(hidden, -torch.inf), batch.target)
    value.backward()
    assert loss == pytest.approx(float(value.detach()), abs=1e-6)
    torch.testing.assert_close(gradient, torch.cat([p.grad.flatten() for p in step.model.parameters()]), atol=1e-6, rtol=1e-5)


class WithoutTheNumber(Uniform):
    """The usual mistake: the log of a candidate's probability instead of its expected count."""

    def log_count(self, view, ids):
        return super().log_count(view, ids) - math.log(self.num)


class PositiveToo(Softmax):
    """The other one: the positive's score is corrected like a candidate's."""

    def forward(self, scored):
        count = math.log(scored.draw.width / (LOG.num_items - 1))
        return super().forward(replace(scored, positive=scored.positive - count))


def test_forgetting_the_number_of_draws_diverges():
    loss, _ = full("positive")
    found = [answer(WithoutTheNumber(k), Softmax(logq=True), k, 0)[0] for k in DRAWS]
    assert all(b - a > 1.0 for a, b in itertools.pairwise(found))  # each tenfold adds about log 10
    assert found[2] - loss > 4


def test_correcting_the_positive_too_diverges():
    loss, _ = full("positive")
    found = [answer(Uniform(k), PositiveToo(logq=True), k, 0)[0] for k in DRAWS]
    assert all(b - a > 1.0 for a, b in itertools.pairwise(found))
    assert found[2] - loss > 2
