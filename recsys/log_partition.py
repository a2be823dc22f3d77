"""The logarithm of a sampled softmax's denominator, in one pass over scores where autograd would take ten.

Shapes: R rows, K candidates. A block of rows is worked on while it lies in the cache of the processor; what is kept for the gradient is one
[R, K] tensor, the exponentials.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 1 << 18
"""Scores worked on at a time: 1 MiB of float32."""


def log_partition(
    positive: Tensor, negative: Tensor, *, scale: float = 1.0, offset: Tensor | None = None, valid: Tensor | None = None
) -> Tensor:
    """[R]: log( e^(scale positive) + sum over valid k of e^(scale negative_k + offset_k) ); finite for any finite scores.

    Args:
        positive: [R].
        negative: [R, K].
        scale: of the scores, the inverse of a temperature.
        offset: [R | 1, K] without gradient, or None for 0.
        valid: bool [R | 1, K]: candidates that count, or None for all.
    """
    result: Tensor = _LogPartition.apply(positive, negative, scale, offset, valid)  # type: ignore[no-untyped-call]
    return result


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, positive: Tensor, negative: Tensor, scale: float, offset: Tensor | None, valid: Tensor | None) -> Tensor:
        positive = positive * scale
        share = torch.empty_like(negative)  # e^(score - the row's largest)
        result = torch.empty_like(positive)
        total = torch.empty_like(positive)
        for rows in _blocks(negative):
            z = torch.mul(negative[rows], scale, out=share[rows])
            if offset is not None:
                z.add_(_of(offset, rows))
            if valid is not None:
                z.masked_fill_(~_of(valid, rows), -torch.inf)
            largest = torch.maximum(z.amax(1), positive[rows]) if z.shape[1] else positive[rows]
            z.sub_(largest[:, None]).exp_()
            total[rows] = z.sum(1) + (positive[rows] - largest).exp()
            result[rows] = largest + total[rows].log()
        ctx.save_for_backward(positive, share, total, result)
        ctx.scale = scale
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        positive, share, total, result = ctx.saved_tensors
        grad = grad * ctx.scale
        return grad * (positive - result).exp(), share * (grad / total)[:, None], None, None, None


def _blocks(scores: Tensor) -> list[slice]:
    rows = max(1, BLOCK // max(scores.shape[1], 1)) if scores.device.type == "cpu" else max(len(scores), 1)
    return [slice(start, start + rows) for start in range(0, len(scores), rows)]


def _of(x: Tensor, rows: slice) -> Tensor:
    return x if len(x) == 1 else x[rows]
