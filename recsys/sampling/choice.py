"""Choosing among candidates at random by weights of any size. Shapes: R rows, K candidates of a row, k chosen ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from recsys.pool import Draw


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Gumbel(0, 1) noise, float64, on the generator's device.

    In float32 the largest uniform number below 1 is 1 - 2**-24, so that no noise exceeds 16.64 where a catalogue of millions asks for more:
    the largest of N = 10**7 is above it with probability 0.45, and what has the higher weight is then chosen too often (Zheng et al. 2024,
    arXiv 2409.02908). Here the bound is 36.7.
    """
    u = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
    return u.log_().neg_().log_().neg_()


def highest(draw: Draw, key: Tensor, k: int) -> Draw:
    """The ``k`` candidates (at most) with the highest key [R, K]; one with a key of -inf has no chance and is not valid."""
    top = key.topk(min(k, key.shape[1]), dim=1)
    return replace(draw.pick(top.indices), valid=top.values != -torch.inf)


def without_replacement(draw: Draw, log_weight: Tensor, k: int, generator: torch.Generator) -> Draw:
    """``k`` candidates (at most) one after the other, each with probability proportional to exp(``log_weight``) among those left.

    ``log_weight`` float64 [R, K], -inf: no chance. By the Gumbel-top-k trick (Vieira 2014; Kool et al. 2019, arXiv 1903.06059).
    """
    return highest(draw, log_weight + gumbel(tuple(log_weight.shape), generator), k)


def with_replacement(draw: Draw, log_weight: Tensor, k: int, generator: torch.Generator) -> Draw:
    """``k`` independent candidates, each with probability proportional to exp(``log_weight``) (float64 [R, K], -inf: no chance).

    By the inverse of the cumulative weights, so that k uniform numbers a row are enough.
    """
    largest = log_weight.amax(1, keepdim=True).clamp(min=torch.finfo(torch.float64).min)
    cumulative = (log_weight - largest).exp().cumsum(1)
    total = cumulative[:, -1:]
    u = torch.rand((len(log_weight), k), generator=generator, dtype=torch.float64, device=log_weight.device)
    columns = torch.searchsorted(cumulative, u * total, right=True).clamp_(max=log_weight.shape[1] - 1)
    return replace(draw.pick(columns), valid=(total != 0).expand(-1, k))


def check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; at least 1 candidate must be kept")
