"""Conformance suite for losses: call :func:`check_loss` on your own."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.examples import LabelledPairs
from recsys.losses import Loss
from recsys.part import Part
from recsys.pool import Draw, Pool
from recsys.randomness import generator
from recsys.scorer import DotScorer
from recsys.step import Scored
from recsys.testing import worlds
from recsys.testing.expect import check_configuration, expect

ROWS, CANDIDATES, ITEMS = 12, 7, 60


def check_loss(loss: Loss) -> None:
    """Raises AssertionError, naming the class and the promise, if a loss breaks one.

    One finite value a row, with a finite gradient that agrees with finite differences (and does not where the class says ``surrogate``:
    test that gradient yourself); each row's value depends on that row alone; the order of candidates does not matter; invalid candidates
    change neither value nor gradient; a row without candidates is finite; scores of +-1e4 give no nan and no infinite gradient; a higher
    positive is never worse; nothing is allocated on a default device. A loss that needs no "negatives" looks at no candidates; for one on
    labels, a higher score of a row labelled 0 is never better.
    """
    check_configuration(loss)
    loss = copy.deepcopy(loss)
    catalog, labelled = Catalog(worlds.users(num_items=ITEMS)), "labels" in loss.needs()
    for part in loss.modules():
        if isinstance(part, Part):
            part.setup(catalog)
    case = some_scored(labelled=labelled)
    value = _loss(loss, case)
    expect(value.shape == (ROWS,), loss, f"gives {tuple(value.shape)}, not one value a row [{ROWS}]; averaging is the step's task")
    expect(torch.isfinite(value).all(), loss, "is not finite on ordinary scores")
    _gradient(loss, case)
    _rows_apart(loss, case, value)
    if "negatives" in loss.needs():
        _candidates(loss, case, value)
    _extremes(loss, case)
    growth = _loss(loss, replace(case, positive=case.positive + 0.1)) - value
    positive = torch.ones_like(value, dtype=torch.bool) if case.batch.label is None else case.batch.label > 0
    expect((growth[positive] <= 1e-9).all() or not loss.monotone, loss, "grows when the positive's score grows")
    expect((growth[~positive] >= -1e-9).all(), loss, "falls when the score of a row labelled 0 grows")
    with worlds.no_default_device():
        try:
            _loss(loss, case)
        except (RuntimeError, NotImplementedError) as error:
            raise AssertionError(f"{type(loss).__qualname__} allocates without naming its device: {error}") from None


def some_scored(scale: float = 1.0, labelled: bool = False) -> Scored:
    """Random scores in float64 from vectors, so that losses that look at ids or vectors find them; all candidates valid. Of
    labelled rows every other one is observed."""
    stream = generator("loss conformance")
    log = worlds.users(num_items=ITEMS)
    step = worlds.step_of(log=log)
    rows = torch.randperm(len(log), generator=stream)[:ROWS]
    batch = step.examples.batch(rows)
    if labelled:
        pairs = LabelledPairs()
        pairs.load(log)
        batch = pairs.batch(torch.where(torch.arange(ROWS) % 2 == 0, pairs.pairs[rows], pairs.unlabelled(rows)))
    candidates = torch.randint(ITEMS, (ROWS, CANDIDATES), generator=stream)
    query = torch.randn(ROWS, 8, generator=stream, dtype=torch.double)
    table = torch.randn(ITEMS, 8, generator=stream, dtype=torch.double) * scale / 8**0.5
    count = torch.full((ROWS, CANDIDATES), CANDIDATES / ITEMS, dtype=torch.double).log()
    return Scored.of(batch, DotScorer(query, table, batch.target), Draw((Pool(candidates),), log_count=count), step.catalog)


def given_scores(
    positive: list[float], negative: list[list[float]], valid: list[list[bool]] | None = None, share: list[list[float]] | None = None
) -> Scored:
    """The first rows of :func:`some_scored` with these scores instead (float64, with gradient), for numbers worked by hand."""
    case = some_scored()
    draw = replace(
        case.draw.take(torch.arange(len(positive))),
        pools=(Pool(case.draw.ids()[: len(positive), : len(negative[0])]),),
        valid=None if valid is None else torch.tensor(valid),
        share=None if share is None else torch.tensor(share, dtype=torch.double),
        log_count=None,
        rows=None,
    )
    rows = torch.arange(len(positive))
    up, down = (torch.tensor(x, dtype=torch.double, requires_grad=True) for x in (positive, negative))
    return Scored(up, down, case.batch.take(rows), case.score.take(rows), draw, case.catalog)


def _loss(loss: Loss, case: Scored) -> Tensor:
    value: Tensor = loss(case)
    return value


def _gradient(loss: Loss, case: Scored) -> None:
    def of(positive: Tensor, negative: Tensor) -> Tensor:
        return _loss(loss, replace(case, positive=positive, negative=negative))

    inputs = (case.positive.clone().requires_grad_(), case.negative.clone().requires_grad_())
    agrees = torch.autograd.gradcheck(of, inputs, raise_exception=False)
    wrong = (
        "is a surrogate by its class, and its gradient is that of its value" if agrees else "has a gradient that is not that of its value"
    )
    expect(agrees != loss.surrogate, loss, wrong)


def _rows_apart(loss: Loss, case: Scored, value: Tensor) -> None:
    rows = torch.tensor([5, 0, 11])
    part = Scored(
        case.positive[rows], case.negative[rows], case.batch.take(rows), case.score.take(rows), case.draw.take(rows), case.catalog
    )
    expect(torch.allclose(_loss(loss, part), value[rows]), loss, "gives a row another value when other rows are present")


def _candidates(loss: Loss, case: Scored, value: Tensor) -> None:
    columns = torch.arange(CANDIDATES).flip(0)
    draw = replace(case.draw, pools=(Pool(case.draw.ids()[:, columns]),))
    expect(
        torch.allclose(_loss(loss, replace(case, negative=case.negative[:, columns], draw=draw)), value),
        loss,
        "depends on the order of candidates",
    )
    valid = torch.ones(ROWS, CANDIDATES, dtype=torch.bool)
    valid[:, -2:] = False
    assert case.draw.log_count is not None
    fewer = replace(case.draw, pools=(Pool(case.draw.ids()[:, :-2]),), log_count=case.draw.log_count[:, :-2])
    few = replace(case, negative=case.negative[:, :-2], draw=fewer)
    for strange in (0.0, 1e4):
        negative = case.negative.clone()
        negative[:, -2:] = strange
        negative.requires_grad_()
        masked = _loss(loss, replace(case, negative=negative, draw=replace(case.draw, valid=valid)))
        expect(torch.allclose(masked, _loss(loss, few)), loss, "counts candidates that are not valid")
        (slope,) = torch.autograd.grad(masked.sum(), negative)
        expect((slope[:, -2:] == 0).all() and torch.isfinite(slope).all(), loss, "has a gradient at candidates that are not valid")
    negative = case.negative.clone().requires_grad_()
    none = _loss(loss, replace(case, negative=negative, draw=replace(case.draw, valid=torch.zeros_like(valid))))
    (slope,) = torch.autograd.grad(none.sum(), negative)
    expect(torch.isfinite(none).all() and torch.isfinite(slope).all(), loss, "is not finite for a row without a valid candidate")


def _extremes(loss: Loss, case: Scored) -> None:
    for size in (1e4, -1e4):
        positive = torch.full_like(case.positive, size, dtype=torch.float32).requires_grad_()
        negative = torch.full_like(case.negative, -size, dtype=torch.float32).requires_grad_()
        value = _loss(loss, replace(case, positive=positive, negative=negative))
        slopes = torch.autograd.grad(value.sum() + 0 * positive.sum(), (positive, negative), allow_unused=True)  # 0: if it asks for vectors
        expect(torch.isfinite(value).all(), loss, f"is not finite at scores of {size:+.0e}")
        expect(
            all(s is None or torch.isfinite(s).all() for s in slopes), loss, f"has a gradient that is not finite at scores of {size:+.0e}"
        )
