from __future__ import annotations

import math

import torch
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.errors import RunError
from recsys.randomness import generator
from recsys.recommender import ClosedForm

LARGEST = 1 << 27
"""Pairs that may be held as one dense array (512 MiB)."""

FLOATS = 1 << 25
"""Numbers of a block's normal equations (128 MiB)."""


class ExpoMF(ClosedForm):
    """Matrix factorisation that models exposure: what was not clicked either was not seen or was not liked (Liang et al. 2016).

    "Modeling User Exposure in Recommendation", arXiv 1510.07025, with an exposure prior for each item. A pair is exposed, a_ui = 1, with
    probability mu_i; a click y_ui ~ N(p_u . q_i, 1 / ``precision``) if exposed, else y_ui = 0. Expectation maximisation, ``iterations``
    times:

        E   w_ui = 1 for a click; else  mu_i n_ui / (mu_i n_ui + 1 - mu_i)   with  n_ui = N(0 | p_u . q_i, 1 / precision)
        M   p_u = (precision sum_i w_ui q_i q_i' + ``penalty`` I)^-1 precision sum_i w_ui y_ui q_i,   q_i likewise from all p_u
            mu_i = (``prior[0]`` + sum_u w_ui - 1) / (``prior[0]`` + ``prior[1]`` + U - 2)

    w is renewed before each of these steps, as in the authors' code, and every pair enters: users x items are held as one dense array of at
    most 2^27 pairs, so this is for small data. Exact least squares for blocks of rows at once, in float32. The score is p_u . q_i (not
    times mu_i).

    ``start``: mu_i before the first iteration. ``seed``: of the initial vectors, N(0, ``init_std``^2). An unknown user is folded in by the
    same half step, five times; without a history its vector is 0, and items rank by their codes.
    """

    def __init__(
        self,
        *,
        dim: int = 100,
        precision: float = 1.0,
        penalty: float = 1e-5,
        prior: tuple[float, float] = (1.0, 1.0),
        start: float = 0.01,
        iterations: int = 10,
        init_std: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, count in (("dim", dim), ("iterations", iterations)):
            if count < 1:
                raise ValueError(f"{name} is {count}; it is at least 1")
        for name, value in (("precision", precision), ("penalty", penalty), ("init_std", init_std)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}; it is above 0 and finite")
        if len(prior) != 2 or min(prior) < 1:
            raise ValueError(f"prior is {prior}; two parameters of a beta distribution, each at least 1, so that mu stays in [0, 1]")
        if not 0 < start < 1:
            raise ValueError(f"start is {start}; a probability between 0 and 1")
        self.dim, self.precision, self.penalty, self.prior = dim, precision, penalty, prior
        self.start, self.iterations, self.init_std, self.seed = start, iterations, init_std, seed
        for name in ("user", "item", "mu"):
            self.register_buffer(name, torch.zeros(0))

    user: Tensor
    item: Tensor
    mu: Tensor

    def solve(self, train: Log) -> None:
        users, items = train.num_owners, train.num_items
        if users * items > LARGEST:
            raise RunError(f"ExpoMF holds all pairs at once, at most {LARGEST:,}; here are {users:,} users x {items:,} items: take WMF")
        click = torch.zeros(users, items, dtype=torch.bool)
        click[train.owners, train.items.long()] = True
        stream = generator(self.seed, "expo_mf")
        self.user = torch.randn(users, self.dim, generator=stream) * self.init_std
        self.item = torch.randn(items, self.dim, generator=stream) * self.init_std
        self.mu = torch.full((items,), self.start)
        for _ in range(self.iterations):
            self.user = self._half(click, self.user, self.item, self.mu)
            self.item = self._half(click.T, self.item, self.user, self.mu[:, None])
            exposed = sum((self._exposed(part, row, self.mu).sum(0) for part, row in self._blocks(click, self.user)), torch.zeros(items))
            self.mu = (self.prior[0] + exposed - 1) / (sum(self.prior) + users - 2)

    def _exposed(self, click: Tensor, row: Tensor, mu: Tensor) -> Tensor:
        """w of some users [B, N]."""
        return self._posterior(click, row @ self.item.T, mu)

    def _posterior(self, click: Tensor, score: Tensor, mu: Tensor) -> Tensor:
        density = (-self.precision / 2 * score.square()).exp() * math.sqrt(self.precision / (2 * math.pi))
        seen = mu * density
        return torch.where(click, 1.0, seen / (seen + (1 - mu)).clamp(min=torch.finfo(seen.dtype).tiny))

    def _half(self, click: Tensor, row: Tensor, other: Tensor, mu: Tensor) -> Tensor:
        """New vectors of rows [R, D] from those of the other side [C, D]; ``click`` [R, C], ``mu`` [C] or one for each row [R, 1]."""
        product = (other[:, :, None] * other[:, None]).flatten(1)
        ridge = self.penalty * torch.eye(self.dim)
        solved, at = [], 0
        for part, vectors in self._blocks(click, row):
            prior = mu if mu.ndim == 1 else mu[at : at + len(part)]
            weight = self._posterior(part, vectors @ other.T, prior)
            gram = self.precision * (weight @ product).view(-1, self.dim, self.dim) + ridge
            solved.append(torch.linalg.solve(gram, self.precision * (part.to(other.dtype) @ other)[:, :, None])[:, :, 0])
            at += len(part)
        return torch.cat(solved)

    def _blocks(self, click: Tensor, row: Tensor) -> zip[tuple[Tensor, Tensor]]:
        size = max(1, FLOATS // max(self.dim**2, click.shape[1]))
        return zip(click.split(size), row.split(size), strict=True)  # type: ignore[no-untyped-call]

    def _query(self, histories: Histories) -> Tensor:
        owner = histories.owner.to(self.user.device)
        query = self.user[owner.clamp(min=0)].masked_fill(owner[:, None] < 0, 0.0)
        unknown = (owner < 0).nonzero()[:, 0]
        if len(unknown):
            item, of = histories.take(unknown.to(histories.start.device)).flat()
            click = torch.zeros(len(unknown), len(self.item), dtype=torch.bool)
            click[of, item] = True
            folded = query[unknown]
            for _ in range(5):
                folded = self._half(click, folded, self.item, self.mu)
            query[unknown] = folded
        return query

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor]:
        return self._query(histories), self.item
