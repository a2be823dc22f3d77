"""What a number means: which lists are made for which queries, and how they are measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from recsys import files
from recsys.catalog import Catalog
from recsys.data.log import Histories, Holdout, Log, OwnerKind
from recsys.errors import ConfigError, RecsysError
from recsys.metrics.base import AnyMetric, ListMetric, Metric, Ranking, metric
from recsys.metrics.sampled import DRAWN, Sampled
from recsys.part import knobs, spec
from recsys.ranking import Ranked, blocks
from recsys.recommender import Recommender
from recsys.statistics import Interval, interval

DEFAULT_METRICS = [
    "recall@10",
    "recall@20",
    "ndcg@10",
    "ndcg@20",
    "hit_rate@20",
    "mrr@20",
    "map@20",
    "precision@20",
    "coverage@20",
    "average_popularity@20",
]

MEASURED = 4096
"""Queries whose lists are measured at a time; more than a block, since a list is small."""


class Evaluation:
    """How every number of an experiment is obtained: one policy for all model families.

    Args:
        metrics: names such as ``recall@20``, or import paths of metrics of one's own (``my_module.MyMetric@20``). Those of sampled
            candidates (``ndcg@10~uniform99``, see :class:`recsys.metrics.Sampled`) are measured on lists of their own.
        select: the metric that selects epochs and trials on the validation part; measured whether or not it is among ``metrics``.
        among: what is ranked for a query. "catalogue": every item; "shown": the items that the held-out log shows to it, chosen or not, as
            far as training knows them, which the data must say (``Coat(keep_shown=True)``). Numbers of the two are not comparable.
        mask_seen: never recommend an item of the query's own history. None: yes for users, no for sessions, where
            repeated clicks are part of the task. The policy used is stored with the result.
        unknown: relevant items that training does not know, and that no model can recommend: "miss", they stay in the denominators; or
            "drop", for parity with code that removes them from the test part: queries with nothing else are left out. Numbers of the two
            are not comparable.
        block: queries scored at a time. Time and memory depend on it, results do not.

    Raises:
        ConfigError: an unknown metric, one listed twice, or a ``select`` that has no better direction; sampled candidates of what was
            shown.
    """

    def __init__(
        self,
        *,
        metrics: list[str] = DEFAULT_METRICS,
        select: str = "ndcg@20",
        among: Literal["catalogue", "shown"] = "catalogue",
        mask_seen: bool | None = None,
        unknown: Literal["miss", "drop"] = "miss",
        block: int = 256,
    ) -> None:
        if block < 1:
            raise ConfigError(f"evaluation.block is {block}; it must be at least 1 query")
        if among not in ("catalogue", "shown"):
            raise ConfigError(f"evaluation.among is {among!r}; allowed are 'catalogue' and 'shown'")
        if unknown not in ("miss", "drop"):
            raise ConfigError(f"evaluation.unknown is {unknown!r}; allowed are 'miss' and 'drop'")
        self.metrics, self.select, self.mask_seen, self.block = list(metrics), select, mask_seen, block
        self.among: Literal["catalogue", "shown"] = among
        self.unknown: Literal["miss", "drop"] = unknown
        found = [metric(text) for text in self.metrics]
        names = [m.name for m in found]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ConfigError(f"evaluation.metrics names {', '.join(twice)} more than once; remove the repetition")
        if among == "shown" and (drawn := [m.name for m in found if isinstance(m, Sampled)]):
            raise ConfigError(f"evaluation.metrics has {drawn[0]}, sampled from the catalogue, and evaluation.among is 'shown'; choose one")
        chosen = metric(select)
        if isinstance(chosen, Sampled):
            exact = chosen.metric.name
            raise ConfigError(f"evaluation.select is {select!r}, and sampled candidates may order models wrongly; select by {exact!r}")
        if not chosen.higher_is_better:
            raise ConfigError(f"evaluation.select is {select!r}, and higher is not better there; choose for instance 'ndcg@20'")

    def with_metrics(self, metrics: list[str] | None) -> Evaluation:
        """The same rules for other metrics; itself for none."""
        return Evaluation(**(knobs(self) | {"metrics": metrics})) if metrics else self

    def needs(self) -> dict[str, str]:
        return {"shown": "it ranks the items that were shown"} if self.among == "shown" else {}

    def measures(self) -> list[AnyMetric | Sampled]:
        """The configured metrics, and ``select`` if it is not among them."""
        found = [metric(text) for text in self.metrics]
        chosen = metric(self.select)
        return found if chosen.name in {m.name for m in found} else [*found, chosen]

    @property
    def selector(self) -> str:
        """The name under which the value of ``select`` stands in a summary."""
        return metric(self.select).name

    def asked(self, holdout: Holdout) -> Holdout:
        """The same queries, without relevant items that do not count."""
        return holdout if self.unknown == "miss" else replace(holdout, unknown=torch.zeros_like(holdout.unknown))

    def masks(self, owner_kind: OwnerKind) -> bool:
        """The masking policy for this kind of owner."""
        return owner_kind == "user" if self.mask_seen is None else self.mask_seen


@dataclass(frozen=True)
class Evaluated:
    """``summary``: the value of each metric. ``per_query``: one row a query, the columns that identify it and one for each per-query
    metric. ``lists`` int32 [Q, K]: recommended item codes, -1 past the end. ``facts``: plain JSON, what the numbers mean and were
    measured on."""

    summary: dict[str, float]
    per_query: pl.DataFrame = field(repr=False)
    lists: Tensor = field(repr=False)
    facts: dict[str, Any] = field(repr=False)

    def intervals(self, seed: int) -> dict[str, Interval]:
        """The bootstrap interval of each per-query metric's mean."""
        return {name: interval(self.per_query[name], seed=seed) for name in self.summary if name in self.per_query.columns}

    def write(self, path: Path) -> None:
        """Writes ``per_query`` as Parquet, whole or not at all."""
        files.replace(path, self.per_query.write_parquet)

    def write_lists(self, path: Path) -> None:
        """Writes the columns that identify each query, and ``items``: the list of recommended item codes, best first."""
        query = self.per_query.select(name for name in self.per_query.columns if "@" not in name)
        full = pl.Series("items", self.lists.numpy())
        items = pl.DataFrame(full).select(pl.col("items").arr.to_list().list.filter(pl.element() >= 0))
        files.replace(path, pl.concat([query, items], how="horizontal").write_parquet)


