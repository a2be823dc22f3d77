"""Penalties: a scalar added to the step's loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


class Uniformity(Penalty):
    """weight times (U(queries) + U(targets)) / 2: U = log of the mean over pairs of rows of exp(-``t`` |x - y|^2), of vectors of length 1.

    Wang and Isola 2020 (arXiv 2005.10242): it spreads vectors over the sphere. With the loss :class:`recsys.losses.Alignment`
    this is DirectAU (Wang et al. 2022, arXiv 2206.12811), the weight its gamma. Pairs of rows of the same owner (for queries)
    or of the same target are left out: the authors' code has them with distance 0, which no training can change. A batch without any pair
    gets 0.

    Takes time and memory in the square of the rows of a batch.
    """

    def __init__(self, *, weight: float = 1.0, t: float = 2.0) -> None:
        super().__init__(weight=weight)
        if not t > 0:
            raise ValueError(f"t is {t}; the scale of distances is above 0")
        self.t = t

    def needs(self) -> dict[str, str]:
        return {"vectors": "it spreads the vectors of the batch"}

    def forward(self, model: nn.Module, scored: Scored) -> Tensor:
        query, target = _directions(scored)
        owner = scored.batch.owner
        return self.weight / 2 * (_spread(query, _other(owner), self.t) + _spread(target, _other(scored.batch.target), self.t))


class DecoupledUniformity(Penalty):
    """weight times the log of the mean over pairs of rows of exp(-|m - m'|^2), m = (u + i) / 2 the middle of a row's query and target, of
    length 1 each.

    Dufumier et al. 2023 (arXiv 2206.01646), their views of one image being here a user and an item: middles lie far apart only if they are
    long, so that queries and targets that belong together are drawn to one another too, though no row's own pair is in the sum. Meant with
    the loss :class:`recsys.losses.Alignment`; their kernel, for images known to be alike, is left out. Pairs of rows with the same owner or
    the same target do not count. Takes time and memory in the square of the rows of a batch.
    """

    def __init__(self, *, weight: float = 1.0) -> None:
        super().__init__(weight=weight)

    def needs(self) -> dict[str, str]:
        return {"vectors": "it spreads the vectors of the batch"}

    def forward(self, model: nn.Module, scored: Scored) -> Tensor:
        query, target = _directions(scored)
        return self.weight * _spread((query + target) / 2, _other(scored.batch.owner) & _other(scored.batch.target), 1.0)


def _directions(scored: Scored) -> tuple[Tensor, Tensor]:
    """Queries and targets of the rows, [R, D] each, scaled to length 1."""
    score = scored.score
    assert isinstance(score, DotScorer), "the model promised vectors"
    return F.normalize(score.query, dim=1), F.normalize(score.items(scored.batch.target), dim=1)


def _other(ids: Tensor) -> Tensor:
    """bool [R, R]: the rows whose ids differ."""
    return ids[:, None] != ids


def _spread(vectors: Tensor, counted: Tensor, t: float) -> Tensor:
    """The log of the mean over the counted pairs of exp(-t |x - y|^2); 0 where there is none."""
    norm = vectors.square().sum(1)
    distance = norm[:, None] + norm - 2 * vectors @ vectors.T
    pairs = counted.sum()
    logit = torch.where(counted, -t * distance, -torch.inf)
    logit = torch.where(pairs > 0, logit, 0.0)
    return torch.where(pairs > 0, logit.flatten().logsumexp(0) - pairs.clamp(min=1).to(logit.dtype).log(), 0.0)


__all__ = ["DecoupledUniformity", "FullTable", "Penalty", "TouchedRows", "Uniformity"]
