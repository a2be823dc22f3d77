from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.batch import Batch
from recsys.catalog import Catalog
from recsys.data.log import Histories
from recsys.examples import Examples, Pairs
from recsys.models.model import Model, average, check_dropout, check_similarity
from recsys.scorer import DotScorer


class MF(Model):
    """Matrix factorisation: score = p_u . q_i (+ b_i). Koren, Bell, Volinsky 2009; with BPR, Rendle et al. 2009.

    ``dim``: width of the vectors. ``bias``: an item bias b_i, from 0 (a user bias would change no ranking). ``init_std``: vectors
    start from N(0, init_std^2), or with ``init_law="uniform"`` from U(0, init_std), all in one orthant as NBPO has them (Yu and Qin 2020:
    1 / sqrt(dim)). ``similarity``: "dot", or "cosine": vectors count by their direction alone (with the loss CCL this is MF-CCL, Mao et al.
    2021). ``dropout``: of the components of the user's vector as it is scored, in training; for cosines, of the vector of length 1, as in
    the code of SimpleX, so that a positive may score above 1.

    A user unknown to training is folded in from its history (see :meth:`fold_in`); without a history it is answered with the mean
    of the trained users' vectors.
    """

    def __init__(
        self,
        *,
        dim: int = 64,
        bias: bool = False,
        init_std: float = 0.01,
        init_law: Literal["normal", "uniform"] = "normal",
        similarity: Literal["dot", "cosine"] = "dot",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim is {dim}; a vector has at least 1 component")
        if not init_std > 0:
            raise ValueError(f"init_std is {init_std}; it must be above 0, or every gradient is 0")
        if init_law not in ("normal", "uniform"):
            raise ValueError(f"init_law is {init_law!r}; allowed are 'normal' and 'uniform'")
        check_similarity(similarity)
        check_dropout(dropout)
        self.dim, self.bias, self.init_std, self.dropout = dim, bias, init_std, dropout
        self.similarity: Literal["dot", "cosine"] = similarity
        self.init_law: Literal["normal", "uniform"] = init_law

    user: nn.Embedding
    item: nn.Embedding
    item_bias: nn.Embedding | None
    trained: Tensor

    def needs(self) -> dict[str, str]:
        return {"user": "it has a vector for each user"}

    def gives(self, have: set[str]) -> set[str]:
        return {"vectors", "cosine"} if self.similarity == "cosine" and not self.bias else {"vectors"}

    def examples(self) -> Examples:
        return Pairs()

    def setup(self, catalog: Catalog) -> None:
        self.user = nn.Embedding(catalog.num_owners, self.dim)
        self.item = nn.Embedding(catalog.num_items, self.dim)
        for table in (self.user, self.item):
            if self.init_law == "normal":
                nn.init.normal_(table.weight, std=self.init_std)
            else:
                nn.init.uniform_(table.weight, 0, self.init_std)
        self.item_bias = nn.Embedding(catalog.num_items, 1) if self.bias else None
        if self.item_bias is not None:
            nn.init.zeros_(self.item_bias.weight)
        self.register_buffer("trained", catalog.size > 0, persistent=False)

    def forward(self, batch: Batch) -> DotScorer:
        return self._scorer(self.user(batch.inputs["user"]), batch.target, self.item.sparse)

    def queries(self, histories: Histories) -> DotScorer:
        device = self.item.weight.device
        owner = histories.owner.to(device)
        known = (owner >= 0) & self.trained[owner.clamp(min=0)]
        query = F.embedding(owner.clamp(min=0), self.user.weight)
        if not bool(known.all()):
            query = torch.where(known[:, None], query, self._unknown(histories, ~known))
        return self._scorer(query, torch.zeros_like(owner), False)

    def _scorer(self, query: Tensor, target: Tensor, sparse: bool) -> DotScorer:
        bias = None if self.item_bias is None else self.item_bias.weight
        cosine = self.similarity == "cosine"
        query = F.dropout(F.normalize(query, dim=1) if cosine else query, self.dropout, self.training)
        return DotScorer(query, self.item.weight, target, bias, sparse, cosine)

    def _unknown(self, histories: Histories, which: Tensor) -> Tensor:
        """[Q, D]: vectors of the queries ``which`` [Q] selects; zeros for the others."""
        weight = self.user.weight
        rows = which.nonzero()[:, 0]
        folded = self.fold_in(histories.take(rows.to(histories.start.device)))
        length = histories.lengths().to(weight.device)[rows]
        answer = torch.where((length > 0)[:, None], folded, average(weight, self.trained))
        return torch.zeros(len(which), self.dim, device=weight.device).index_copy_(0, rows, answer)

    def fold_in(self, histories: Histories) -> Tensor:
        """A vector for each history from the trained item vectors alone; [Q, D] float32, zeros for an empty history.

        With E [N, D] the item vectors, q = (E'E / N + 10 t I)^-1 (mean of the history's vectors), t the mean of the diagonal of
        E'E / N: the weighted least-squares step of implicit ALS (Hu, Koren, Volinsky 2008, equation 4), where the term of the history
        itself is dropped, so that one factorisation serves all queries, and the ridge is strong: directions in which items hardly
        differ are not amplified. Solved in float64.
        """
        table = (F.normalize(self.item.weight, dim=1) if self.similarity == "cosine" else self.item.weight).double()
        items, query = (x.to(table.device) for x in histories.flat())
        length = histories.lengths().to(table.device).clamp(min=1)
        mean = torch.zeros(len(histories), self.dim, dtype=torch.float64, device=table.device)
        mean.index_add_(0, query, table[items] / length[query][:, None])
        gram = table.T @ table / len(table)
        ridge = 10 * gram.diagonal().mean().clamp(min=1e-30)
        solved: Tensor = torch.linalg.solve(gram + ridge * torch.eye(self.dim, dtype=torch.float64, device=table.device), mean.T)
        return solved.T.float()