def evaluate(
    recommender: Recommender,
    holdout: Holdout,
    *,
    counts: Tensor,
    owner_kind: OwnerKind,
    evaluation: Evaluation | None = None,
    candidates: Tensor | None = None,
    train: Log | None = None,
) -> Evaluated:
    """Ranks the whole catalogue (or what was shown, see :class:`Evaluation`) for every query of a holdout and measures the lists.

    The population is the queries with at least one relevant item, the same for every metric; how many were left out is a fact of
    the result. Memory is bounded by a block of scores and the lists, never queries x items.

    Args:
        counts: int [N], training events of each item.
        owner_kind: what an owner of the training log is; decides the masking policy unless ``evaluation`` fixes it.
        candidates: bool [N], the items that may be recommended; None: all that training knows.
        train: the training log, for metrics that look at who has which item (:attr:`recsys.metrics.Metric.reads_owners`).

    Raises:
        RecsysError: the model's scores are nan or infinite, or of the wrong shape; what was shown is to be ranked and not known; or a
            metric looks at the training log and ``train`` is None.
    """
    evaluation = evaluation or Evaluation()
    given, holdout = holdout, evaluation.asked(holdout)
    if evaluation.among == "shown" and holdout.shown is None:
        raise RecsysError("evaluation.among is 'shown', and these data do not say what was shown to whom; rank the catalogue")
    among = holdout.shown if evaluation.among == "shown" else None
    masks = evaluation.masks(owner_kind)
    measures = evaluation.measures()
    ranked_whole = [m for m in measures if not isinstance(m, Sampled)]
    owners = _owners(measures, train)
    deepest = max(m.k for m in ranked_whole)
    allowed = torch.ones(len(counts), dtype=torch.bool) if candidates is None else candidates.cpu()
    counts, histories, block = counts.cpu().long(), holdout.histories, evaluation.block
    ranked = blocks(recommender, histories, deepest + 1, mask_seen=masks, candidates=allowed, among=among, block=block)
    book = _entered(_together(ranked, MEASURED), ranked_whole, holdout, counts, owners)
    facts = _facts(given, evaluation, measures, masks, int(allowed.sum())) | book.facts()
    drawn = [m for m in measures if isinstance(m, Sampled)]
    columns = book.values | _of_samples(drawn, recommender, holdout, counts, allowed, owners, mask_seen=masks, block=block)
    summary = book.summary(allowed) | {m.name: mean(columns[m.name]) for m in drawn}
    values = {m.name: pl.Series(m.name, columns[m.name].numpy()) for m in measures if m.name in columns}
    return Evaluated({m.name: summary[m.name] for m in measures}, holdout.query.with_columns(**values), book.lists, facts)


