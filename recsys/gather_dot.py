"""Scores of rows against candidates of their own, without the vectors of the candidates in memory.

``(table[ids] @ query)`` needs R x K x D numbers, and its gradient as many again. Here a candidate's vector is read, multiplied
and forgotten, so that only the R x K scores are kept; the backward pass visits the candidates with a slope other than 0 alone, which for
a loss with a margin (CCL, hinge) are few. On the CPU in float32 this is a compiled kernel (numba), elsewhere torch operations; equal up to
rounding. Shapes: R rows, K candidates a row, N items, D width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.threads import share

_WORTH = 1 << 17  # products below which a second thread costs more than it saves


def gather_dot(query: Tensor, table: Tensor, ids: Tensor, *, cosine: bool = False, sparse: bool = False) -> Tensor:
    """query [R, D] . table [N, D] at ids int64 [R, K]: [R, K].

    Args:
        cosine: the table's vectors count by their direction alone (the query is taken as it is); the gradient passes through the norm.
        sparse: the gradient of the table names the rows it touches, for an optimiser that moves those only.
    """
    if _compiled(query, table):
        found: Tensor = _GatherDot.apply(query, table, ids, cosine, sparse)  # type: ignore[no-untyped-call]
        return found
    vectors = F.embedding(ids, table, sparse=sparse)
    return ((F.normalize(vectors, dim=-1) if cosine else vectors) @ query[:, :, None])[..., 0]


def _compiled(query: Tensor, table: Tensor) -> bool:
    return all(x.device.type == "cpu" and x.dtype == torch.float32 for x in (query, table))


class _GatherDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, table: Tensor, ids: Tensor, cosine: bool, sparse: bool) -> Tensor:
        from recsys import gather_kernel

        query, table, ids = query.contiguous(), table.contiguous(), ids.contiguous()
        vectors, inverse = table.detach().numpy(), np.empty(len(table) if cosine else 0, dtype=np.float32)
        share(lambda a, b: gather_kernel.inverse_norms(vectors, inverse, a, b), len(inverse), worth=table.numel() >= _WORTH)
        out = torch.empty(ids.shape, dtype=torch.float32, device=query.device)
        arrays = query.detach().numpy(), vectors, ids.numpy(), inverse, out.numpy()
        share(lambda a, b: gather_kernel.scores(*arrays, a, b), len(ids), worth=ids.numel() * query.shape[1] >= _WORTH)
        ctx.save_for_backward(query, table, ids, out)
        ctx.inverse, ctx.sparse = inverse, sparse
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        from recsys import gather_kernel

        query, table, ids, scores = ctx.saved_tensors
        worth = ids.numel() * query.shape[1] >= _WORTH
        g, inverse = slope.contiguous().numpy(), ctx.inverse
        q, t, j, s = query.detach().numpy(), table.detach().numpy(), ids.numpy(), scores.detach().numpy()
        of_query = of_table = None
        if ctx.needs_input_grad[0]:
            of_query = torch.zeros_like(query)
            into = of_query.numpy()
            share(lambda a, b: gather_kernel.query_gradient(g, t, j, inverse, into, a, b), len(ids), worth=worth)
        if ctx.needs_input_grad[1]:
            slot = np.full(len(table), -1, dtype=np.int32)
            rows = np.empty(min(ids.numel(), len(table)), dtype=np.int64)
            n = gather_kernel.touched(g, j, slot, rows)
            values = torch.zeros(n, table.shape[1], device=query.device)
            out = values.numpy()
            share(lambda a, b: gather_kernel.item_gradient(g, q, j, slot, rows, t, inverse, s, out, a, b), n, worth=worth)
            index = torch.from_numpy(rows[:n].copy())
            if ctx.sparse:
                of_table = torch.sparse_coo_tensor(index[None], values, table.shape, check_invariants=False)
            else:
                of_table = torch.zeros_like(table).index_copy_(0, index, values)
        return of_query, of_table, None, None, None
