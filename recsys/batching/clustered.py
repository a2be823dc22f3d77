from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.batching.batches import Batches
from recsys.catalog import Catalog
from recsys.kmeans import kmeans
from recsys.recommender import Trained
from recsys.scorer import DotScorer
from recsys.step import EpochView

QUERIES = 4096
"""Owners whose vectors are asked for at a time."""


class Clustered(Batches):
    """Batches of like owners, so that in-batch candidates are hard; every example once an epoch.

    NGAME (Dahiya et al. 2023, arXiv 2207.04452): before every ``every``-th epoch the owners are clustered (k-means on their vectors as
    queries, of length 1), each cluster's examples are cut into pieces of ``size`` / ``mix``, and a batch is made of ``mix`` pieces drawn at
    random. With ``mix=1`` a batch is of one cluster, as in topic-aware sampling (TAS; Hofstaetter et al. 2021, arXiv 2104.06967) and
    stratified pre-training (Merrick 2024, arXiv 2407.18887). Their clusters are balanced; here the last piece of a cluster is filled up
    from the next one. Clustering takes U x ``clusters`` products ten times over.

    What is in a batch depends on the row, so expected counts of in-batch candidates are not known and logq is refused. The clusters are
    kept with a checkpoint: a run that goes on has the same batches.
    """

    def __init__(self, *, size: int = 2048, clusters: int = 100, mix: int = 8, every: int = 1) -> None:
        super().__init__(size=size)
        if clusters < 1:
            raise ValueError(f"clusters is {clusters}; there is at least 1")
        if not 1 <= mix <= size:
            raise ValueError(f"mix is {mix}; a batch of {size} examples is made of 1 to {size} pieces")
        if every < 1:
            raise ValueError(f"every is {every}; it is a number of epochs, at least 1")
        self.clusters, self.mix, self.every = clusters, mix, every

    cluster: Tensor
    made: Tensor

    def needs(self) -> dict[str, str]:
        return {"vectors": "it clusters owners by their vectors", "positives": "it deals with observed events"}

    def gives(self, have: set[str]) -> set[str]:
        return set()

    def setup(self, catalog: Catalog) -> None:
        self.register_buffer("cluster", torch.zeros(catalog.num_owners, dtype=torch.long))
        self.register_buffer("made", torch.tensor(0))  # the epoch that the clusters were made in

    def epoch(self, view: EpochView, among: Tensor) -> Iterator[Tensor]:
        key = torch.rand(len(among), generator=view.generator, dtype=torch.float64)
        piece = self.size // self.mix
        order = torch.randperm(-(-len(among) // piece), generator=view.generator)
        if (view.epoch - 1) % self.every == 0 and int(self.made) != view.epoch:
            self.cluster.copy_(self._clusters(view))
            self.made.fill_(view.epoch)
        examples = view.examples
        owner = torch.empty(len(examples), dtype=torch.long).index_copy_(0, examples.example.cpu(), examples.owner.cpu())
        label = self.cluster.cpu()[owner[among]]
        like = torch.split(among[(label + key).argsort(stable=True)], piece)
        shuffled = [like[i] for i in order.tolist()]
        for at in range(0, len(shuffled), self.mix):
            yield torch.cat(shuffled[at : at + self.mix])

    def _clusters(self, view: EpochView) -> Tensor:
        """int64 [U]."""
        trained, vectors = Trained(view.model), []
        for asked in view.catalog.histories().blocks(QUERIES):
            score = trained.scorer(asked)
            assert isinstance(score, DotScorer), "the model promised vectors"
            vectors.append(F.normalize(score.query, dim=1))
        return kmeans(torch.cat(vectors), self.clusters, view.generator)