def evaluate_lists(
    lists: Tensor,
    holdout: Holdout,
    *,
    counts: Tensor,
    owner_kind: OwnerKind,
    evaluation: Evaluation | None = None,
    train: Log | None = None,
) -> Evaluated:
    """Measures lists that somebody else made by the rules of :func:`evaluate`.

    Nothing is masked: an item of the query's own history takes its rank, and the share of such items is a fact of the result
    (``seen_share``), as is how many lists are shorter than the deepest metric looks.

    Args:
        lists: int [Q, K], item codes, best first, -1 past the end of a list; the queries of the holdout in order.

    Raises:
        RecsysError: other queries, an item that training does not know, one twice in a list, or a metric of sampled candidates.
    """
    evaluation = evaluation or Evaluation()
    measures = evaluation.measures()
    if drawn := [m.name for m in measures if isinstance(m, Sampled)]:
        raise RecsysError(f"{drawn[0]} ranks sampled candidates, and given lists rank none; leave it out")
    whole = [m for m in measures if not isinstance(m, Sampled)]
    given, holdout = holdout, evaluation.asked(holdout)
    _check_lists(lists, holdout, len(counts))
    deepest = max(m.k for m in whole)
    counts, items = counts.cpu().long(), lists.long()
    items = F.pad(items, (0, max(0, deepest + 1 - items.shape[1])), value=-1)[:, : deepest + 1]
    scores = -torch.arange(deepest + 1).double().expand(items.shape).masked_fill(items < 0, torch.inf)
    parts = (Ranked(items[at : at + MEASURED], scores[at : at + MEASURED]) for at in range(0, len(items), MEASURED))
    book = _entered(parts, whole, holdout, counts, _owners(measures, train))
    facts = _facts(given, evaluation, measures, evaluation.masks(owner_kind), len(counts)) | book.facts()
    facts |= {"lists": "given", "ties": "not known", "tie_share": {}, "seen_share": _seen_share(lists, holdout.histories)}
    values = {name: pl.Series(name, column.numpy()) for name, column in book.values.items()}
    allowed = torch.ones(len(counts), dtype=torch.bool)
    return Evaluated(book.summary(allowed), holdout.query.with_columns(**values), book.lists, facts)


def _check_lists(lists: Tensor, holdout: Holdout, num_items: int) -> None:
    if lists.ndim != 2 or len(lists) != len(holdout) or not lists.shape[1]:
        raise RecsysError(f"lists have shape {tuple(lists.shape)}; one list for each of the {len(holdout)} queries is needed")
    if bool(((lists < -1) | (lists >= num_items)).any()):
        raise RecsysError(f"lists hold item codes outside 0 to {num_items - 1}, and -1 past the end")
    ordered = lists.sort(1).values
    if len(twice := ((ordered.diff(dim=1) == 0) & (ordered[:, 1:] >= 0)).nonzero()):
        raise RecsysError(f"the list of query {int(twice[0, 0])} has item code {int(ordered[tuple(twice[0])])} twice; an item has one rank")
    if bool(((lists[:, 1:] >= 0) & (lists[:, :-1] < 0)).any()):
        raise RecsysError("lists have gaps: -1 stands past the end of a list only")


def _seen_share(lists: Tensor, histories: Histories) -> float:
    """The share of the recommended items that the query's own history has."""
    row, column = (lists >= 0).nonzero(as_tuple=True)
    items, of = histories.flat()
    size = int(max(lists.max(), items.max() if len(items) else 0)) + 1
    seen = torch.isin(row * size + lists[row, column].long(), of * size + items)
    return float(seen.double().mean()) if len(seen) else 0.0


