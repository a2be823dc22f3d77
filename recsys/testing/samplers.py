"""Conformance suite for samplers: call :func:`check_sampler` on your own."""

from __future__ import annotations

import copy
from typing import Any

import torch

from recsys import compatibility
from recsys.batch import Batch
from recsys.batching import Balanced, Bucketed, Shuffled
from recsys.data.log import Log
from recsys.errors import ConfigError
from recsys.examples import LabelledPairs
from recsys.losses import BPR, WMF
from recsys.models import MF, Model
from recsys.pool import Draw
from recsys.sampling import Proposal, Refine, Sampler
from recsys.step import Scored, Step
from recsys.testing import worlds
from recsys.testing.expect import check_configuration, expect, same

DRAWS, WARM = 300, 12


def check_sampler(sampler: Sampler) -> None:
    """Raises AssertionError, naming the class and the promise, if a sampler breaks one.

    On a tiny user log and a tiny session log (at least one must fit): ids lie in the catalogue and every field has the promised
    shape; the same view gives the same draw and changes no state; another step draws anew, if anything is random; what is excluded
    is never valid; expected counts are those observed over many draws; nothing is allocated on a default device; a gradient step on
    the draw is finite.
    """
    check_configuration(sampler)
    fitting = 0
    for log in (worlds.users(), worlds.sessions(60)):
        step = _step(sampler, log)
        if step is None:
            continue
        fitting += 1
        _shapes(step)
        _repeatable(step)
        _excluded(step)
        _counted(step)
        _device(step)
        _trains(step)
    expect(fitting > 0, sampler, "fits neither a user log with MF nor a session log with a sequence model")


def _step(sampler: Sampler, log: Log) -> Step | None:
    sequential = log.owner_kind == "session"
    model: Model = worlds.LastItem() if sequential else MF(dim=8, init_std=1.0)
    parts: dict[str, Any] = {"examples": model.examples(), "batches": Bucketed(size=8) if sequential else Shuffled(size=32), "loss": BPR()}
    if "alone" in sampler.gives(set()) and not sequential:  # without candidates: for losses on labelled rows
        parts = {"examples": LabelledPairs(), "batches": Balanced(size=32, steps=3), "loss": WMF()}
    parts |= {"model": model, "sampler": copy.deepcopy(sampler)}
    try:
        order = ("examples", "model", "batches", "sampler", "loss")
        compatibility.check({"data": _Data({log.owner_kind, "order"}), **{name: parts[name] for name in order}})
    except ConfigError:
        return None
    step = worlds.step_of(**parts, log=log)
    for at in range(3):  # give a sampler with memory something to remember
        step(worlds.first_batch(step), 1, at)
        step.end_step()
    return step


class _Data:
    def __init__(self, given: set[str]) -> None:
        self.given = given

    def gives(self) -> set[str]:
        return self.given


def _draw(step: Step, at: int = 0) -> Draw:
    with torch.no_grad():
        draw: Draw = step.sampler(worlds.view_of(step, worlds.first_batch(step), at, counts=_counts(step)))
    return draw


def _counts(step: Step) -> bool:
    return "log_count" in step.sampler.gives({"log_prob", "positives", "groups", "user"})


def _shapes(step: Step) -> None:
    sampler, draw = step.sampler, _draw(step)
    rows = len(worlds.first_batch(step)) if draw.rows is None else len(draw.rows)
    ids = draw.ids()
    expect(ids.dtype == torch.long and ids.shape[0] in (1, rows) and ids.shape[1] == draw.width, sampler, "ids are not int64 [R | 1, K]")
    expect((ids >= 0).all() and (ids < step.catalog.num_items).all(), sampler, "draws ids outside the catalogue")
    for name in ("valid", "log_count", "share"):
        value = getattr(draw, name)
        expect(value is None or (value.shape[0] in (1, rows) and value.shape[1] == draw.width), sampler, f"{name} is not [R | 1, K]")
    expect(draw.valid is None or draw.valid.dtype == torch.bool, sampler, "valid is not bool")
    expect(draw.weight is None or draw.weight.shape == (rows,), sampler, "weight is not [R']")
    columns = torch.arange(draw.width).flip(0).expand(rows, -1)
    expect(torch.equal(draw.pick(columns).ids(), ids.expand(rows, -1).flip(1)), sampler, "its pools and groups do not fit together")


def _repeatable(step: Step) -> None:
    sampler = step.sampler
    before = {name: value.clone() for name, value in sampler.state_dict().items()}
    one, two = _draw(step), _draw(step)
    for name in ("valid", "log_count", "share", "rows", "weight"):
        expect(same(getattr(one, name), getattr(two, name)), sampler, f"the same view gives another {name}")
    expect(torch.equal(one.ids(), two.ids()), sampler, "the same view gives other ids; draw from view.generator only")
    after = sampler.state_dict()
    expect(all(torch.equal(before[name], after[name]) for name in before), sampler, "forward changes state; only the hooks may")


