from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from recsys.catalog import Catalog
from recsys.losses.softmax import Softmax
from recsys.step import Scored


class ProductOfExperts(Softmax):
    """Softmax of s + ``strength`` log p, p an item's share of the training events: the model learns what popularity does not explain.

    Sanh et al. 2021 (arXiv 2012.01300): the product of the model's distribution and that of a weak one, here of popularity alone, is
    trained to predict the target, and no gradient passes through the weak part. The scores are served without it, so that a ranking owes
    less to popularity; on test data as popular as the training data its recall is lower for that. p = (events + 1) / (all events + N).

    ``temperature`` and ``logq`` as in :class:`Softmax`: e^{s/T} p^strength. With strength 0 it is that loss. Candidates drawn in proportion
    to p, without logq, lead Softmax to the same scores, log P(item | user) - log p.
    """

    weak: Tensor

    def __init__(self, *, strength: float = 1.0, temperature: float = 1.0, logq: bool = False) -> None:
        super().__init__(temperature=temperature, logq=logq)
        if not 0 <= strength < float("inf"):
            raise ValueError(f"strength is {strength}; the power of the popularity is at least 0 and finite")
        self.strength = strength

    def setup(self, catalog: Catalog) -> None:
        share = (catalog.counts.double() + 1) / (catalog.counts.sum() + catalog.num_items)
        self.register_buffer("weak", share.log().float(), persistent=False)

    def forward(self, scored: Scored) -> Tensor:
        factor = self.strength * self.temperature
        positive = scored.positive + factor * self.weak[scored.batch.target]
        return super().forward(replace(scored, positive=positive, negative=scored.negative + factor * self.weak[scored.draw.ids()]))
