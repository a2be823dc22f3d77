from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys.catalog import Catalog
from recsys.losses.bpo import BPO
from recsys.scorer import DotScorer
from recsys.step import Scored

CONSTANT = 1e-3  # gamma varies by less than this over an epoch: it is one number for all pairs


class NBPOo(BPO):
    """Noisy-label robust optimisation, the log-likelihood ("o" for original): BPO with a chance gamma that a wanted item was not observed.

    gamma_ui = sigmoid(p_u . q_i) with vectors of its own, ``dim`` wide, and s the model's score:

        P(observed)     = (1 - gamma) sigmoid(s)
        P(not observed) = sigmoid(-s) + gamma sigmoid(s)

    A row costs -K log P(observed) of its target - the sum over its K candidates of log P(not observed); for K and the sum see
    :class:`BPO`, which this is for gamma = 0. Yu and Qin, SIGIR 2020 (arXiv 2007.07204). :class:`NBPO` and :class:`NBPOs` take the same
    model and another gradient or objective. The authors' code takes a sigmoid beyond +-10 for 0 or 1; nothing is cut off here.

    p starts from U(0, ``init``) / sqrt(dim), q from -U(0, ``init``) / sqrt(dim), so that p . q is -init^2 / 4 on average: with 5, as the
    authors have it, gamma starts near 0.002. Weight decay of ``loss.*`` (an optimiser group) pulls gamma to 1/2 for every pair: look at
    the figures ``gamma_min``, ``gamma_mean`` and ``gamma_max``, over the pairs of an epoch, before gamma is believed.
    """

    user: nn.Embedding
    item: nn.Embedding
    _seen: Tensor

    def __init__(self, *, dim: int = 50, init: float = 5.0) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim is {dim}; a vector has at least 1 component")
        if not init > 0:
            raise ValueError(f"init is {init}; it must be above 0, or gamma has no gradient")
        self.dim, self.init = dim, init

    def needs(self) -> dict[str, str]:
        return {**super().needs(), "user": "the chance of a flipped label is that of a user and an item"}

    def setup(self, catalog: Catalog) -> None:
        self.user = nn.Embedding(catalog.num_owners, self.dim)
        self.item = nn.Embedding(catalog.num_items, self.dim)
        widest = self.init / self.dim**0.5
        nn.init.uniform_(self.user.weight, 0, widest)
        nn.init.uniform_(self.item.weight, -widest, 0)
        self._constant = False
        self._forget()

    def costs(self, scored: Scored) -> tuple[Tensor, Tensor]:
        query = self.user(scored.batch.owner)
        flips = Scored.of(
            scored.batch, DotScorer(query, self.item.weight, scored.batch.target, sparse=self.item.sparse), scored.draw, scored.catalog
        )
        if torch.is_grad_enabled():  # a sampler that asks for losses trains nothing
            self._watch(flips)
        return self.observed(scored.positive, flips.positive), self.unobserved(scored.negative, flips.negative)

    def observed(self, score: Tensor, flip: Tensor) -> Tensor:
        """What an observed pair costs, from its score and the logit of its gamma."""
        return F.softplus(-score) + F.softplus(flip)

    def unobserved(self, score: Tensor, flip: Tensor) -> Tensor:
        """What a pair that was not observed costs."""
        return -torch.logaddexp(F.logsigmoid(-score), F.logsigmoid(flip) + F.logsigmoid(score))

    def figures(self) -> dict[str, float]:
        low, high, total, count = self._seen.tolist()
        self._forget()
        if not count:
            return {}
        self._constant = high - low < CONSTANT
        return {"gamma_min": low, "gamma_mean": total / count, "gamma_max": high}

    def remarks(self) -> list[str]:
        if not self._constant:
            return []
        return [
            f"{type(self).__name__}: gamma, the chance that an item was wanted and not observed, is one constant for all pairs (over an "
            f"epoch it varies by less than {CONSTANT:g}; see the figures gamma_min and gamma_max). The noise model has collapsed: it tells "
            "no pair from another, and what remains is a constant weight on every negative, like label smoothing. Less weight_decay of "
            "loss.* leaves gamma room"
        ]

    def _watch(self, flips: Scored) -> None:
        """Take note of gamma for the pairs of a step."""
        valid = flips.draw.valid
        negative = flips.negative if valid is None else flips.negative[valid.expand_as(flips.negative)]
        gamma = torch.cat([flips.positive, negative.flatten()]).detach().sigmoid()
        if len(gamma):
            low, high, total, count = self._seen
            now = (low.minimum(gamma.min()), high.maximum(gamma.max()), total + gamma.sum(dtype=torch.float64), count + len(gamma))
            self._seen = torch.stack(now)

    def _forget(self) -> None:
        """float64 [4]: the least and the largest gamma of the epoch so far, their sum and their number; a buffer, so that an epoch that was
        interrupted goes on counting."""
        nothing = torch.tensor([torch.inf, -torch.inf, 0.0, 0.0], dtype=torch.float64, device=self.item.weight.device)
        self.register_buffer("_seen", nothing)
