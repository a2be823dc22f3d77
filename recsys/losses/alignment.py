from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from recsys.losses.loss import Loss
from recsys.scorer import DotScorer
from recsys.step import Scored


class Alignment(Loss):
    """|u - i|^2 of a row's query and target, scaled to length 1: 2 - 2 cos(u, i). No candidates.

    Wang and Isola 2020 (arXiv 2005.10242, with alpha = 2). Alone it puts all vectors into one point; with the penalty
    :class:`recsys.penalties.Uniformity` and its weight gamma it is DirectAU (Wang et al. 2022, arXiv 2206.12811), and with
    :class:`recsys.penalties.DecoupledUniformity` the loss of Dufumier et al. 2023. Models of cosines serve what is trained; DirectAU's code
    serves dot products of the vectors as they are, which a model of dot products does here too.
    """

    def needs(self) -> dict[str, str]:
        return {
            "positives": "every row must be a positive",
            "vectors": "it looks at distances of vectors",
            "alone": "it would ignore drawn candidates; the sampler Nothing draws none",
        }

    def forward(self, scored: Scored) -> Tensor:
        score = scored.score
        assert isinstance(score, DotScorer), "the model promised vectors"
        return (F.normalize(score.query, dim=1) - F.normalize(score.items(score.target), dim=1)).square().sum(1)
