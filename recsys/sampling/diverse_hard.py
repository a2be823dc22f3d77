from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.catalog import Catalog
from recsys.kmeans import kmeans
from recsys.pool import Draw
from recsys.recommender import Trained
from recsys.sampling.sampler import Refine, Sampler
from recsys.scorer import DotScorer
from recsys.step import EpochView, View


class DiverseHard(Refine):
    """Of each cluster of items, the candidate of the base that the model now scores highest: hard negatives that differ from each other.

    Diverse outlier sampling (DOS; Jiang et al. 2024, arXiv 2306.02031): j_c = argmax of s_j over the candidates in cluster c, for
    c = 1..``clusters``. The clusters are those of k-means on the vectors of length 1, as in the paper; there each batch of candidates is
    clustered anew, here the catalogue is, before every ``every``-th epoch, which costs N x clusters products an epoch and nothing a step.

    A row has as many candidates as there are clusters; where none of its own is in a cluster, that one is not valid. One cluster is
    :class:`recsys.sampling.TopK` with k = 1. Take the hardest few of them with ``TopK(DiverseHard(...), k=...)``.
    """

    def __init__(self, base: Sampler, *, clusters: int = 10, every: int = 1) -> None:
        super().__init__(base)
        if clusters < 1:
            raise ValueError(f"clusters is {clusters}; there is at least 1, and one candidate of each is kept")
        if every < 1:
            raise ValueError(f"every is {every}; it is a number of epochs, at least 1")
        self.clusters, self.every = clusters, every

    cluster: Tensor

    def needs(self) -> dict[str, str]:
        return {"vectors": "it clusters the items by their vectors"}

    def setup(self, catalog: Catalog) -> None:
        self.register_buffer("cluster", torch.zeros(catalog.num_items, dtype=torch.long))

    def begin_epoch(self, view: EpochView) -> None:
        if (view.epoch - 1) % self.every:
            return
        score = Trained(view.model).scorer(view.catalog.histories().take(slice(0, 1)))
        assert isinstance(score, DotScorer), "the model promised vectors"
        self.cluster.copy_(kmeans(F.normalize(score.table, dim=1), self.clusters, view.generator))

    def refine(self, view: View, draw: Draw) -> Draw:
        scores = view.scores(draw)
        rows, width = scores.shape
        cluster = self.cluster[draw.ids()].expand(rows, -1)
        best = scores.new_full((rows, self.clusters), -torch.inf).scatter_reduce_(1, cluster, scores, "amax")
        column = torch.arange(width, device=scores.device).expand(rows, -1)
        column = column.masked_fill(scores < best.gather(1, cluster), width)
        first = column.new_full((rows, self.clusters), width).scatter_reduce_(1, cluster, column, "amin")  # of equals the first
        return replace(draw.pick(first.clamp(max=width - 1)), valid=best != -torch.inf)
