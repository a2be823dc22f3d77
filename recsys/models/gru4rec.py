from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from recsys.models.sequence import SequenceModel
from recsys.scorer import DotScorer
from recsys.transformer import Packing


class GRU4Rec(SequenceModel):
    """A recurrent network over a session: the state of a gated recurrent unit after an item is compared with the vectors of all items.

    Hidasi et al. 2016 (arXiv 1511.06939) and Hidasi and Karatzoglou 2018 (arXiv 1706.03847), whose BPR-max and shared candidates
    are the loss ``BPRMax`` and the samplers ``Uniform(per="batch")``, ``Popularity`` and ``InBatch`` here. ``shared`` is their constrained
    embedding. Sessions are read whole, not cut into parallel streams whose gradients stop at each event.

    Args:
        layers: recurrent layers of width ``dim``.
        dropout: of the input vectors, between layers and of the states.
        bias: each item has a score of its own, learnt, that is added.
    """

    def __init__(
        self,
        *,
        dim: int = 100,
        layers: int = 1,
        longest: int = 50,
        dropout: float = 0.2,
        shared: bool = True,
        bias: bool = False,
        similarity: Literal["dot", "cosine"] = "dot",
        init_std: float | None = None,
    ) -> None:
        super().__init__(dim=dim, longest=longest, dropout=dropout, shared=shared, similarity=similarity, init_std=init_std)
        if layers < 1:
            raise ValueError(f"layers is {layers}; there is at least 1")
        self.layers, self.bias = layers, bias

    def assemble(self) -> None:
        dropout = self.dropout if self.layers > 1 else 0.0
        self.gru = nn.GRU(self.dim, self.dim, self.layers, batch_first=True, dropout=dropout)
        self.item_bias = nn.Embedding(self.item.num_embeddings, 1) if self.bias else None

    def encode(self, items: Tensor, packing: Packing) -> Tensor:
        x = F.dropout(self.vectors_of(items), self.dropout, self.training)
        states = packing.gather(self.gru(packing.spread(x))[0])  # what follows the end of a sequence is not looked at
        return F.dropout(states, self.dropout, self.training)

    def _scorer(self, states: Tensor, target: Tensor) -> DotScorer:
        scorer = super()._scorer(states, target)
        return scorer if self.item_bias is None else replace(scorer, bias=self.item_bias.weight)
