from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from recsys.models.sequence import SequenceModel, check_positions
from recsys.transformer import Activation, Norm, Packing, Transformer, check_transformer


class SASRec(SequenceModel):
    """Self-attentive sequential recommendation: a causal transformer over an owner's last items.

    Kang and McAuley 2018 (arXiv 1808.09781). With pre-norm, width 200, one head and Xavier weights it is the network of TRON (Wilm et al.
    2023, arXiv 2307.14906); with post-norm, GELU, ``hidden`` of 4 dim and ``init_std`` 0.02 the one that S3-Rec (Zhou et al. 2020,
    arXiv 2008.07873) compares with. Which of them is trained how is the sampler's and the loss's concern.

    Args:
        layers, heads: of the transformer (:class:`recsys.transformer.Transformer`).
        hidden: width of the feed-forward part; None: ``dim``.
        norm: "pre", as in TRON; "post", and then the sum of item and position passes a LayerNorm too, as in S3-Rec. (The first
            publication normalises what asks, not what is asked.)
        positions: where learned positions are counted from: "start", the first item read has position 0; "end", the last item read has
            the last position, as in the published code. With "end" a training row tells how many items of its owner follow, which no query
            does.
        scale: item vectors are multiplied by sqrt(dim) before positions are added.
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        layers: int = 2,
        heads: int = 1,
        hidden: int | None = None,
        longest: int = 50,
        dropout: float = 0.2,
        norm: Norm = "pre",
        activation: Activation = "relu",
        positions: Literal["start", "end"] = "start",
        scale: bool = True,
        shared: bool = True,
        similarity: Literal["dot", "cosine"] = "dot",
        init_std: float | None = None,
    ) -> None:
        super().__init__(dim=dim, longest=longest, dropout=dropout, shared=shared, similarity=similarity, init_std=init_std)
        check_transformer(dim, layers, heads, hidden, norm, activation)
        check_positions(positions)
        self.layers, self.heads, self.hidden, self.scale = layers, heads, hidden, scale
        self.norm: Norm = norm
        self.activation: Activation = activation
        self.positions: Literal["start", "end"] = positions

    def assemble(self) -> None:
        self.position = nn.Embedding(self.longest, self.dim)
        self.input_norm = nn.LayerNorm(self.dim) if self.norm == "post" else nn.Identity()
        self.transformer = Transformer(
            self.dim,
            layers=self.layers,
            heads=self.heads,
            hidden=self.hidden or self.dim,
            dropout=self.dropout,
            norm=self.norm,
            activation=self.activation,
        )

    def encode(self, items: Tensor, packing: Packing) -> Tensor:
        place = packing.slot if self.positions == "start" else packing.from_end(self.longest)
        x = self.vectors_of(items) * (math.sqrt(self.dim) if self.scale else 1.0) + self.position(place)
        states: Tensor = self.transformer(F.dropout(self.input_norm(x), self.dropout, self.training), packing)
        return states
