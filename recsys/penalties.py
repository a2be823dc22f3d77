"""Penalties: a scalar added to the step's loss."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from recsys.part import Part
from recsys.propagation import PropagatedScorer
from recsys.scorer import DotScorer
from recsys.step import Scored


class Penalty(Part):
    """``forward(model, scored) -> scalar``. ``weight``: its factor. ``dense`` (class attribute): every row of a table gets a gradient."""

    dense: ClassVar[bool] = False

    def __init__(self, *, weight: float = 1e-4) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight is {weight}; a penalty's weight is at least 0")
        self.weight = weight

    def forward(self, model: nn.Module, scored: Scored) -> Tensor:
        raise NotImplementedError


class FullTable(Penalty):
    """weight / 2 times the squared norm of every embedding table, all rows, at every step (SimpleX, Rel-MF, NBPO)."""

    dense = True

    def forward(self, model: nn.Module, scored: Scored) -> Tensor:
        norms = [m.weight.square().sum() for m in model.modules() if isinstance(m, nn.Embedding)]
        return self.weight / 2 * sum(norms, scored.positive.new_zeros(()))


class TouchedRows(Penalty):
    """weight / 2 times the squared norms of what the batch touched: queries, targets and candidates, summed, over the number of rows.

    As in LightGCN and PLD (He et al. 2020, equation 15, on the batch): a row's vectors count as often as they were drawn. Of propagated
    vectors, those before propagation count.
    """

    def needs(self) -> dict[str, str]:
        return {"vectors": "it shrinks the vectors of the batch"}

    def forward(self, model: nn.Module, scored: Scored) -> Tensor:
        rows = max(len(scored.positive), 1)
        score = scored.score.ego if isinstance(scored.score, PropagatedScorer) else scored.score
        assert isinstance(score, DotScorer), "the model promised vectors"
        total = score.query.square().sum() + score.items(scored.batch.target).square().sum()
        for pool in scored.draw.pools:
            if pool.width:
                total = total + score.items(pool.items).square().sum()
        return self.weight / 2 * total / rows


__all__ = ["FullTable", "Penalty", "TouchedRows"]
