from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from recsys.catalog import Catalog
from recsys.data.log import Histories, Log
from recsys.item_item import distinct
from recsys.propagation import Graph, sums
from recsys.randomness import generator
from recsys.recommender import ClosedForm

COLUMNS = 32
"""Queries filtered at a time: their columns of 30,000 users are 4 MiB, which a cache holds."""


class GraphFilter(ClosedForm):
    """Filters a history on the graph of users and items, without training: GF-CF (Shen et al. 2021) and BSPM (Choi et al. 2023).

    With X the distinct training pairs (see :mod:`recsys.item_item`), D_U and D_I its row and column sums, Y = D_U^-1/2 X D_I^-1/2,
    V [N, ``factors``] the first right singular vectors of Y, and r the history (1 for its distinct items, 0 elsewhere), a row:

        blur        b = r Y'Y                                a linear filter: items that share owners with the history
        low pass    c = r D_I^-1/2 V V' D_I^1/2              an ideal one: what the first factors explain
        sharpen     y(T) of dy/dt = -y Y'Y, T = ``sharpen``  takes back what every item shares, by ``steps`` steps of Runge-Kutta 4

    scores are b + ``low_pass`` c for ``sharpen=0`` (GF-CF, arXiv 2108.07567, equation 11). Otherwise ``merge="early"`` sharpens that sum
    and ``merge="late"`` sharpens b and then adds ``low_pass`` c (BSPM-EM and BSPM-LM, arXiv 2211.09324, section 3.3, with one Euler step
    of length 1 for b and c as in their runs). Sharpening is linear, and a step of length h multiplies by the polynomial
    1 - hP + (hP)^2/2 - (hP)^3/6 + (hP)^4/24 of P = Y'Y, so no solver is needed. No N x N matrix is made: P is applied to the histories
    themselves, some at a time, as two sums over the graph.

    Users that training has not seen and growing sessions are answered like all others; an empty history scores 0 everywhere. The
    factors are found by a block Lanczos method from a fixed seed. Items without an owner in training score 0.
    """

    def __init__(
        self,
        *,
        factors: int = 256,
        low_pass: float = 0.3,
        sharpen: float = 0.0,
        steps: int = 1,
        merge: Literal["early", "late"] = "early",
    ) -> None:
        super().__init__()
        if factors < 1:
            raise ValueError(f"factors is {factors}; at least 1 singular vector is kept (low_pass: 0 leaves them out)")
        for name, value in (("low_pass", low_pass), ("sharpen", sharpen)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value}; it is at least 0 and finite")
        if steps < 1:
            raise ValueError(f"steps is {steps}; sharpening takes at least 1 step")
        if merge not in ("early", "late"):
            raise ValueError(f"merge is {merge!r}; allowed are 'early' and 'late'")
        self.factors, self.low_pass, self.sharpen, self.steps = factors, low_pass, sharpen, steps
        self.merge: Literal["early", "late"] = merge
        self.register_buffer("into", torch.zeros(0, 0))
        self.register_buffer("back", torch.zeros(0, 0))

    graph: Graph
    into: Tensor
    back: Tensor

    def setup(self, catalog: Catalog) -> None:
        self.graph = Graph(catalog)

    def solve(self, train: Log) -> None:
        self.setup(Catalog(train))
        if self.low_pass:
            vectors = self._singular(min(self.factors, train.num_items, train.num_owners))
            owners = self.graph.of_item.diff()[:, None]
            root = owners.clamp(min=1).float().sqrt()
            vectors = torch.where(owners > 0, vectors, 0.0)
            self.into, self.back = vectors / root, vectors * root

    def _singular(self, factors: int) -> Tensor:
        """V [N, factors]: Ritz vectors of P over a Krylov space some four times as wide (block Lanczos, every block made orthogonal to all
        before it); exact where that is the whole space."""
        items = len(self.graph.of_item) - 1
        width = min(4 * factors + 6 * COLUMNS, items)
        basis = torch.linalg.qr(torch.randn(items, min(COLUMNS, items), generator=generator("graph filter"))).Q
        while basis.shape[1] < width:
            block = self._product(basis[:, -COLUMNS:].contiguous())[:, : width - basis.shape[1]]
            for _ in range(3):  # what is left of a block may be rounding errors alone
                block = torch.linalg.qr(block - basis @ (basis.T @ block)).Q
            basis = torch.cat([basis, block], 1)
        small = torch.cat([basis.T @ self._product(part.contiguous()) for part in torch.split(basis, COLUMNS, 1)], 1)
        vectors: Tensor = torch.linalg.eigh((small + small.T) / 2).eigenvectors
        found: Tensor = basis @ vectors[:, -factors:].flip(1)
        return found

    def _product(self, columns: Tensor) -> Tensor:
        """P applied to columns [N, C]."""
        graph = self.graph
        users = sums(columns, graph.items, graph.of_user, graph.by_user)
        return sums(users, graph.users, graph.of_item, graph.by_item)

    def scores(self, histories: Histories) -> Tensor:
        items, device = len(self.graph.of_item) - 1, self.graph.of_item.device
        found = torch.empty(len(histories), items, device=device)
        for rows in (slice(at, at + COLUMNS) for at in range(0, len(histories), COLUMNS)):
            found[rows] = self._filtered(histories.take(rows)).T
        return found

    def _filtered(self, histories: Histories) -> Tensor:
        """[N, Q]."""
        items, device = len(self.graph.of_item) - 1, self.graph.of_item.device
        item, ptr = (part.to(device) for part in distinct(histories, items))
        query = torch.arange(len(histories), device=device).repeat_interleave(ptr.diff())
        read = torch.zeros(items, len(histories), device=device)
        read[item, query] = 1
        blurred = self._product(read)
        passed = self.back @ (self.into.T @ read) * self.low_pass if self.low_pass else None
        if passed is not None and (self.merge == "early" or not self.sharpen):
            blurred, passed = blurred.add_(passed), None
        for _ in range(self.steps if self.sharpen else 0):
            blurred = self._sharpened(blurred, self.sharpen / self.steps)
        return blurred if passed is None else blurred.add_(passed)

    def _sharpened(self, columns: Tensor, h: float) -> Tensor:
        """A step of Runge-Kutta 4: the exponential of -hP to its fourth order."""
        term, total = columns, columns.clone()
        for order in range(1, 5):
            term = self._product(term).mul_(-h / order)
            total += term
        return total
