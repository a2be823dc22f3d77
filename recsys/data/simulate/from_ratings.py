"""A world with known truth made from a real rating log: the semi-synthetic construction of Rel-MF.

Saito et al. (WSDM 2020, section 5.1.1; settings of the authors' code, github.com/usaito/unbiased-implicit-rec, Apache-2.0):

1. matrix factorisation of the ratings, ``R^ = U V'``, no biases, squared error, ``R^`` of all pairs clipped to [1, 5];
   ``gamma = sigmoid(R^ - eps)`` with ``eps = 5``; ``R ~ Bernoulli(gamma)``;
2. logistic matrix factorisation of "has a rating or not" over all pairs, logits ``L = U V'``; ``theta = sigmoid(L) ** power`` with
   ``power`` in {0.5, 1, 2, 3, 4}; ``O ~ Bernoulli(theta)``; ``Y = O R``.

Both factorisations: 20 dimensions, Xavier-uniform start, Adam with learning rate 0.01, 300 steps of 256 ratings (1) or pairs (2) drawn
uniformly with replacement, no regularisation. Where we differ: the random numbers, and ``eps`` of Adam (1e-8) is added after instead of
before the correction of its bias.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from recsys.data.simulate.bernoulli import Feedback, draw
from recsys.data.simulate.truth import Floats
from recsys.data.vocabulary import Vocabulary
from recsys.errors import ConfigError, DataError
from recsys.randomness import generator

DIM, RATE, STEPS, BATCH = 20, 0.01, 300, 256
LOWEST, HIGHEST = 1.0, 5.0

_Batch = Callable[[torch.Generator], tuple[Tensor, Tensor, Tensor]]
_Loss = Callable[[Tensor, Tensor], Tensor]


def semi_synthetic(events: pl.DataFrame | pl.LazyFrame, *, power: float, eps: float = 5.0, seed: int = 0) -> Feedback:
    """Known relevance and exposure for all users x items of a rating log, and one draw of O, R and Y.

    ``gamma`` does not depend on ``power``, nor do the random numbers behind O and R: a larger power with the same seed exposes a
    subset of the pairs. ``Feedback.redraw`` draws again, ``Feedback.split`` gives training, validation and test pairs.

    Args:
        events: canonical columns ``user``, ``item``, ``weight``; weights are ratings from 1 to 5.
        power: of the exposure, greater than 0; larger ones expose fewer pairs, and more unevenly.
        eps: the rating at which relevance is a coin toss.
        seed: of both factorisations and of the draw.

    Raises:
        ConfigError: a power that is not positive.
        DataError: no rating, a column missing, or a rating outside [1, 5].
    """
    if not (np.isfinite(power) and power > 0 and np.isfinite(eps)):
        raise ConfigError(f"semi_synthetic got power={power}, eps={eps}; power is positive and both are finite")
    frame = _ratings(events)
    users, items = Vocabulary.of(frame["user"]), Vocabulary.of(frame["item"])
    if len(users.ids) * len(items.ids) > 10**8:
        raise DataError(
            f"semi_synthetic got {len(users.ids):,} users x {len(items.ids):,} items; all pairs are held in memory, at most 10^8 of "
            "them: filter the events first"
        )
    user, item = torch.from_numpy(users.codes).long(), torch.from_numpy(items.codes).long()
    rating = torch.from_numpy(frame["weight"].cast(pl.Float32).to_numpy().copy())
    shape = len(users.ids), len(items.ids)
    has = torch.zeros(shape, dtype=torch.bool)
    has[user, item] = True

    def rated(g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        at = torch.randint(len(rating), (BATCH,), generator=g)
        return user[at], item[at], rating[at]

    def any_pair(g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        at = torch.randint(has.numel(), (BATCH,), generator=g)
        return at // shape[1], at % shape[1], has.view(-1)[at].float()

    predicted = _factorise(shape, rated, F.mse_loss, generator(seed, "simulate", "semi-synthetic", "ratings"))
    logit = _factorise(shape, any_pair, F.binary_cross_entropy_with_logits, generator(seed, "simulate", "semi-synthetic", "exposure"))
    gamma = torch.sigmoid(predicted.clip(LOWEST, HIGHEST) - eps).numpy()
    theta: Floats = torch.sigmoid(logit).numpy() ** power
    return draw(gamma, theta, seed=seed, users=users.ids, items=items.ids)


def _ratings(events: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    names = ("user", "item", "weight")
    missing = [name for name in names if name not in events.collect_schema()]
    if missing:
        raise DataError(f"semi_synthetic got events without the column {missing[0]!r}; it needs user, item and weight (the rating)")
    frame = events.lazy().select(names).collect()
    if frame.is_empty():
        raise DataError("semi_synthetic got no rating (0 rows); give at least one")
    bad = ~frame["weight"].is_between(LOWEST, HIGHEST).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(f"semi_synthetic: column 'weight', row {row} (counting from 0) is {frame['weight'][row]}; ratings lie in [1, 5]")
    return frame


def _factorise(shape: tuple[int, int], batch: _Batch, loss: _Loss, g: torch.Generator) -> Tensor:
    """float64 [U, N]: products of factors learnt by Adam."""
    factors = [torch.empty(rows, DIM) for rows in shape]
    for table in factors:
        torch.nn.init.xavier_uniform_(table, generator=g)
        table.requires_grad_()
    adam = torch.optim.Adam(factors, lr=RATE)
    for _ in range(STEPS):
        user, item, label = batch(g)
        adam.zero_grad()
        score = (F.embedding(user, factors[0]) * F.embedding(item, factors[1])).sum(1)
        loss(score, label).backward()  # type: ignore[no-untyped-call]
        adam.step()
    left, right = (table.detach().double() for table in factors)
    return left @ right.T
