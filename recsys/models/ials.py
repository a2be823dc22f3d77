from __future__ import annotations

import math
from typing import Any

import torch
from scipy import sparse
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.errors import RunError
from recsys.item_item import distinct, matrix
from recsys.randomness import numpy_generator
from recsys.recommender import ClosedForm

FLOATS = 1 << 24
"""Numbers of a block of histories that are folded in together (64 MiB)."""


class IALS(ClosedForm):
    """Weighted matrix factorisation by alternating least squares (Hu, Koren and Volinsky 2008), trained by the library ``implicit``.

        minimise  sum over all u, i of  c_ui (x_ui - p_u . q_i)^2  +  ``regularization`` (sum_u |p_u|^2 + sum_i |q_i|^2)

    with x_ui = 1 and c_ui = ``alpha`` where training has the pair, else x_ui = 0 and c_ui = 1: as in implicit, while the paper has
    c_ui = 1 + alpha r_ui. Repeats count once and ``Log.weight`` is not read, since a history that is folded in has no weights.

    ``use_cg``: three conjugate gradient steps instead of each exact solution (implicit's default, several times faster). ``seed``: of the
    initial vectors. An owner that training does not know gets the exact solution for its history, p = (Q'CQ + regularization I)^-1 Q'Cx; an
    empty history gives 0, and items rank by their codes. float32; rows are solved one by one by as many threads as torch uses, whose number
    changes nothing.

    Needs the package implicit (extra ``baselines``) to be trained, not to be used.
    """

    def __init__(
        self,
        *,
        factors: int = 64,
        regularization: float = 10.0,
        alpha: float = 40.0,
        iterations: int = 15,
        use_cg: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, count in (("factors", factors), ("iterations", iterations)):
            if count < 1:
                raise ValueError(f"{name} is {count}; it is at least 1")
        if not 0 < regularization < math.inf:
            raise ValueError(f"regularization is {regularization}; it is above 0 and finite")
        if not 1 <= alpha < math.inf:
            raise ValueError(f"alpha is {alpha}; at least 1, the confidence of a pair that training does not have, and finite")
        self.factors, self.regularization, self.alpha = factors, regularization, alpha
        self.iterations, self.use_cg, self.seed = iterations, use_cg, seed
        for name in ("user", "item"):
            self.register_buffer(name, torch.zeros(0, factors))

    user: Tensor
    item: Tensor

    def solve(self, train: Log) -> None:
        least_squares, threadpool_limits = _imported()
        knobs = {name: getattr(self, name) for name in ("factors", "regularization", "alpha", "iterations", "use_cg")}
        with threadpool_limits(1, "blas"):  # else its threads and those of implicit wait for each other
            found = least_squares(**knobs, num_threads=torch.get_num_threads(), random_state=numpy_generator(self.seed, "ials"))
            found.fit(sparse.csr_matrix(matrix(train)), show_progress=False)
        self.user, self.item = torch.from_numpy(found.user_factors), torch.from_numpy(found.item_factors)

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor]:
        owner = histories.owner.to(self.user.device)
        query = self.user[owner.clamp(min=0)].masked_fill(owner[:, None] < 0, 0.0)
        unknown = ((histories.owner < 0) & (histories.lengths() > 0)).nonzero()[:, 0]
        if len(unknown):
            query[unknown.to(query.device)] = self._folded(histories.take(unknown))
        return query, self.item

    def _folded(self, histories: Histories) -> Tensor:
        """[Q, D]: the exact least squares step of an owner with this history."""
        longest = int(histories.lengths().max())
        every = self.item.T @ self.item + self.regularization * torch.eye(self.factors, device=self.item.device)
        found = []
        for block in histories.blocks(max(1, FLOATS // (self.factors * max(longest, self.factors)))):
            items, ptr = (part.to(self.item.device) for part in distinct(block, len(self.item)))
            row = torch.arange(len(block), device=items.device).repeat_interleave(ptr.diff())
            read = self.item.new_zeros(len(block), longest, self.factors)
            read[row, torch.arange(len(items), device=items.device) - ptr[row]] = self.item[items]
            found.append(torch.linalg.solve(every + (self.alpha - 1) * (read.mT @ read), self.alpha * read.sum(1)))
        return torch.cat(found)


def _imported() -> tuple[Any, Any]:
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise RunError("IALS is trained by the package implicit, which is not installed: pip install 'recsys-axes[baselines]'") from None
    return AlternatingLeastSquares, threadpool_limits
