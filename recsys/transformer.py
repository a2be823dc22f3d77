"""Self-attention over sequences of unequal length, of which only the real positions are held and computed.

Shapes: G sequences, P positions in all, L the longest sequence, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["pre", "post"]
Activation = Literal["relu", "gelu"]

WORTH = 512
"""Padded places that are worth another round of kernel calls on a CPU."""


@dataclass(frozen=True)
class Packing:
    """Where each of P positions stands, in G sequences of L places each that start at place 0.

    ``group`` int64 [P]: its sequence, ascending; ``slot`` int64 [P]: its place there. ``lengths`` int64 [G]: how many positions each
    sequence has.
    """

    group: Tensor
    slot: Tensor
    lengths: Tensor
    longest: int

    @cached_property
    def at(self) -> Tensor:
        """int64 [P]: the place of each position in all G L."""
        return self.group * self.longest + self.slot

    @property
    def groups(self) -> int:
        return self.lengths.shape[0]  # not len(): it would be fixed in an export

    def from_end(self, number: int) -> Tensor:
        """int64 [P]: places such that every sequence ends at the last of ``number``. (Of those past a sequence's length, which nobody looks
        at, some would be beyond it.)"""
        return (self.slot + number - self.lengths.index_select(0, self.group)).clamp(max=number - 1)

    @staticmethod
    def of(lengths: Tensor) -> Packing:
        """Sequences of these lengths [G]."""
        longest = int(lengths.max()) if len(lengths) else 0
        group, slot = (torch.arange(longest, device=lengths.device) < lengths[:, None]).nonzero().unbind(1)
        return Packing(group, slot, lengths, longest)

    @staticmethod
    def padded(lengths: Tensor, longest: int) -> Packing:
        """All G L places taken for positions; what is computed past a sequence's length has no meaning."""
        groups, device = lengths.shape[0], lengths.device
        group = torch.arange(groups, device=device)[:, None].expand(-1, longest).flatten()
        slot = torch.arange(longest, device=device).expand(groups, -1).flatten()
        return Packing(group, slot, lengths, longest)

    @cached_property
    def parts(self) -> list[tuple[Tensor, Packing]]:
        """Sequences of like length together: the positions of each part, int64 [P'], and its packing. Empty where that saves too little
        padding to be worth more kernel calls (on a GPU always)."""
        bounds = self._bounds()
        if len(bounds) < 2:
            return []
        kind = torch.bucketize(self.lengths, torch.tensor(bounds, device=self.lengths.device))
        of_position = kind.index_select(0, self.group)
        parts = []
        for n in range(len(bounds)):
            at = (of_position == n).nonzero()[:, 0]
            if len(at):
                members = kind == n
                lengths, number = self.lengths[members], members.cumsum(0) - 1  # of each member among them
                parts.append((at, Packing(number[self.group[at]], self.slot[at], lengths, int(lengths.max()))))
        return parts

    def _bounds(self) -> list[int]:
        """The largest length of each part: of 4, 8, 16 ... those that save enough places, and the longest."""
        if self.lengths.device.type != "cpu" or self.group.shape[0] == self.groups * self.longest:
            return [self.longest]
        bounds = [4 << n for n in range(max(0, (self.longest - 1).bit_length() - 2))]
        edges = torch.tensor([*bounds, self.longest], device=self.lengths.device)
        sequences = torch.bucketize(self.lengths, edges).bincount(minlength=len(edges)).cumsum(0)
        kept = [self.longest]
        for bound, number in zip(reversed(bounds), reversed(sequences[:-1].tolist()), strict=True):
            if number * (kept[-1] - bound) >= WORTH:
                kept.append(bound)
        return kept[::-1]

    @cached_property
    def _back(self) -> Tensor:
        """int64 [P]: where each position is when the parts follow each other."""
        return torch.cat([at for at, _ in self.parts]).argsort()

    def apart(self, work: Callable[[Tensor, Packing], Tensor], x: Tensor) -> Tensor:
        """``work`` on the positions [P', W] of each part and its packing: together [P, W']."""
        if not self.parts:
            return work(x, self)
        return torch.cat([work(x.index_select(0, at), part) for at, part in self.parts]).index_select(0, self._back)

    def spread(self, x: Tensor) -> Tensor:
        """[P, W] -> [G, L, W], zeros elsewhere."""
        if self.group.shape[0] < self.groups * self.longest:
            x = x.new_zeros(self.groups * self.longest, x.shape[1]).index_copy(0, self.at, x)
        return x.view(self.groups, self.longest, -1)

    def gather(self, padded: Tensor) -> Tensor:
        """[G, L, W] -> [P, W]."""
        flat = padded.reshape(self.groups * self.longest, -1)
        return flat.index_select(0, self.at) if self.group.shape[0] < flat.shape[0] else flat


