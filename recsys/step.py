"""The step: the one place where model, sampler and loss meet. Shapes: R rows, K candidates of a row, G groups."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Holdout
from recsys.diagnostics import Diagnostics
from recsys.errors import ConfigError
from recsys.part import Part
from recsys.pool import Draw
from recsys.randomness import generator
from recsys.scorer import Scorer

if TYPE_CHECKING:
    from recsys.batching import Batches
    from recsys.examples import Examples
    from recsys.losses import Loss
    from recsys.models import Model
    from recsys.penalties import Penalty
    from recsys.sampling import Sampler

Denominator = Literal["rows", "weights", "sum"]


@dataclass(frozen=True)
class Scored:
    """What a loss sees: ``positive`` [R], ``negative`` [R, K], and where they come from."""

    positive: Tensor
    negative: Tensor
    batch: Batch
    score: Scorer
    draw: Draw
    catalog: Catalog

    @staticmethod
    def of(batch: Batch, score: Scorer, draw: Draw, catalog: Catalog) -> Scored:
        return Scored(score.positive(), scores_of(score, draw), batch, score, draw, catalog)

    def valid(self) -> Tensor | None:
        """float [R, K]: 1 where a candidate counts; None where all do."""
        return None if self.draw.valid is None else self.draw.valid.to(self.negative.dtype).expand_as(self.negative)

    def number(self) -> Tensor:
        """[R]: valid candidates of each row."""
        valid = self.valid()
        return self.positive.new_full(self.positive.shape, self.negative.shape[1]) if valid is None else valid.sum(1)

    def mean(self, x: Tensor) -> Tensor:
        """[R]: the mean of x [R, K] over a row's valid candidates, weighted by the draw's shares; 0 for a row without any."""
        valid = self.valid()
        if self.draw.share is not None:
            return (x * (self.draw.share if valid is None else self.draw.share * valid)).sum(1)
        if valid is None:
            return x.mean(1) if x.shape[1] else x.new_zeros(len(x))
        return (x * valid).sum(1) / valid.sum(1).clamp(min=1)

    def masked(self, x: Tensor) -> Tensor:
        """x [R, K] with -inf where a candidate is not valid."""
        return x if self.draw.valid is None else x.masked_fill(~self.draw.valid, -torch.inf)


def scores_of(score: Scorer, draw: Draw) -> Tensor:
    """[R, K]: a scorer over all pools of a draw."""
    scores = [score(pool) for pool in draw.pools]
    return scores[0] if len(scores) == 1 else torch.cat(scores, 1)


@dataclass(frozen=True)
class View:
    """All that a sampler may look at in a step. Scores carry no gradient. ``counts``: somebody needs the draw's ``log_count``."""

    batch: Batch
    score: Scorer
    loss: Loss
    catalog: Catalog
    batches: Batches
    epoch: int
    step: int
    generator: torch.Generator
    counts: bool = False

    def scores(self, draw: Draw) -> Tensor:
        """[R, K]: the candidates' scores, -inf where not valid."""
        scores = scores_of(self.score, draw)
        return scores if draw.valid is None else scores.masked_fill(~draw.valid, -torch.inf)

    def losses(self, draw: Draw) -> Tensor:
        """[R]: the loss of each row against this draw."""
        losses: Tensor = self.loss(Scored.of(self.batch, self.score, draw, self.catalog))
        return losses

    def take(self, rows: Tensor) -> View:
        return replace(self, batch=self.batch.take(rows), score=self.score.take(rows))


@dataclass(frozen=True)
class EpochView:
    """What batches and samplers may look at before an epoch."""

    model: Model
    examples: Examples
    catalog: Catalog
    epoch: int
    generator: torch.Generator


