from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from recsys.batching.batches import Batches
from recsys.batching.shuffled import Shuffled
from recsys.errors import ConfigError
from recsys.step import EpochView


class Subsampled(Batches):
    """Frequent items are learnt from less often: another policy's batches of the examples that are kept in this epoch.

    word2vec's subsampling (Mikolov et al. 2013, arXiv 1310.4546, equation 5): with f_i the share of the training rows whose target is
    item i, an example of it is kept with probability min(1, sqrt(``threshold`` / f_i)), drawn anew every epoch. 1e-5 is common for words;
    items are fewer, and 1e-3 to 1e-4 leaves most of a log of some 10,000 items. With ``threshold=1`` everything is kept.
    ``base``: makes the batches (default: shuffled ones). In-batch candidates are corrected by what is expected to be kept.
    """

    def __init__(self, base: Batches | None = None, *, threshold: float = 1e-3) -> None:
        base = base if base is not None else Shuffled()
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold is {threshold}; a share of the training rows is above 0 and at most 1")
        super().__init__(size=base.size)
        self.base, self.threshold = base, threshold

    def needs(self) -> dict[str, str]:
        return {**self.base.needs(), "pairs": "it keeps or drops rows, and an example must be one", "positives": "it thins out targets"}

    def gives(self, have: set[str]) -> set[str]:
        """The law of the targets is known where the base has every example that it is given once."""
        once = type(self.base).target_share is Batches.target_share
        return self.base.gives(have) - (set() if once else {"log_prob"})

    def kept(self, view: EpochView) -> Tensor:
        """float64 [N]: the probability that an example of an item is kept."""
        examples = view.examples
        share = torch.bincount(examples.target, minlength=view.catalog.num_items).double() / max(len(examples.target), 1)
        return (self.threshold / share.clamp(min=1e-300)).sqrt().clamp(max=1)

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        chance = self.kept(view)[view.examples.target].to(among.device)[among]
        left = among[torch.rand(len(among), generator=view.generator, dtype=torch.float64) < chance]
        if not len(left):
            expected = math.floor(float(chance.sum()))
            raise ConfigError(f"batches: Subsampled keeps {expected} of {len(among):,} examples with threshold={self.threshold}; raise it")
        yield from self.base.epoch(view, left)

    def target_share(self, view: EpochView) -> Tensor:
        """What is expected over all draws of the examples that are kept."""
        share = torch.bincount(view.examples.target, minlength=view.catalog.num_items).double() * self.kept(view)
        return share / share.sum()
