"""What a metric would be if every relevant item had been observed, estimated from the items that were.

A held-out log is not a random part of what is relevant: popular items are exposed more, so they are observed more, and a metric of the
observed is optimistic about whoever recommends them. With theta the probability that a relevant pair is observed, pairs that count
1 / theta each stand for all relevant ones (Yang et al. 2018, "Unbiased offline recommender evaluation for missing-not-at-random
implicit feedback"; Schnabel et al. 2016). Shapes: Q queries, R observed relevant pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from recsys.data.log import Holdout, Log
from recsys.errors import RecsysError
from recsys.propensity import Propensity, check_clip
from recsys.randomness import numpy_generator
from recsys.statistics import Interval
from recsys.statistics.base import Values, check_level, column

Gain = Literal["recall", "dcg"]

FEW = 100
"""Observations that the weighted ones must be worth, or the estimate is not to be relied on."""


@dataclass(frozen=True)
class Unbiased:
    """Estimates of the mean gain of a relevant item (for recall: the share of relevant items among the first k ranks), with intervals
    from a bootstrap over queries.

    ``naive``: every observed pair counts the same. ``snips``: pairs count 1 / theta, divided by the sum of these weights: consistent, and
    its bias vanishes with more pairs. ``clipped``: the same with theta of at least ``clip``, which trades bias for variance. ``ips``: the
    sum of gain / theta for each query: without any bias, the gain of all relevant items of a query, of which nobody knows how many
    there are.
    ``effective``: how many equally weighted pairs the weighted ones are worth, (sum w)^2 / sum w^2 (Kish 1965), out of ``pairs``.
    """

    naive: Interval
    snips: Interval
    clipped: Interval
    ips: Interval
    effective: float
    pairs: int
    clip: float

    @property
    def warning(self) -> str | None:
        """What to say where few pairs decide."""
        if self.effective >= FEW:
            return None
        return (
            f"the {self.pairs:,} observed pairs are worth {self.effective:.0f} equally weighted ones, too few to rely on: a handful of "
            "rare items decides. Take the clipped estimate, or more test data"
        )


def gains(lists: Tensor, holdout: Holdout, k: int, gain: Gain = "recall") -> Tensor:
    """float64 [R]: what each observed relevant pair gives: "recall" 1, "dcg" 1 / log2(rank + 1), if among the first k ranks; else 0.

    Args:
        lists: int [Q, K], item codes, best first, -1 past the end (:attr:`recsys.evaluation.Evaluated.lists`).
    """
    if gain not in ("recall", "dcg"):
        raise ValueError(f"gain is {gain!r}; allowed are 'recall' and 'dcg'")
    if not 1 <= k <= lists.shape[1]:
        raise RecsysError(f"gains at k = {k} are asked for, and the lists have {lists.shape[1]} ranks")
    query, item = pairs(holdout)
    found = lists[:, :k].long()[query] == item[:, None]
    value = torch.ones(k, dtype=torch.double) if gain == "recall" else (torch.arange(k, dtype=torch.double) + 2).log2().reciprocal()
    return (found * value).sum(1)


def pairs(holdout: Holdout) -> tuple[Tensor, Tensor]:
    """The query and the item of each observed relevant pair that training knows, int64 [R]."""
    return torch.arange(len(holdout)).repeat_interleave(holdout.offsets.diff()), holdout.items.long()


def propensities(propensity: Propensity, holdout: Holdout, train: Log) -> Tensor:
    """float64 [R]: of each observed relevant pair; ``propensity`` is set up for the training log.

    Raises:
        RecsysError: it depends on the owner, and some queries are of owners that training does not know.
    """
    query, item = pairs(holdout)
    owner = holdout.histories.owner[query]
    found: Tensor = propensity(owner.clamp(min=0), item).double()
    if bool((owner < 0).any()) and not torch.equal(found, propensity(torch.full_like(owner, train.num_owners - 1), item).double()):
        raise RecsysError(
            f"{type(propensity).__name__} depends on the owner, and training does not know all owners of test queries; take ItemPowerLaw"
        )
    return found


def estimate(
    gain: Any, propensity: Any, query: Any, *, clip: float = 0.1, level: float = 0.95, seed: int = 0, resamples: int = 2000
) -> Unbiased:
    """Estimates from the gains [R] of observed relevant pairs, their propensities [R] and their queries int [R].

    Args:
        clip: the least propensity of the clipped estimate.

    Raises:
        ValueError: a propensity outside (0, 1] of a pair that was observed, or as for :func:`recsys.statistics.interval`.
    """
    check_level(level)
    check_clip(clip)
    value, theta, row = column(gain), column(propensity), np.asarray(query)
    if not len(value) == len(theta) == len(row):
        raise ValueError(f"gains, propensities and queries must be of the same pairs, got {len(value)}, {len(theta)} and {len(row)}")
    if not len(value):
        raise ValueError("there is no observed relevant pair to estimate from")
    if not bool(((theta > 0) & (theta <= 1)).all()):
        raise ValueError("an observed pair has a propensity outside (0, 1]; what was observed had one: take another model of exposure")
    _, row = np.unique(row, return_inverse=True)
    weights = {"naive": np.ones_like(theta), "snips": 1 / theta, "clipped": 1 / np.maximum(theta, clip)}
    queries = int(row.max()) + 1
    summed: dict[str, tuple[Any, Any]] = {
        name: (np.bincount(row, w * value, queries), np.bincount(row, w, queries)) for name, w in weights.items()
    }
    summed["ips"] = summed["snips"][0], np.ones(queries)
    found = {name: _ratio(top, bottom, level, seed, resamples) for name, (top, bottom) in summed.items()}
    w = weights["snips"]
    return Unbiased(**found, effective=float(w.sum() ** 2 / np.square(w).sum()), pairs=len(value), clip=clip)


def _ratio(top: Values, bottom: Values, level: float, seed: int, resamples: int) -> Interval:
    """A ratio of sums over queries, and its percentile bootstrap."""
    rng = numpy_generator(seed, "ratio")
    size, found = len(top), []
    step = max(1, (1 << 22) // size)
    for at in range(0, resamples, step):
        times = rng.multinomial(size, np.full(size, 1 / size), size=min(step, resamples - at)).astype(np.float64)
        found.append((times @ top) / (times @ bottom))
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(top.sum() / bottom.sum()), float(low), float(high), level, size)


@dataclass(frozen=True)
class Corrected:
    """A mean over all queries, from a small random part of them whose true values are known. ``within``: it and its interval; ``gold``: the
    same from the small part alone; ``share``: how much of the biased values was used (0: none)."""

    within: Interval
    gold: Interval
    share: float


def gold_corrected(biased: Any, gold: Any, rows: Any, level: float = 0.95) -> Corrected:
    """The mean true value of a query, from values of all queries that may be wrong and true values of a few drawn at random.

    mean(s b) + mean over the few of (g - s b), with s chosen for the least variance: unbiased by the way the few were drawn, whatever the
    bias of b, and the better the more the two agree (the difference estimator of survey sampling, Särndal et al. 1992, section 6.3;
    prediction-powered inference, Angelopoulos et al. 2023, arXiv 2301.09633 and 2311.01453). True values come from items that were shown
    at random, say, or were judged by hand.

    Args:
        biased: [Q], for instance recall on the observed log.
        gold: [n], the true values of the queries ``rows`` int [n], a simple random sample of the Q.

    Raises:
        ValueError: fewer than two gold values, rows that repeat or are no queries.
    """
    from scipy.special import stdtrit

    check_level(level)
    b, g, at = column(biased), column(gold), np.asarray(rows)
    if len(g) != len(at) or len(g) < 2:
        raise ValueError(f"gold values need their queries, and at least two; got {len(g)} values and {len(at)} queries")
    if len(np.unique(at)) < len(at) or at.min() < 0 or at.max() >= len(b):
        raise ValueError(f"the queries of the gold values must be different ones of 0 to {len(b) - 1}")
    n, size, own = len(g), len(b), b[at]
    spread = own.var(ddof=1)
    share = float(np.cov(g, own)[0, 1] / ((1 + n / size) * spread)) if spread else 0.0
    left = g - share * own
    mean = share * b.mean() + left.mean()
    variance = left.var(ddof=1) / n + share**2 * b.var(ddof=1) / size
    t = float(stdtrit(n - 1, (1 + level) / 2))
    return Corrected(_around(mean, variance, t, level, size), _around(g.mean(), g.var(ddof=1) / n, t, level, n), share)


def _around(mean: float, variance: float, t: float, level: float, queries: int) -> Interval:
    half = t * math.sqrt(variance)
    return Interval(float(mean), float(mean - half), float(mean + half), level, queries)
