"""What a metric of sampled candidates gives on average, from the exact ranks of the relevant items.

Shapes: Q queries, R relevant items of all queries, k ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recsys.errors import RecsysError
from recsys.metrics.base import Metric, Ranking, defined

if TYPE_CHECKING:
    from recsys.ranks import Ranks

CELLS = 1 << 21
"""Probabilities in memory at once."""


def expected_sampled(metric: Metric, ranks: Ranks, num: int | None) -> Tensor:
    """float64 [Q]: the expectation of a metric of ``num`` uniformly sampled candidates (:class:`recsys.metrics.Sampled`) over all samples,
    from :func:`recsys.ranks.full_ranks`; with None the exact metric. Nan for a query with nothing relevant.

    Of the M candidates of a query that are not relevant, b stand before its t-th relevant item. Of n drawn without replacement, h do with
    probability C(b, h) C(M - b, n - h) / C(M, n), and the item has rank t + h among them (Krichene and Rendle 2020, who draw with
    replacement, so that h is binomial). So the expectation is known for every metric that is a sum over relevant items of a term of
    rank and t, times a factor that depends on the number of relevant items alone; all of ours with a better direction are.

    Raises:
        RecsysError: the metric is no such sum, or fewer than one candidate is sampled.
    """
    if num is not None and num < 1:
        raise RecsysError(f"{num} sampled candidates are asked for; at least 1 is needed, or None for the exact metric")
    known = (ranks.rank > 0).nonzero()[:, 0]
    known = known[ranks.rank[known].argsort()]
    known = known[ranks.query[known].argsort(stable=True)]
    query, rank = ranks.query[known], ranks.rank[known]
    number = torch.bincount(query, minlength=len(ranks.relevant))
    place = torch.arange(len(query)) - (number.cumsum(0) - number)[query]  # t - 1
    near = place < metric.k
    query, rank, place = query[near], rank[near], place[near]
    term, factor = _terms(metric, ranks.relevant)
    inside = rank <= metric.k
    exact = _summed(term[place[inside], rank[inside] - 1], query[inside], factor, ranks.relevant)
    hits = torch.zeros(len(factor), metric.k, dtype=torch.bool)
    hits[query[inside], rank[inside] - 1] = True
    if not torch.allclose(exact, _measured(metric, hits, ranks.relevant), rtol=1e-9, atol=1e-12, equal_nan=True):
        raise RecsysError(f"{metric.name} is no sum over relevant items, so its expectation does not follow from their ranks one by one")
    if num is None:
        return exact
    given = place, rank - 1 - place, (ranks.candidates - number)[query]
    means = [(_law(t, b, m, num, metric.k) * term[t]).sum(1) for t, b, m in zip(*(_parts(x, metric.k) for x in given), strict=True)]
    return _summed(torch.cat(means), query, factor, ranks.relevant)


def _law(place: Tensor, before: Tensor, others: Tensor, num: int, k: int) -> Tensor:
    """float64 [R, k]: the probability of each rank among ``num`` of ``others`` [R] candidates, of which ``before`` [R] are better, as are
    ``place`` [R] relevant items."""
    found = torch.arange(k) - place[:, None]
    b, m = before[:, None], others[:, None]
    n = m.clamp(max=num)
    possible = (found >= 0) & (found <= b) & (found <= n) & (n - found <= m - b)
    log = _log_choose(b, found) + _log_choose(m - b, n - found) - _log_choose(m, n)
    return log.exp().where(possible, 0)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    n, k = n.double(), k.double()
    return torch.lgamma(n + 1) - torch.lgamma(k.clamp(min=0) + 1) - torch.lgamma((n - k).clamp(min=0) + 1)


def _terms(metric: Metric, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """What the metric adds for the t-th relevant item at each rank, [k, k], and the factor of each query [Q]. The metric itself measures
    lists that are made for it, so that its definition stands in one place."""
    k = metric.k
    before, at = torch.ones(k, k).tril(-1).bool(), torch.eye(k).bool()
    lists, usual = (before[:, None] | at).view(k * k, k), torch.full((k * k,), k)
    term = _measured(metric, lists, usual).view(k, k) - _measured(metric, before, usual[:k])[:, None]
    factor = _measured(metric, at[:1].expand(len(relevant), k), relevant.clamp(min=1)) / _measured(metric, at[:1], usual[:1])
    return term, factor


def _measured(metric: Metric, hits: Tensor, relevant: Tensor) -> Tensor:
    items = torch.arange(metric.k).expand(hits.shape)
    return metric.measure(Ranking(items, -items.double(), hits, relevant, torch.ones(metric.k, dtype=torch.long)))


def _summed(values: Tensor, query: Tensor, factor: Tensor, relevant: Tensor) -> Tensor:
    return defined(torch.zeros_like(factor).index_add_(0, query, values) * factor, relevant)


def _parts(values: Tensor, k: int) -> tuple[Tensor, ...]:
    return torch.split(values, max(1, CELLS // k))
