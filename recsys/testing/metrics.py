"""Conformance of a metric, ours or a plug-in: what must hold whatever it measures."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from recsys.metrics import AnyMetric, ListMetric, Metric, Ranking
from recsys.part import build, spec
from recsys.randomness import generator


def check_metric(metric_class: type[AnyMetric]) -> None:
    """Raises AssertionError, naming the class and the property, if a metric does not keep what every metric promises.

    Every metric: keeps k, is named ``something@k``, refuses k < 1, can be rebuilt from its spec, changes none of its inputs. A
    :class:`~recsys.metrics.Metric` further: one float64 a query that depends on this query alone (blocks and order change nothing),
    on nothing below rank k, and not on how long the lists are; lists cut above k are refused. Where higher is better: nan for a
    query with nothing relevant, 0 for an empty list, ``best`` for a list of hits, values within [0, best], never lower for one more
    hit or for a hit one rank higher.
    """
    for k in (1, 2, 5, 20):
        measure = metric_class(k)
        _configured(measure, k)
        if isinstance(measure, Metric):
            _one_value_a_query(measure, some_ranking(k + 5))
            if measure.higher_is_better:
                _limits(measure, k)
                _monotone(measure, some_ranking(k + 5))
        else:
            _of_all_lists(measure)


def some_ranking(depth: int, queries: int = 200, items: int = 60) -> Ranking:
    """Random lists of distinct items with random hits: some lists short or empty, some queries with nothing relevant."""
    stream = generator("metric conformance", depth)
    lists = torch.rand(queries, max(items, depth), generator=stream).argsort(1)[:, :depth]
    length = torch.randint(0, 2 * depth, (queries, 1), generator=stream)
    lists = lists.masked_fill(torch.arange(depth) >= length, -1)
    share = torch.rand(queries, 1, generator=stream)
    hits = (torch.rand(queries, depth, generator=stream) < share) & (lists >= 0)
    relevant = hits.sum(1) + torch.randint(0, 4, (queries,), generator=stream)
    scores = torch.arange(depth, 0, -1).double().expand(queries, depth).masked_fill(lists < 0, -torch.inf)
    return Ranking(lists, scores, hits, relevant, torch.randint(0, 99, (max(items, depth),), generator=stream))


def _expect(holds: bool, measure: AnyMetric, what: str) -> None:
    if not holds:
        raise AssertionError(f"{type(measure).__module__}.{measure!r}: {what}")


def _configured(measure: AnyMetric, k: int) -> None:
    _expect(measure.k == k, measure, "does not keep k")
    _expect(measure.name.endswith(f"@{k}") and measure.name.count("@") == 1, measure, f"is named {measure.name!r}, not something@{k}")
    _expect(measure.definition != "", measure, "has no docstring; its first paragraph is stored as the definition")
    _expect(spec(build(spec(measure))) == spec(measure), measure, "is not rebuilt from its spec")
    for bad in (0, -1):
        try:
            type(measure)(bad)
        except ValueError:
            continue
        _expect(False, measure, f"accepts k = {bad}")


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _rows(ranking: Ranking, rows: Tensor) -> Ranking:
    return Ranking(ranking.items[rows], ranking.scores[rows], ranking.hits[rows], ranking.relevant[rows], ranking.counts)


def _one_value_a_query(measure: Metric, ranking: Ranking) -> None:
    k = measure.k
    before = {name: getattr(ranking, name).clone() for name in ("items", "scores", "hits", "relevant", "counts")}
    value = measure.measure(ranking)
    _expect(value.shape == ranking.relevant.shape and value.dtype == torch.double, measure, "does not give float64 [Q]")
    _expect(all(torch.equal(getattr(ranking, name), old) for name, old in before.items()), measure, "changes its input")
    rows = torch.arange(len(value))
    _expect(_same(measure.measure(_rows(ranking, rows.flip(0))).flip(0), value), measure, "depends on the order of the queries")
    for size in (1, 7):
        parts = torch.cat([measure.measure(_rows(ranking, block)) for block in torch.split(rows, size)])
        _expect(_same(parts, value), measure, f"differs when measured in blocks of {size} queries")
    cut = Ranking(ranking.items[:, :k], ranking.scores[:, :k], ranking.hits[:, :k], ranking.relevant, ranking.counts)
    _expect(_same(measure.measure(cut), value), measure, "depends on how long the lists are")
    below = ranking.hits.clone()
    below[:, k:] = ~below[:, k:]
    _expect(_same(measure.measure(replace(ranking, hits=below)), value), measure, "depends on ranks below k")
    if k > 1:
        short = Ranking(cut.items[:, :-1], cut.scores[:, :-1], cut.hits[:, :-1], cut.relevant, cut.counts)
        try:
            measure.measure(short)
        except ValueError:
            return
        _expect(False, measure, "measures lists cut above rank k as if the rest were misses")


def _limits(measure: Metric, k: int) -> None:
    ranking = some_ranking(k + 5)
    value = measure.measure(ranking)
    _expect(_same(value.isnan(), ranking.relevant == 0), measure, "must be nan where nothing is relevant, and nowhere else")
    empty = replace(ranking, hits=torch.zeros_like(ranking.hits), items=torch.full_like(ranking.items, -1), relevant=ranking.relevant + 1)
    _expect(bool((measure.measure(empty) == 0).all()), measure, "must be 0 for an empty list")
    known = value[~value.isnan()]
    _expect(bool((known >= 0).all()), measure, "is negative")
    if measure.best is not None:
        perfect = torch.arange(k + 5).expand_as(ranking.hits) < k
        full = replace(ranking, hits=perfect, relevant=torch.full_like(ranking.relevant, k))
        _expect(bool((measure.measure(full) == measure.best).all()), measure, f"must be {measure.best} for k hits of k relevant items")
        _expect(bool((known <= measure.best).all()), measure, f"exceeds {measure.best}")


def _monotone(measure: Metric, ranking: Ranking) -> None:
    ranking = replace(ranking, relevant=ranking.relevant + 1)
    value = measure.measure(ranking)
    for rank in range(measure.k):
        more = ranking.hits.clone()
        more[:, rank] = True
        gained = measure.measure(replace(ranking, hits=more))
        _expect(bool((gained >= value - 1e-12).all()), measure, f"falls when rank {rank + 1} becomes a hit")
        if rank:
            up = ranking.hits.clone()
            swap = ~up[:, rank - 1] & up[:, rank]
            up[swap, rank - 1], up[swap, rank] = True, False
            risen = measure.measure(replace(ranking, hits=up))
            _expect(bool((risen >= value - 1e-12).all()), measure, f"falls when the hit at rank {rank + 1} moves up")


def _of_all_lists(measure: ListMetric) -> None:
    exposure = torch.tensor([3, 0, 1, 0, 7, 1])
    everything = torch.ones(6, dtype=torch.bool)
    before = exposure.clone()
    value = measure.measure(exposure, everything)
    _expect(isinstance(value, float) and value == value, measure, "does not give a number")
    _expect(torch.equal(exposure, before) and bool(everything.all()), measure, "changes its input")
    shuffled = torch.tensor([4, 2, 0, 5, 1, 3])
    _expect(abs(measure.measure(exposure[shuffled], everything) - value) < 1e-12, measure, "depends on the codes of the items")
    if measure.best is not None:
        _expect(0 <= value <= measure.best, measure, f"lies outside 0..{measure.best}")
    nothing = measure.measure(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.bool))
    _expect(nothing != nothing, measure, "must be nan for an empty catalogue")
