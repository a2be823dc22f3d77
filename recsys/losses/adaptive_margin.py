from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.scorer import DotScorer
from recsys.step import Scored, scores_of


class AdaptiveMargin(Loss):
    """Self-distilled margins: the mean over candidates of ((s+ - s_j) - (1 - cos(e_+, e_j)))^2, e the vectors of items.

    Gienapp et al. 2024 (arXiv 2407.21515), in our adaptation to users and items: a candidate unlike the positive is to score far below it,
    one like it about the same, by the model's own vectors and without a teacher. No gradient passes through the margin. Margins lie between
    0 and 2, as differences of cosines do.
    """

    monotone = False

    def needs(self) -> dict[str, str]:
        return {**super().needs(), "vectors": "its margins are distances of item vectors"}

    def forward(self, scored: Scored) -> Tensor:
        score = scored.score
        assert isinstance(score, DotScorer), "the model promised vectors"
        with torch.no_grad():
            target = score.target
            alike = DotScorer(F.normalize(score.items(target), dim=1), score.table, target, cosine=True)
            margin = 1 - scores_of(alike, scored.draw).to(scored.negative.dtype)
        return scored.mean((scored.positive[:, None] - scored.negative - margin).square())