class Step(nn.Module):
    """Everything of a training run that has state, in one module: its ``state_dict`` (with the optimiser's) is the checkpoint."""

    def __init__(
        self,
        model: Model,
        batches: Batches,
        sampler: Sampler,
        loss: Loss,
        penalty: Penalty | None = None,
        denominator: Denominator = "rows",
        seed: int = 0,
        diagnostics: int = 0,
    ) -> None:
        """``diagnostics``: steps of an epoch to look at (:class:`recsys.diagnostics.Diagnostics`)."""
        super().__init__()
        self.model, self.batches, self.sampler, self.loss, self.penalty = model, batches, sampler, loss, penalty
        self.denominator: Denominator = denominator
        self.seed, self.looks = seed, diagnostics
        self.diagnostics: Diagnostics | None = None
        self._clock: tuple[float, float] | None = None  # of a step that is looked at: when it began, and seconds in the sampler
        self.view: View | None = None
        self.draw: Draw | None = None
        self.scored: Scored | None = None
        self.noise: Tensor | None

    def setup(self, catalog: Catalog, examples: Examples, held_out: Holdout | None = None) -> Step:
        """Make parameters and buffers, on the CPU from the global generator; ``examples`` are loaded already. ``held_out``: the validation
        part, for the diagnostics to count by."""
        self.catalog, self.examples = catalog, examples
        parts = [part for part in self.modules() if isinstance(part, Part)]
        self.counts = any("log_count" in part.needs() for part in parts)
        for part in parts:
            part.setup(catalog)
        # rows of this epoch that were offered, and those learnt from: how many, and how many of them are noise
        self.register_buffer("noise", torch.zeros(2, 2, dtype=torch.long) if catalog.noisy else None)
        self.diagnostics = Diagnostics(catalog, self.looks, held_out) if self.looks else None
        return self

    def begin_epoch(self, epoch: int, *, resumed: bool = False) -> None:
        """Let examples choose what they show, plan the epoch's batches, and let samplers refresh what they keep."""
        for name, part in [("examples", self.examples), ("batches", self.batches), *self.sampler.named_modules(prefix="sampler")]:
            # a sampler's state came with the checkpoint
            if isinstance(part, Part) and (not resumed or part is self.examples or part is self.batches):
                stream = generator(self.seed, "epoch", name, epoch)
                part.begin_epoch(EpochView(self.model, self.examples, self.catalog, epoch, stream))

    def forward(self, batch: Batch, epoch: int, step: int) -> Tensor:
        """The value to minimise, a scalar."""
        device = batch.target.device
        looked = self.diagnostics is not None and self.diagnostics.wants(step, len(self.batches.plan))
        began = _now(device) if looked else 0.0
        score = self.model(batch)
        with torch.no_grad():
            stream = generator(self.seed, "draw", epoch, step, device=device)
            view = View(batch, score.detach(), self.loss, self.catalog, self.batches, epoch, step, stream, self.counts)
            asked = _now(device) if looked else 0.0
            draw = self.sampler(view)
            self._clock = (began, _now(device) - asked) if looked else None
        if draw.rows is not None:
            batch, score = batch.take(draw.rows), score.take(draw.rows)
        scored = Scored.of(batch, score, draw, self.catalog)
        if looked and self.diagnostics is not None:
            self.diagnostics.watch(scored)
        loss = self.loss(scored)
        if loss.shape != scored.positive.shape:
            given = f"{type(self.loss).__name__} gave a tensor of shape {list(loss.shape)}"
            raise ConfigError(f"loss: {given} for {len(scored.positive)} rows; a loss gives one value a row, the step averages them")
        value = reduce(loss, batch.weight, draw.weight, self.denominator)
        if self.penalty is not None:
            value = value + self.penalty(self.model, scored)
        self.view, self.draw, self.scored = view, draw, scored
        return value

    def end_step(self) -> None:
        """Let samplers take note of the step (queues); called after the optimiser."""
        for part in self.sampler.modules():
            if isinstance(part, Part) and self.view is not None and self.draw is not None:
                part.end_step(self.view, self.draw)
        if self.diagnostics is not None and self._clock is not None and self.scored is not None:
            began, in_sampler = self._clock
            self.diagnostics.take(self.scored, in_sampler, _now(self.scored.positive.device) - began)
        if self.noise is not None and self.view is not None and self.scored is not None:
            self.noise += torch.stack([self._noise_in(self.view.batch), self._noise_in(self.scored.batch)])
        self.view = self.draw = self.scored = None

    def _noise_in(self, batch: Batch) -> Tensor:
        """int64 [2]: the observed rows of a batch, and those among them that were added as noise."""
        observed = torch.ones_like(batch.target, dtype=torch.bool) if batch.label is None else batch.label > 0
        return torch.stack([observed.sum(), (observed & self.catalog.injected(batch.owner, batch.target)).sum()])

    def figures(self) -> dict[str, float]:
        """Of the epoch that just ended: what its candidates were like (``sampler.``), and where noise was added to the training log, its
        share among the rows that the batches offered and among those that were learnt from (a sampler may keep some only)."""
        found = {} if self.diagnostics is None else {f"sampler.{name}": value for name, value in self.diagnostics.figures().items()}
        if self.noise is not None:
            (offered, noisy), (learnt, kept) = self.noise.tolist()
            self.noise.zero_()
            found |= {"rows.noisy_share_offered": noisy / max(offered, 1), "rows.noisy_share": kept / max(learnt, 1)}
        return found


def _now(device: torch.device) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def reduce(loss: Tensor, row_weight: Tensor | None, draw_weight: Tensor | None, denominator: Denominator) -> Tensor:
    """One number from the loss of each row [R]: the weighted sum over the number of rows, over the sum of weights, or as it is."""
    weight = row_weight if draw_weight is None else draw_weight if row_weight is None else row_weight * draw_weight
    total = loss.sum() if weight is None else (loss * weight).sum()
    if denominator == "sum":
        return total
    if denominator == "rows" or weight is None:
        return total / max(len(loss), 1)
    return total / weight.sum().clamp(min=1e-12)
