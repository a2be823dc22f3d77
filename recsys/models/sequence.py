"""What models that read an owner's items in order have in common."""

from __future__ import annotations

from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.errors import ConfigError
from recsys.examples import Examples, NextItem
from recsys.models.model import Model, check_dropout, check_similarity
from recsys.scorer import DotScorer
from recsys.transformer import Packing


def check_positions(positions: str) -> None:
    """Raises ValueError for an end of the sequence that is none."""
    if positions not in ("start", "end"):
        raise ValueError(f"positions is {positions!r}; allowed are 'start' and 'end'")


class SequenceModel(Model):
    """Predicts an owner's next item from the last ``longest`` ones, in order: score(i) = (state after the last item) . (vector of i).

    A subclass makes its layers in :meth:`assemble` and turns input vectors into states in :meth:`encode`. Every position of a sequence is a
    row of its own and sees no later one, so a session of n events is read once for its n - 1 predictions. The owner does not matter:
    users that training has not seen are answered from their history. Without a history every state is 0.

    Args:
        dim: width of vectors and states.
        longest: how much of a history is read; in training, the last ``longest`` predictions of an owner are learnt.
        dropout: of the input vectors, and in the layers.
        shared: items are read by the vectors that they are scored by; False: by a table of their own.
        similarity: "dot"; or "cosine", of the state and the item's vector (meant for a loss with a temperature).
        init_std: every weight starts from N(0, init_std^2); None: as Glorot and Bengio 2010 (Xavier), uniform. Biases start from 0.
    """

    def __init__(
        self,
        *,
        dim: int,
        longest: int,
        dropout: float,
        shared: bool,
        similarity: Literal["dot", "cosine"],
        init_std: float | None,
    ) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim is {dim}; a vector has at least 1 component")
        if longest < 1:
            raise ValueError(f"longest is {longest}; at least the last item of a history is read")
        check_dropout(dropout)
        check_similarity(similarity)
        if init_std is not None and not init_std > 0:
            raise ValueError(f"init_std is {init_std}; it must be above 0, or every gradient is 0")
        self.dim, self.longest, self.dropout, self.shared, self.init_std = dim, longest, dropout, shared, init_std
        self.similarity: Literal["dot", "cosine"] = similarity

    item: nn.Embedding
    read: nn.Embedding | None

    def assemble(self) -> None:
        """Make everything but the item tables. Matrices are initialised afterwards, all alike."""
        raise NotImplementedError

    def encode(self, items: Tensor, packing: Packing) -> Tensor:
        """States [P, D] after each position, from the items there [P]."""
        raise NotImplementedError

    def needs(self) -> dict[str, str]:
        return {"sequence": "it reads an owner's items in order", "next": "after each it predicts the next (NextItem)"}

    def gives(self, have: set[str]) -> set[str]:
        return {"vectors"}

    def examples(self) -> Examples:
        return NextItem(longest=self.longest)

    def setup(self, catalog: Catalog) -> None:
        self.item = nn.Embedding(catalog.num_items, self.dim)
        self.read = None if self.shared else nn.Embedding(catalog.num_items, self.dim)
        self.assemble()
        own = (module.parameters(recurse=False) for module in self.modules() if not isinstance(module, nn.LayerNorm))
        for parameter in chain.from_iterable(own):
            if parameter.ndim < 2:
                nn.init.zeros_(parameter)
            elif self.init_std is None:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.normal_(parameter, std=self.init_std)

    def vectors_of(self, items: Tensor) -> Tensor:
        """[P, D]: what is read of items [P]."""
        found: Tensor = (self.item if self.read is None else self.read)(items)
        return found

    def packed(self, batch: Batch, most: int) -> tuple[Tensor, Packing]:
        """The items that a batch is read from [P], of at most ``most`` a sequence, and where they stand."""
        items, at = batch.inputs["items"], batch.inputs["at"]
        groups, longest = items.shape
        if longest > most:
            raise ConfigError(f"examples give sequences of {longest} items, and {type(self).__name__} reads {most} (longest)")
        group = at // max(1, longest)
        packing = Packing(group, at - group * longest, torch.bincount(group, minlength=groups), longest)
        return items.flatten().index_select(0, at), packing

    def forward(self, batch: Batch) -> DotScorer:
        return self._scorer(self.encode(*self.packed(batch, self.longest)), batch.target)

    def padded(self, items: Tensor, lengths: Tensor) -> DotScorer:
        """The scorer of queries given as items int64 [Q, L] of which the first ``lengths`` int64 [Q] count, L at most ``longest``: what
        :meth:`queries` gives, computed for all places alike, as a graph of fixed operations."""
        states = self.encode(items.flatten(), Packing.padded(lengths, items.shape[1])).view(*items.shape, -1)
        last = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[2])
        state = states.gather(1, last)[:, 0] * (lengths > 0).to(states.dtype)[:, None]
        return self._scorer(state, torch.zeros_like(lengths))

    def window(self, histories: Histories) -> Histories:
        """What is read of histories; a query is the state after its last event."""
        return histories.latest(self.longest)

    def queries(self, histories: Histories) -> DotScorer:
        histories = self.window(histories)
        length = histories.lengths().to(self.item.weight.device)
        state = self.item.weight.new_zeros(len(length), self.dim)
        some = length > 0
        if bool(some.any()):
            states = self.encode(histories.flat()[0].to(state.device), Packing.of(length))
            state = state.masked_scatter(some[:, None], states.index_select(0, length[some].cumsum(0) - 1))
        return self._scorer(state, torch.zeros_like(length))

    def _scorer(self, states: Tensor, target: Tensor) -> DotScorer:
        cosine = self.similarity == "cosine"
        query = F.normalize(states, dim=1) if cosine else states
        return DotScorer(query, self.item.weight, target, sparse=self.item.sparse, cosine=cosine)
