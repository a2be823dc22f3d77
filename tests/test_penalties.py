"""Penalties on the spread of vectors, against a loop over pairs; DirectAU trains without candidates."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from recsys import ConfigError, Experiment, Fit
from recsys.batching import Shuffled
from recsys.data.log import Log
from recsys.data.sources import MovieLens
from recsys.learner import Learner
from recsys.losses import Alignment
from recsys.models import MF, LightGCN, Model
from recsys.optimizers import Adam, LazyAdam, Optimizer
from recsys.penalties import DecoupledUniformity, Penalty, Uniformity
from recsys.sampling import Nothing, Uniform
from recsys.scorer import DotScorer
from recsys.splitting import LastN
from recsys.step import Scored, Step
from recsys.testing import worlds


def scored_of(step: Step, rows: Tensor | None = None) -> Scored:
    batch = step.examples.batch(torch.arange(60) if rows is None else rows)
    step(batch, 1, 0)
    return step.scored


def spread(vectors: Tensor, counted, t: float) -> float:
    """The log of the mean over pairs, one by one."""
    pairs = [(a, b) for a in range(len(vectors)) for b in range(a) if counted(a, b)]
    return math.log(sum(math.exp(-t * float((vectors[a] - vectors[b]).square().sum())) for a, b in pairs) / len(pairs))


@pytest.mark.parametrize("model", [MF(dim=8, init_std=1.0), MF(dim=8, similarity="cosine"), LightGCN(dim=8, layers=2)])
def test_the_spread_is_that_of_pairs_of_rows_of_other_owners_and_other_targets(model: Model):
    step = worlds.step_of(Uniform(2), model=model)
    scored = scored_of(step)
    owner, target = scored.batch.owner.tolist(), scored.batch.target.tolist()
    assert len(set(owner)) < len(owner) and len(set(target)) < len(target)
    with torch.no_grad():
        query, item = F.normalize(scored.score.query, dim=1), F.normalize(scored.score.items(scored.batch.target), dim=1)
        others, elsewhere = (lambda a, b: owner[a] != owner[b]), (lambda a, b: target[a] != target[b])
        found = Uniformity(weight=3.0, t=1.5)(step.model, scored)
        assert float(found) == pytest.approx(1.5 * (spread(query, others, 1.5) + spread(item, elsewhere, 1.5)), rel=1e-4)
        found = DecoupledUniformity(weight=3.0)(step.model, scored)
        wanted = spread((query + item) / 2, lambda a, b: others(a, b) and elsewhere(a, b), 1.0)
        assert float(found) == pytest.approx(3 * wanted, rel=1e-4)


@pytest.mark.parametrize("penalty", [Uniformity(), DecoupledUniformity()], ids=lambda p: type(p).__name__)
def test_a_batch_without_a_pair_costs_nothing_and_has_no_gradient(penalty: Penalty):
    step = worlds.step_of(Uniform(2))
    for rows in (torch.tensor([4]), torch.tensor([4, 4, 4])):
        value = penalty(step.model, scored_of(step, rows))
        assert value == 0
        value.backward()
        assert all(p.grad is None or (p.grad.isfinite().all() and p.grad.abs().max() == 0) for p in step.model.parameters())


def test_alignment_is_the_squared_distance_whatever_the_lengths():
    query = torch.tensor([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]], dtype=torch.double, requires_grad=True)
    table = torch.tensor([[30.0, 40.0], [5.0, 0.0], [-1.0, 0.0]], dtype=torch.double)
    scored = scored_of(worlds.step_of(Uniform(2)), torch.arange(3))
    score = DotScorer(query, table, torch.arange(3))
    found = Alignment()(replace(scored, score=score))
    assert found.tolist() == pytest.approx([0.0, 2.0, 4.0])


@pytest.mark.parametrize(("penalty", "together"), [(Uniformity(), False), (DecoupledUniformity(), True)])
def test_both_push_rows_apart_and_the_decoupled_one_pulls_each_row_together_as_well(penalty: Penalty, together: bool):
    """Without a loss: middles lie far apart only if they are long."""
    step = worlds.step_of(Uniform(1), model=MF(dim=4, init_std=1.0))
    optimizer, values, gaps = torch.optim.Adam(step.model.parameters(), lr=0.01), [], []
    for _ in range(60):
        scored = scored_of(step, torch.arange(len(step.examples)))
        value = penalty(step.model, scored)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
        gaps.append(Alignment()(scored).mean().item())
    assert values[-1] < values[0] - 0.1
    assert (gaps[-1] < gaps[0] - 0.1) == together


def trained(log: Log, penalty: Penalty | None, optimizer: Optimizer) -> Tensor:
    """The cosines of all users and items, without a candidate having been drawn."""
    fit = Fit(epochs=30, optimizer=optimizer, penalty=penalty, device="cpu", patience=None)
    learner = Learner(model=MF(dim=16, similarity="cosine"), batches=Shuffled(size=64), sampler=Nothing(), loss=Alignment(), fit=fit)
    for _ in learner.fit(log):
        pass
    return learner.scores(log.histories())


def test_alignment_alone_puts_all_vectors_into_one_point():
    assert trained(worlds.users(), None, Adam(lr=0.02)).min() > 0.99


@pytest.mark.parametrize("optimizer", [Adam(lr=0.02), LazyAdam(lr=0.02)], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("penalty", [Uniformity(weight=0.3), DecoupledUniformity(weight=2.0)], ids=lambda p: type(p).__name__)
def test_alignment_with_a_penalty_tells_pairs_apart_without_candidates(penalty: Penalty, optimizer: Optimizer):
    log = worlds.users()
    scores, seen = trained(log, penalty, optimizer), torch.zeros(log.num_owners, log.num_items, dtype=torch.bool)
    seen[log.owners, log.items.long()] = True
    assert scores[seen].mean() > scores[~seen].mean() + 0.4
    board = worlds.checkerboard()
    scores = trained(board, penalty, optimizer)
    scores[board.owners, board.items.long()] = -torch.inf
    assert (scores.argmax(1) == torch.arange(board.num_owners)).float().mean() > 0.9  # the hidden diagonal


def test_directau_needs_vectors_and_no_candidates():
    def check(**parts) -> None:
        Experiment(data=MovieLens(), split=LastN(), fit=Fit(penalty=Uniformity()), **parts).check()

    check(model=MF(similarity="cosine"), loss=Alignment(), sampler=Nothing())
    check(model=LightGCN(), loss=Alignment(), sampler=Nothing())
    with pytest.raises(ConfigError, match=r"loss: Alignment needs 'alone' \(it would ignore drawn candidates"):
        check(model=MF(), loss=Alignment(), sampler=Uniform(4))


@pytest.mark.parametrize("knobs", [{"t": 0.0}, {"weight": -1.0}])
def test_impossible_knobs_are_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        Uniformity(**knobs)
