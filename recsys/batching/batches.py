"""The base of all batch policies."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from recsys.errors import ConfigError
from recsys.part import Part
from recsys.step import EpochView

MOST = 1 << 30
"""Examples that a policy may put in an order: 8 GiB of ids, and as much again to shuffle them."""


class Batches(Part):
    """A subclass writes :meth:`epoch`. The plan of an epoch follows from the seed and the epoch alone, so a resumed run makes it again.

    ``size``: examples in a batch (the last one of an epoch may be smaller).
    """

    def __init__(self, *, size: int = 2048) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size is {size}; a batch holds at least 1 example")
        self.size = size
        self.plan: list[Tensor] = []
        self._log_prob: Tensor | None = None

    def gives(self, have: set[str]) -> set[str]:
        return {"log_prob"}

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        """Batches of example ids of ``among``: [B], each its own group, or [G, k], k examples in each group."""
        raise NotImplementedError

    def begin_epoch(self, view: EpochView) -> None:
        """Plan the epoch: ``plan`` holds one tensor of example ids a batch."""
        if len(view.examples) > MOST:
            raise ConfigError(
                f"batches: {type(self).__name__} puts all {len(view.examples):,} examples in an order, at most {MOST:,}; "
                "a policy that draws from them has no such bound (Balanced for LabelledPairs)"
            )
        self.start(view, self.epoch(view, torch.arange(len(view.examples))))

    def start(self, view: EpochView, plan: Iterator[Tensor]) -> None:
        """Take a plan for the epoch."""
        self._view = view
        self._log_prob = None
        self.plan = list(plan)

    def target_share(self, view: EpochView) -> Tensor:
        """float64 [N]: the probability of each item to be the target of a row of this plan (sums to 1)."""
        ids = torch.cat([batch.flatten() for batch in self.plan]).to(view.catalog.device)
        share = view.examples.target_counts(ids, view.catalog.num_items)
        return share / share.sum()

    def log_prob(self, items: Tensor) -> Tensor:
        """log of the probability of items to be a row's target, float32, shaped like ``items``; computed on first use in an epoch."""
        if self._log_prob is None:
            self._log_prob = self.target_share(self._view).clamp(min=1e-12).log().float()
        return self._log_prob[items]
