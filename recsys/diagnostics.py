"""What a sampler's candidates are like: figures of an epoch, from a few of its own steps.

Shapes: R rows, K candidates of a row, N items.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recsys.catalog import Catalog, contains
from recsys.data.log import Holdout

if TYPE_CHECKING:
    from recsys.step import Scored

SHARES = (
    "false_negative_rate",
    "hardness",
    "zero_gradient_share",
    "duplicate_share",
    "effective_sample_size",
    "valid_share",
    "popularity",
    "time_share",
)
GROUPS = 10
APART = 8
"""Of so many steps in a row at most one is looked at, so that short epochs do not spend their time on this."""
MOST, LEAST = 1 << 14, 16
"""Candidates looked at in a step, about; but those of at least so many rows."""


class Diagnostics(nn.Module):
    """Figures about the candidates that a step has drawn and scored, of ``number`` steps spread evenly over an epoch.

    Nothing random is used and nothing is computed again: weights are the same with and without it, to the bit. Of a step with many
    candidates some rows are taken, spread evenly. Rows labelled 0 are left out. Over the valid candidates of the rows looked at:

    * ``false_negative_rate``: the share that the row's owner has in the validation part, which is read for this count alone. Absent
      where there is none, or where it has no owner of the training log.
    * ``hardness``: the share that scores above the row's positive.
    * ``zero_gradient_share``: the share whose score gets a gradient of exactly 0 from the step's loss (weights of rows included).
    * ``duplicate_share``: the share whose item is in the row's candidates already.
    * ``effective_sample_size``: (sum w)^2 / sum w^2 as a share of their number, the mean over rows; w is the draw's share times
      1 / expected count, as far as they are given. Absent without either.
    * ``popularity``: the mean percentile of the items' training counts; 0.5 for uniform draws, near 1 where only the most popular come.
    * ``popularity_kl``: of the draws to the training events, in nats, the items in ten groups: from the most popular on, each group has
      about a tenth of the events. By item the estimate from so few draws would be far too large; by group it is a lower bound, 0 for draws
      in proportion to popularity.

    and further ``valid_share``, of all candidates, and ``time_share``, the seconds in the sampler over those in the step.
    ``groups`` holds the share of the draws in each of the ten groups, of the epoch whose figures were asked for last.
    """

    def __init__(self, catalog: Catalog, number: int, held_out: Holdout | None = None) -> None:
        super().__init__()
        self.number, self.num_items = number, catalog.num_items
        self.groups: list[float] = []
        self._still: Tensor | None = None  # bool [rows looked at, K]: the gradient is 0
        count = catalog.counts.cpu().double()
        ordered = count.sort().values
        ties = torch.searchsorted(ordered, count), torch.searchsorted(ordered, count, right=True)
        order = count.argsort(descending=True, stable=True)
        middle = count[order].cumsum(0) - count[order] / 2
        group = torch.empty_like(order).index_copy_(0, order, (middle / count.sum() * GROUPS).long().clamp_(max=GROUPS - 1))
        self.register_buffer("percentile", (ties[0] + ties[1]) / (2 * len(count)), persistent=False)
        self.register_buffer("group", group, persistent=False)
        self.register_buffer("events", torch.bincount(group, count, minlength=GROUPS) / count.sum(), persistent=False)
        self.register_buffer("wanted", None if held_out is None else pairs_of(held_out, catalog.num_items), persistent=False)
        # what has been counted in this epoch, kept with a checkpoint: numerator and denominator of each share, draws in each group
        self.register_buffer("totals", torch.zeros(len(SHARES), 2, dtype=torch.float64))
        self.register_buffer("drawn", torch.zeros(GROUPS, dtype=torch.float64))

    percentile: Tensor
    group: Tensor
    events: Tensor
    wanted: Tensor | None
    totals: Tensor
    drawn: Tensor

    def wants(self, step: int, steps: int) -> bool:
        """Whether to look at ``step`` (from 0) of ``steps``."""
        number = max(1, min(self.number, steps // APART))
        return (step * number + steps // 2) % steps < number

    def watch(self, scored: Scored) -> None:
        """Before the backward pass of a step: take note of which gradients are 0 as it comes by, without keeping it."""
        self._still = None
        if not scored.negative.requires_grad:
            return
        rows = _rows(scored)

        def note(gradient: Tensor) -> None:
            self._still = gradient[rows] == 0

        scored.negative.register_hook(note)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def take(self, scored: Scored, sampler_seconds: float, step_seconds: float) -> None:
        """Count a step, after its backward pass."""
        self._add("time_share", sampler_seconds, step_seconds)
        rows = _rows(scored)
        if not scored.negative.shape[1] or not len(rows):
            return
        batch, draw = scored.batch.take(rows), scored.draw.take(rows)
        ids = draw.ids().expand(len(rows), -1)
        valid = torch.ones_like(ids, dtype=torch.bool) if draw.valid is None else draw.valid.expand_as(ids)
        number = valid.sum()

        def share(name: str, found: Tensor) -> None:
            self._add(name, (found & valid).sum(), number)

        share("hardness", scored.negative[rows] > scored.positive[rows, None])
        share("duplicate_share", _repeated(ids, valid))
        if self.wanted is not None and len(self.wanted):
            share("false_negative_rate", contains(self.wanted, batch.owner[:, None] * self.num_items + ids))
        if self._still is not None:
            share("zero_gradient_share", self._still)
            self._still = None
        if draw.share is not None or draw.log_count is not None:
            size = _effective(draw.share, draw.log_count, valid)
            self._add("effective_sample_size", size.sum(), (size > 0).sum())
        self._add("valid_share", number, valid.numel())
        weight = valid.double()
        self._add("popularity", (self.percentile[ids] * weight).sum(), number)
        self.drawn += torch.bincount(self.group[ids].flatten(), weight.flatten(), minlength=GROUPS)

    def figures(self) -> dict[str, float]:
        """The figures of the epoch, which is then forgotten."""
        found = {name: part / whole for name, (part, whole) in zip(SHARES, self.totals.tolist(), strict=True) if whole > 0}
        drawn = self.drawn.sum()
        self.groups = (self.drawn / drawn).tolist() if drawn > 0 else []
        if self.groups:
            pairs = zip(self.groups, self.events.tolist(), strict=True)
            found["popularity_kl"] = sum(p * math.log(p / q) for p, q in pairs if p > 0 and q > 0)
        self.totals.zero_()
        self.drawn.zero_()
        return found

    def _add(self, name: str, part: Tensor | float, whole: Tensor | float) -> None:
        at = SHARES.index(name)
        self.totals[at, 0] += part
        self.totals[at, 1] += whole


def pairs_of(held_out: Holdout, num_items: int) -> Tensor:
    """int64, ascending: the held-out pairs as owner * N + item, of owners that training knows."""
    owner = held_out.histories.owner.repeat_interleave(held_out.offsets.diff())
    found: Tensor = torch.unique((owner * num_items + held_out.items)[owner >= 0])
    return found


def _rows(scored: Scored) -> Tensor:
    """int64: the rows to look at."""
    (rows, width), label, device = scored.negative.shape, scored.batch.label, scored.negative.device
    among = torch.arange(rows, device=device) if label is None else (label > 0).nonzero()[:, 0]
    number = min(len(among), max(LEAST, MOST // max(width, 1)))
    return among[torch.arange(number, device=device) * len(among) // max(number, 1)]


def _repeated(ids: Tensor, valid: Tensor) -> Tensor:
    """bool [R, K]: as many as there are repetitions in a row, one for each valid candidate after the first of its item."""
    found = torch.zeros_like(valid)
    if ids.shape[1] > 1:
        apart = -1 - torch.arange(ids.shape[1], device=ids.device)
        order = torch.where(valid, ids, apart).sort(1)
        again = order.values[:, 1:] == order.values[:, :-1]
        found.scatter_(1, order.indices[:, 1:], again)
    return found


def _effective(share: Tensor | None, log_count: Tensor | None, valid: Tensor) -> Tensor:
    """float64 [R]: the effective sample size of a row's weights as a share of its valid candidates; 0 for a row without any."""
    log_weight = torch.zeros_like(valid, dtype=torch.float64)
    if share is not None:
        log_weight = log_weight + share.double().log()
    if log_count is not None:
        log_weight = log_weight - log_count.double()
    log_weight = log_weight.masked_fill(~valid, -torch.inf)
    weight = (log_weight - log_weight.amax(1, keepdim=True)).exp().nan_to_num(0.0)
    return weight.sum(1).square() / weight.square().sum(1).clamp(min=1e-300) / valid.sum(1).clamp(min=1)
