from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.data.log import Histories
from recsys.examples import Examples, MaskedItems
from recsys.models.sequence import SequenceModel, check_positions
from recsys.scorer import DotScorer
from recsys.transformer import Activation, Packing, Transformer, check_transformer


class BERT4Rec(SequenceModel):
    """A transformer that reads a sequence in both directions and predicts events that are hidden from it; asked for the next item, it reads
    a hidden event after the last ones.

    Sun et al. 2019 (arXiv 1904.06690): post-norm layers, and between the last one and the item vectors a dense layer with the activation
    and a LayerNorm; each item has a bias. Which events are hidden is the concern of the examples (:class:`recsys.examples.MaskedItems`),
    which other models cannot read. Published with the softmax over all items: sampler ``All``, loss ``Softmax``.

    Args:
        layers, heads: of the transformer (:class:`recsys.transformer.Transformer`).
        hidden: width of the feed-forward part; None: 4 ``dim``.
        longest: how much of a history is read, beside the hidden event.
        positions: where learned positions are counted from: "end", so that the event asked for has the position that last events had in
            training, however long the history; "start", as published, where a history as long as the longest of training asks at a
            position that was never learnt.
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        hidden: int | None = None,
        longest: int = 50,
        dropout: float = 0.2,
        activation: Activation = "gelu",
        positions: Literal["start", "end"] = "end",
        shared: bool = True,
        similarity: Literal["dot", "cosine"] = "dot",
        init_std: float | None = 0.02,
    ) -> None:
        super().__init__(dim=dim, longest=longest, dropout=dropout, shared=shared, similarity=similarity, init_std=init_std)
        check_transformer(dim, layers, heads, hidden, "post", activation)
        check_positions(positions)
        self.layers, self.heads, self.hidden = layers, heads, hidden
        self.positions: Literal["start", "end"] = positions
        self.activation: Activation = activation

    def needs(self) -> dict[str, str]:
        return {"sequence": "it reads an owner's items in order", "hidden": "it predicts events that are hidden from it (MaskedItems)"}

    def examples(self) -> Examples:
        return MaskedItems(longest=self.longest + 1)

    def assemble(self) -> None:
        self.bias = nn.Embedding(self.item.num_embeddings, 1)
        self.mask = nn.Parameter(torch.empty(1, self.dim))
        self.position = nn.Embedding(self.longest + 1, self.dim)
        self.input_norm = nn.LayerNorm(self.dim)
        self.transformer = Transformer(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            hidden=self.hidden or 4 * self.dim,
            dropout=self.dropout,
            norm="post",
            activation=self.activation,
            causal=False,
        )
        self.dense, self.last_norm = nn.Linear(self.dim, self.dim), nn.LayerNorm(self.dim)

    def encode(self, items: Tensor, packing: Packing, hidden: Tensor | None = None) -> Tensor:
        """``hidden`` bool [P]: whose items are not looked at; None: the last of each sequence."""
        if hidden is None:
            hidden = packing.slot == packing.lengths.index_select(0, packing.group) - 1
        place = packing.slot if self.positions == "start" else packing.from_end(self.longest + 1)
        x = torch.where(hidden[:, None], self.mask, self.vectors_of(items)) + self.position(place)
        x = F.dropout(self.input_norm(x), self.dropout, self.training)
        activation = F.relu if self.activation == "relu" else F.gelu
        states: Tensor = self.last_norm(activation(self.dense(self.transformer(x, packing))))
        return states

    def forward(self, batch: Batch) -> DotScorer:
        items, packing = self.packed(batch, self.longest + 1)
        hidden = batch.inputs["hidden"]
        return self._scorer(self.encode(items, packing, hidden)[hidden], batch.target)

    def padded(self, items: Tensor, lengths: Tensor) -> DotScorer:
        return super().padded(F.pad(items, (0, 1)), lengths + 1)

    def window(self, histories: Histories) -> Histories:
        """With one event more, at the end, which is hidden: its item is any."""
        items, query = histories.latest(self.longest).flat()
        length = histories.latest(self.longest).lengths()
        longer = items.new_zeros(len(items) + len(length), dtype=torch.int32)
        longer[torch.arange(len(items), device=items.device) + query] = items.int()
        stop = (length + 1).cumsum(0)
        return Histories(longer, stop - length - 1, stop, histories.owner)

    def _scorer(self, states: Tensor, target: Tensor) -> DotScorer:
        return replace(super()._scorer(states, target), bias=self.bias.weight)
