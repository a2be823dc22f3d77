"""Conformance suite for models: call :func:`check_model` on your own."""

from __future__ import annotations

import copy
from typing import Any

import torch

from recsys.batching import Bucketed, Shuffled
from recsys.data.log import Histories, Log
from recsys.fit import Fit
from recsys.learner import Learner
from recsys.losses import BPR, Softmax
from recsys.models import Model
from recsys.optimizers import Adam
from recsys.pool import Pool
from recsys.ranking import rank
from recsys.recommender import ClosedForm, Recommender
from recsys.sampling import All, Unseen
from recsys.scorer import DotScorer
from recsys.testing import worlds
from recsys.testing.expect import check_configuration, expect


def check_model(model: Model | ClosedForm, *, personal: bool = True) -> None:
    """Raises AssertionError, naming the class and the promise, if a model breaks one.

    Every model: it gives finite scores [Q, N], the same for a query whatever the other queries, also for unknown owners with and
    without a history; trained on a checkerboard it puts the hidden diagonal first, or if it needs an order, the next item of a walk
    (``personal=False`` for one that recommends the same to all); its state is restored from its state_dict. A model trained by steps: its
    scorer agrees with itself over all shapes of pools, rows can be taken, ``detach`` has no gradient, its vectors give its scores, and
    nothing is allocated on a default device.
    """
    check_configuration(model)
    ordered = bool({"sequence", "order"} & set(model.needs()))
    log = worlds.walks() if ordered else worlds.checkerboard()
    fitted = fit(model, log)
    _scores(model, fitted, log)
    if personal:
        known = log.histories()
        found = rank(fitted, known, 1, mask_seen=not ordered).items[:, 0]
        wanted = (known.items[known.stop - 1].long() + 1) % log.num_items if ordered else torch.arange(log.num_owners)
        what = "the next item of the walk" if ordered else "the hidden diagonal of the checkerboard"
        share = (found == wanted).double().mean()
        expect(share >= 0.95, model, f"puts {what} first for {share:.0%} of the owners only")
    if isinstance(model, Model):
        _scorer(copy.deepcopy(model))


def fit(model: Model | ClosedForm, log: Log) -> Recommender:
    """The model trained to the end on a tiny log."""
    model = copy.deepcopy(model)
    if isinstance(model, Model):
        epochs, rate = 60, 0.02
        parts: dict[str, Any] = {"batches": Shuffled(size=64), "sampler": Unseen(1), "loss": BPR()}
        if "sequence" in model.needs():  # what its owner has seen may be next
            epochs, rate = 120, 0.005
            parts = {"batches": Bucketed(size=16), "sampler": All(), "loss": Softmax()}
        plan = Fit(epochs=epochs, optimizer=Adam(lr=rate), device="cpu", patience=None)
        learner = Learner(model=model, **parts, fit=plan)
        for _ in learner.fit(log):
            pass
        return learner
    for _ in model.fit(log):
        pass
    return model


def _scores(model: Model | ClosedForm, fitted: Recommender, log: Log) -> None:
    known = log.histories()
    scores = fitted.scores(known)
    expect(scores.shape == (len(known), log.num_items), model, f"scores are {tuple(scores.shape)}, not [Q, N]")
    expect(torch.isfinite(scores).all(), model, "scores are not finite")
    some = torch.tensor([3, 17, 0])
    expect(torch.allclose(fitted.scores(known.take(some)), scores[some], atol=1e-5), model, "scores of a query depend on the other queries")
    strangers = Histories.of([[0, 2, 4, 6], [], [1]])
    expect(torch.isfinite(fitted.scores(strangers)).all(), model, "scores of unknown owners, with or without a history, are not finite")
    vectors = fitted.vectors(known)
    if vectors is not None:
        expect(torch.allclose(vectors[0] @ vectors[1].T, scores, atol=1e-4), model, "its vectors do not give its scores")


def _scorer(model: Model) -> None:
    log = worlds.sessions() if "sequence" in model.needs() else worlds.users()
    step = worlds.step_of(model=model, log=log)
    batch = worlds.first_batch(step)
    model.eval()
    score = model(batch)
    whole = score(None)
    rows, items = len(batch), step.catalog.num_items
    expect(whole.shape == (rows, items) and whole.requires_grad, model, "the scores of a batch are not [R, N] with a gradient")
    expect(
        torch.allclose(score.positive(), whole.gather(1, batch.target[:, None])[:, 0], atol=1e-5),
        model,
        "positive() is not the score of the target",
    )
    shared, per_row = Pool(torch.tensor([5, 0, 5, 9])), Pool((torch.arange(rows)[:, None] * 7 + torch.arange(3)) % items)
    one, per_group = Pool(per_row.items[:, :1]), Pool((torch.arange(batch.groups)[:, None] + torch.arange(4)) % items, batch.group)
    for name, pool in (("shared", shared), ("per row", per_row), ("one per row", one), ("per group", per_group)):
        wanted = whole.gather(1, pool.ids().expand(rows, -1))
        expect(torch.allclose(score(pool), wanted, atol=1e-5), model, f"scores of a pool ({name}) differ from those of the catalogue")
        kept = torch.arange(rows).flip(0)[: max(1, rows // 2)]
        expect(torch.allclose(score.take(kept)(pool.take(kept)), wanted[kept], atol=1e-5), model, f"taking rows changes scores ({name})")
    expect(not score.detach()(shared).requires_grad, model, "detach() leaves a gradient")
    if isinstance(score, DotScorer):
        query, table = score.vectors()
        expect(torch.allclose(query @ table.T, whole, atol=1e-5), model, "vectors() do not give the scores")
    known = log.histories()
    with worlds.no_default_device():
        try:
            again = model(step.examples.batch(step.batches.plan[0]))
            for candidates in (shared, per_row, one, per_group, None):
                again(candidates)
            model.queries(known)
        except (RuntimeError, NotImplementedError) as error:
            raise AssertionError(f"{type(model).__qualname__} allocates without naming its device: {error}") from None
