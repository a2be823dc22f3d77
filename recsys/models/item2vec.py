from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.examples import Examples, PairsWithHistory
from recsys.models.model import Model
from recsys.scorer import DotScorer


class Item2Vec(Model):
    """item2vec as a continuous bag of items: score(i) = (mean of the input vectors of the owner's other items) . (output vector of i).

    Barkan and Koenigstein 2016 (arXiv 1603.04259) with their set-wise window (an owner's other items are the context), in the CBOW form of
    Mikolov et al. 2013: the mean of the context predicts the target. The gradient of an input vector carries the 1 / |context| of the mean;
    word2vec.c leaves it out, which is why its CBOW falls behind skip-gram (Irsoy, Benton and Stratos 2021, arXiv 2012.15332). Meant for the
    loss BCE and the sampler Popularity(power=0.75); all others work too. Their subsampling of frequent items is left out. This is also FISM
    (Kabbur et al. 2013) with its exponent alpha = 1.

    It has no vectors of owners: an owner that training has not seen is answered like any other. Without a history, all scores are 0.

    ``init_std``: input vectors start from N(0, init_std^2), output vectors from 0, as word2vec's. ``longest``: keep the last so many
    items of a history; None: all.
    """

    def __init__(self, *, dim: int = 64, init_std: float = 0.1, longest: int | None = None) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim is {dim}; a vector has at least 1 component")
        if not init_std > 0:
            raise ValueError(f"init_std is {init_std}; it must be above 0, or every gradient is 0")
        self.dim, self.init_std, self.longest = dim, init_std, longest

    context: nn.Embedding
    item: nn.Embedding

    def needs(self) -> dict[str, str]:
        return {"history": "it reads what else the owner has"}

    def gives(self, have: set[str]) -> set[str]:
        return {"vectors"}

    def examples(self) -> Examples:
        return PairsWithHistory(longest=self.longest)

    def setup(self, catalog: Catalog) -> None:
        self.context = nn.Embedding(catalog.num_items, self.dim)
        self.item = nn.Embedding(catalog.num_items, self.dim)
        nn.init.normal_(self.context.weight, std=self.init_std)
        nn.init.zeros_(self.item.weight)

    def forward(self, batch: Batch) -> DotScorer:
        query = self._mean(batch.inputs["history"], batch.inputs["offsets"])
        return DotScorer(query, self.item.weight, batch.target, sparse=self.item.sparse)

    def queries(self, histories: Histories) -> DotScorer:
        device = self.item.weight.device
        histories = histories.latest(self.longest)
        length = histories.lengths().to(device)
        query = self._mean(histories.flat()[0].to(device), F.pad(length.cumsum(0), (1, 0)))
        return DotScorer(query, self.item.weight, torch.zeros_like(length))

    def _mean(self, items: Tensor, offsets: Tensor) -> Tensor:
        """[R, D]; zeros for an empty context."""
        return F.embedding_bag(items, self.context.weight, offsets[:-1], mode="mean", sparse=self.context.sparse)