def _entered(
    parts: Iterable[Ranked],
    measures: list[AnyMetric],
    holdout: Holdout,
    counts: Tensor,
    owners: tuple[Tensor, Tensor] | None,
) -> _Book:
    """All lists, measured; they have one rank more than the deepest metric looks at, to see ties across its end."""
    relevant = holdout.relevant()
    book, at = _Book(measures, relevant, len(counts)), 0
    deepest = max(m.k for m in measures)
    for part in parts:
        rows = slice(at, at + len(part.items))
        at = rows.stop
        items = part.items[:, :deepest]
        hits = _hits(items, holdout, rows, len(counts))
        book.enter(rows, Ranking(items, part.scores[:, :deepest], hits, relevant[rows], counts, owners), part.scores)
    return book


def _owners(measures: list[AnyMetric | Sampled], train: Log | None) -> tuple[Tensor, Tensor] | None:
    """The distinct owners of each training item, if a metric looks at them."""
    single = (m.metric if isinstance(m, Sampled) else m for m in measures)
    reading = [m.name for m in single if isinstance(m, Metric) and m.reads_owners]
    if not reading:
        return None
    if train is None:
        raise RecsysError(f"{reading[0]} looks at who has which item in training; give evaluate() the training log, train=...")
    return Catalog(train).by_item()


class _Book:
    """Collects values while blocks go by."""

    def __init__(self, measures: list[AnyMetric], relevant: Tensor, num_items: int) -> None:
        queries = len(relevant)
        self.measures = measures
        self.counted = relevant > 0
        self.lists = torch.full((queries, max(m.k for m in measures)), -1, dtype=torch.int32)
        self.values = {m.name: torch.full((queries,), torch.nan, dtype=torch.double) for m in measures if isinstance(m, Metric)}
        self.exposure = {m.name: torch.zeros(num_items, dtype=torch.long) for m in measures if isinstance(m, ListMetric)}
        self.ties = dict.fromkeys(sorted({m.k for m in measures}), 0)

    def enter(self, rows: slice, ranking: Ranking, scores: Tensor) -> None:
        """``scores`` has one rank more than the ranking, to see ties across its end."""
        self.lists[rows] = ranking.items.int()
        counted = self.counted[rows]
        for m in self.measures:
            if isinstance(m, Metric):
                self.values[m.name][rows] = m.measure(ranking).masked_fill(~counted, torch.nan)
            else:
                shown = ranking.items[counted, : m.k].flatten()
                self.exposure[m.name] += torch.bincount(shown[shown >= 0], minlength=len(ranking.counts))
        for k in self.ties:
            self.ties[k] += int(((scores[:, k - 1] == scores[:, k]) & (scores[:, k] > -torch.inf) & counted).sum())

    def summary(self, candidates: Tensor) -> dict[str, float]:
        return {
            m.name: mean(self.values[m.name]) if isinstance(m, Metric) else m.measure(self.exposure[m.name], candidates)
            for m in self.measures
        }

    def facts(self) -> dict[str, Any]:
        size = int(self.counted.sum())
        return {
            "tie_share": {f"@{k}": (n / size if size else math.nan) for k, n in self.ties.items()},
            "short_lists": int(((self.lists < 0).any(1) & self.counted).sum()),
        }


def mean(values: Tensor | Iterable[float]) -> float:
    """The mean of the values that are not nan; nan if there are none. The sum is exactly rounded, so their order does not matter."""
    given = values.tolist() if isinstance(values, Tensor) else values
    kept = [v for v in given if v == v]
    return math.fsum(kept) / len(kept) if kept else math.nan