def check_transformer(dim: int, layers: int, heads: int, hidden: int | None, norm: str, activation: str) -> None:
    """Raises ValueError for options that make no transformer."""
    if layers < 1:
        raise ValueError(f"layers is {layers}; there is at least 1")
    if heads < 1 or dim % heads:
        raise ValueError(f"heads is {heads} and dim {dim}; each head has an equal share of dim")
    if hidden is not None and hidden < 1:
        raise ValueError(f"hidden is {hidden}; the feed-forward part has at least 1 unit")
    for name, given, allowed in (("norm", norm, get_args(Norm)), ("activation", activation, get_args(Activation))):
        if given not in allowed:
            raise ValueError(f"{name} is {given!r}; allowed are {' and '.join(map(repr, allowed))}")


class Transformer(nn.Module):
    """Transformer layers (Vaswani et al. 2017) over packed sequences; everything but the attention itself works on [P, D].

    Pre-norm: x + Attention(LN(x)), x + FFN(LN(x)), and a last LN. Post-norm: LN(x + Attention(x)), LN(x + FFN(x)).

    Args:
        hidden: width of the feed-forward part.
        causal: a position attends to itself and those before it; False: to its whole sequence.
        dropout: of attention weights, of the hidden layer's output, and of what is added to x.
    """

    def __init__(
        self, dim: int, *, layers: int, heads: int, hidden: int, dropout: float, norm: Norm, activation: Activation, causal: bool = True
    ) -> None:
        super().__init__()
        options = {"heads": heads, "hidden": hidden, "dropout": dropout, "norm": norm, "activation": activation, "causal": causal}
        self.layers = nn.ModuleList([_Layer(dim, **options) for _ in range(layers)])  # type: ignore[arg-type]
        self.last = nn.LayerNorm(dim) if norm == "pre" else nn.Identity()

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """x [P, D] -> [P, D]."""
        for layer in self.layers:
            x = layer(x, packing)
        out: Tensor = self.last(x)
        return out


class _Layer(nn.Module):
    def __init__(self, dim: int, *, heads: int, hidden: int, dropout: float, norm: Norm, activation: Activation, causal: bool) -> None:
        super().__init__()
        self.heads, self.dropout, self.pre, self.causal = heads, dropout, norm == "pre", causal
        self.activation = F.relu if activation == "relu" else F.gelu
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        if self.pre:
            x = x + self._drop(self._attend(self.norm1(x), packing))
            return x + self._drop(self._feed(self.norm2(x)))
        x = self.norm1(x + self._drop(self._attend(x, packing)))
        out: Tensor = self.norm2(x + self._drop(self._feed(x)))
        return out

    def _attend(self, x: Tensor, packing: Packing) -> Tensor:
        out: Tensor = self.out(packing.apart(self._mixed, self.qkv(x)))
        return out

    def _mixed(self, qkv: Tensor, packing: Packing) -> Tensor:
        """Attention among positions with queries, keys and values [P, 3 D]: [P, D]."""
        groups, longest = packing.groups, packing.longest
        parts = packing.spread(qkv).view(groups, longest, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # [G, H, L, D / H] each
        mask = None  # sequences start at place 0, so causal attention meets no padding
        if not self.causal:
            mask = (torch.arange(longest, device=qkv.device) < packing.lengths[:, None])[:, None, None]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=self.causal)
        return packing.gather(mixed.transpose(1, 2))

    def _feed(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(self._drop(self.activation(self.up(x))))
        return out

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)