def _excluded(step: Step) -> None:
    batch = worlds.first_batch(step)
    for part in step.sampler.modules():
        if not isinstance(part, Proposal) or part.exclude == "nothing":
            continue
        for at in range(20):
            with torch.no_grad():
                draw = part(worlds.view_of(step, batch, at))
            ids = draw.ids().expand(len(batch), -1)
            valid = torch.ones_like(ids, dtype=torch.bool) if draw.valid is None else draw.valid.expand_as(ids)
            expect(not (valid & (ids == batch.target[:, None])).any(), part, "the target is a valid candidate though it is excluded")
            if part.exclude == "seen":
                expect(
                    not (valid & step.catalog.seen(batch.owner, ids)).any(), part, "a seen item is a valid candidate though it is excluded"
                )


def _counted(step: Step) -> None:
    """How often every item is a valid candidate over many draws against the expected counts: in all, each within 5.5 standard errors of a
    Poisson count, and by the chi-square statistic."""
    if not _counts(step):
        return
    sampler, batch, items = step.sampler, worlds.first_batch(step), step.catalog.num_items
    observed = torch.zeros(items, dtype=torch.double)
    expected = torch.zeros(items, dtype=torch.double)
    steps = len(step.batches.plan)
    for at in range(WARM + DRAWS):
        if at % steps == 0:
            step.begin_epoch(1 + at // steps)  # a plan of its own, so that what is remembered is not the same batches over and over
        batch = step.examples.batch(step.batches.plan[at % steps])
        view = worlds.view_of(step, batch, at)
        with torch.no_grad():
            draw = sampler(view)
        for part in sampler.modules():  # a sampler with memory goes on remembering
            if isinstance(part, Sampler):
                part.end_step(view, draw)
        if at < WARM:
            continue
        with torch.no_grad():
            promised = _expected(step, batch, at)
            promised = promised if draw.rows is None else promised[draw.rows]
            rows = len(promised)
            ids = draw.ids().expand(rows, -1)
            valid = torch.ones_like(ids, dtype=torch.bool) if draw.valid is None else draw.valid.expand_as(ids)
            # what another sampler masks further was drawn all the same; whatever a proposal masks is expected 0 times
            drawn = promised.gather(1, ids) > 0 if isinstance(sampler, Refine) else valid
            observed += torch.bincount(ids[drawn], minlength=items) / rows
            expected += promised.mean(0)
        if draw.log_count is None:
            raise AssertionError(f"{type(sampler).__qualname__}: promises log_count and gives none when asked")
        gap = (draw.log_count.double().expand_as(ids).exp() - promised.gather(1, ids)).abs()
        expect(
            (gap[valid] < 1e-3 * promised.gather(1, ids)[valid] + 1e-6).all(),
            sampler,
            "the log_count of its draw is not that of its ids",
        )
    ratio = float(observed.sum() / expected.sum())
    expect(abs(ratio - 1) < 0.06, sampler, f"log_count is wrong: {ratio:.2f} times as many candidates are drawn as exp(log_count) says")
    gap = (observed - expected).square() / expected.clamp(min=1.0)
    expect(gap.mean() < 2, sampler, f"log_count is wrong: the mean of (observed - expected)^2 / expected is {gap.mean():.1f}, not about 1")
    worst = gap.max().sqrt()
    expect(worst < 5.5, sampler, f"log_count is wrong: observed counts are up to {worst:.1f} standard errors from exp(log_count)")


def _expected(step: Step, batch: Batch, at: int) -> torch.Tensor:
    """[R, N]: how often each item is expected to be a valid candidate, by asking for the whole catalogue."""
    view = worlds.view_of(step, batch, at)
    everything = torch.arange(step.catalog.num_items)[None]
    parts = [step.sampler] if isinstance(step.sampler, Proposal) else [p for p in step.sampler.modules() if isinstance(p, Proposal)]
    counts = [part.log_valid_count(view, everything).double().exp().expand(len(batch), -1) for part in parts]
    return torch.stack(counts).sum(0)


def _device(step: Step) -> None:
    batch, counts = worlds.first_batch(step), _counts(step)
    view = worlds.view_of(step, batch, counts=counts)
    with torch.no_grad(), worlds.no_default_device():
        try:
            draw = step.sampler(view)
        except (RuntimeError, NotImplementedError) as error:
            raise AssertionError(f"{type(step.sampler).__qualname__} allocates without naming its device: {error}") from None
    expect(draw.ids().device == batch.target.device, step.sampler, "its ids are not on the batch's device")


def _trains(step: Step) -> None:
    value = step(worlds.first_batch(step), 1, 7)
    scored = step.scored
    assert isinstance(scored, Scored)
    value.backward()
    gradients = [p.grad for p in step.model.parameters() if p.grad is not None]
    expect(torch.isfinite(value) and all(torch.isfinite(g).all() for g in gradients), step.sampler, "gives a step that is not finite")
    expect(len(gradients) > 0, step.sampler, "gives a step without gradient")