def batch_means(per_query: pl.DataFrame, size: int) -> dict[str, float]:
    """What a loop over test batches that averages its batches' means reports: a parity variant, named ``recall@20~batch128``.

    Batches are of ``size`` consecutive owners (first column); the owners left over at the end are dropped, and a batch counts as
    much as any other, however many queries it has. TRON's published code does so with 128 sessions (Wilm et al. 2023).

    Raises:
        RecsysError: there is no whole batch.
    """
    if size < 1:
        raise RecsysError(f"batches of {size} are asked for; a batch has at least 1 owner")
    owner = per_query.columns[0]
    owners = per_query.select((pl.col(owner) != pl.col(owner).shift()).fill_null(False).cum_sum()).to_series()
    whole = 0 if owners.is_empty() else (int(owners[-1]) + 1) // size
    if not whole:
        raise RecsysError(f"a mean over batches of {size} {owner}s needs as many, and there are {owners.n_unique()}")
    names = [name for name, kind in per_query.schema.items() if kind == pl.Float64 and "@" in name]
    batches = per_query.select(pl.col(names).fill_nan(None), (owners // size).alias("batch")).filter(pl.col("batch") < whole)
    means = batches.group_by("batch").agg(pl.col(names).mean()).fill_null(math.nan)
    return {f"{name}~batch{size}": mean(means[name]) for name in names}


def _of_samples(
    measures: list[Sampled],
    recommender: Recommender,
    holdout: Holdout,
    counts: Tensor,
    allowed: Tensor,
    owners: tuple[Tensor, Tensor] | None,
    *,
    mask_seen: bool,
    block: int,
) -> dict[str, Tensor]:
    """float64 [Q] for each metric of sampled candidates. Queries are drawn for and ranked a part at a time."""
    if not measures:
        return {}
    relevant = holdout.relevant()
    values = {m.name: torch.full((len(relevant),), torch.nan, dtype=torch.double) for m in measures}
    for first in range(0, len(relevant), DRAWN):
        rows = slice(first, min(first + DRAWN, len(relevant)))
        some = holdout.histories.take(rows)
        wanted, masked = _relevant_pairs(holdout, rows, len(counts)), torch.empty(0, dtype=torch.long)
        if mask_seen:
            seen, of = some.flat()
            masked = of * len(counts) + seen
        for scheme in dict.fromkeys(m.scheme for m in measures):
            alike = [m for m in measures if m.scheme == scheme]
            among = alike[0].candidates(wanted, masked, counts, allowed, first=first, size=len(some))
            deepest = max(m.k for m in alike)
            parts = blocks(recommender, some, deepest, mask_seen=mask_seen, candidates=allowed, among=among, block=block)
            for part in _together(parts, len(some)):
                hits = _hits(part.items, holdout, rows, len(counts))
                ranking = Ranking(part.items, part.scores, hits, relevant[rows], counts, owners)
                for m in alike:
                    values[m.name][rows] = m.metric.measure(ranking).masked_fill(relevant[rows] == 0, torch.nan)
    return values


def _together(parts: Iterable[Ranked], queries: int) -> Iterator[Ranked]:
    """The same lists in larger parts of about this many queries."""
    waiting: list[Ranked] = []
    for part in parts:
        waiting.append(part)
        if sum(len(p.items) for p in waiting) >= queries:
            yield Ranked(torch.cat([p.items for p in waiting]), torch.cat([p.scores for p in waiting]))
            waiting = []
    if waiting:
        yield Ranked(torch.cat([p.items for p in waiting]), torch.cat([p.scores for p in waiting]))


def _hits(items: Tensor, holdout: Holdout, rows: slice, num_items: int) -> Tensor:
    """bool [Q, K]: which items of a block's lists are relevant to their queries."""
    keys = _relevant_pairs(holdout, rows, num_items)
    if not len(keys):
        return torch.zeros_like(items, dtype=torch.bool)
    row = torch.arange(len(items))
    wanted = row[:, None] * num_items + items
    at = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return (keys[at] == wanted) & (items >= 0)


def _relevant_pairs(holdout: Holdout, rows: slice, num_items: int) -> Tensor:
    """int64, ascending: the relevant items of some queries as query * N + item, the first of these queries being 0."""
    offsets = holdout.offsets[rows.start : rows.stop + 1]
    relevant = holdout.items[int(offsets[0]) : int(offsets[-1])].long()
    return torch.arange(len(offsets) - 1).repeat_interleave(offsets.diff()) * num_items + relevant


def _facts(holdout: Holdout, evaluation: Evaluation, measures: list[AnyMetric | Sampled], masks: bool, candidates: int) -> dict[str, Any]:
    relevant, unknown = int(holdout.relevant().sum()), int(holdout.unknown.sum())
    counted = int((evaluation.asked(holdout).relevant() > 0).sum())
    histories = holdout.histories
    return {
        "queries": counted,
        "left_out": len(holdout) - counted,
        "cold": int(((histories.lengths() == 0) & (histories.owner < 0)).sum()),
        "relevant": relevant,
        "unknown": evaluation.unknown,
        "unknown_share": unknown / relevant if relevant else 0.0,
        "mask_seen": masks,
        "among": evaluation.among,
        "candidates": candidates,
        "select": evaluation.selector,
        "ties": "score descending, then item code ascending",
        "metrics": {m.name: {**spec(m), "definition": m.definition} for m in measures},
    }
