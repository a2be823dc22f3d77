"""Metrics of sampled candidates: their names, what is drawn, and what they are in an evaluation."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from recsys.data.log import Histories, Holdout
from recsys.errors import ConfigError
from recsys.evaluation import Evaluation, evaluate, mean
from recsys.metrics import (
    F1,
    MAP,
    MRR,
    NDCG,
    AveragePopularity,
    DCGLog2Rank,
    HitRate,
    MAPUnnormalized,
    Metric,
    NDCGUncapped,
    Precision,
    Recall,
    RecallCapped,
    Sampled,
    expected_sampled,
    metric,
)
from recsys.part import build, spec
from recsys.ranks import full_ranks

ACCURACY = [Recall, RecallCapped, Precision, F1, HitRate, MRR, MAP, NDCG, NDCGUncapped, DCGLog2Rank, MAPUnnormalized]


class Table:
    """Scores of query q are row ``owner[q]``."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def vectors(self, histories: Histories) -> None:
        return None

    def scores(self, histories: Histories) -> Tensor:
        return self.table[histories.owner]


def world(queries: int = 60, items: int = 150) -> tuple[Table, Holdout]:
    """Random scores; some relevant items are in the history, some unknown, some queries have none."""
    rng = np.random.default_rng(3)
    order = rng.permuted(np.tile(np.arange(items), (queries, 1)), axis=1)
    relevant = [np.sort(row[12 : 12 + n]) for row, n in zip(order, rng.integers(0, 12, queries), strict=True)]
    part = Holdout(
        histories=Histories.of(order[:, :15].tolist(), torch.arange(queries)),
        items=torch.from_numpy(np.concatenate(relevant)).int(),
        offsets=torch.tensor([0, *np.cumsum([len(x) for x in relevant]).tolist()]),
        unknown=torch.from_numpy(rng.integers(0, 2, queries)),
        query=pl.DataFrame({"user": range(queries)}),
    )
    return Table(torch.from_numpy(rng.normal(size=(queries, items)))), part


def drawn(measure: Sampled, *, relevant: list[int], seen: list[int], counts: list[int], size: int = 1) -> list[list[int]]:
    """The candidates of ``size`` like queries."""
    rows = torch.arange(size)[:, None] * len(counts)
    pairs = [(rows + torch.tensor(x, dtype=torch.long)).flatten() for x in (relevant, seen)]
    allowed = torch.ones(len(counts), dtype=torch.bool)
    found, offsets = measure.candidates(*pairs, torch.tensor(counts), allowed, first=0, size=size)
    return [x.tolist() for x in torch.split(found, offsets.diff().tolist())]


@pytest.mark.parametrize(
    ("text", "name", "law", "num", "seed"),
    [
        ("ndcg@10~uniform99", "ndcg@10~uniform99", "uniform", 99, 0),
        ("NDCG@10~popularity100", "ndcg@10~popularity100", "popularity", 100, 0),
        ("hit_rate@5~uniform99-seed7", "hit_rate@5~uniform99-seed7", "uniform", 99, 7),
        ("recsys.metrics.Recall@5~uniform9-seed0", "recall@5~uniform9", "uniform", 9, 0),
    ],
)
def test_its_name_carries_law_number_and_seed(text: str, name: str, law: str, num: int, seed: int):
    found = metric(text)
    assert isinstance(found, Sampled)
    assert (found.name, found.law, found.num, found.seed, found.k) == (name, law, num, seed, found.metric.k)
    assert spec(build(spec(found))) == spec(found) and metric(found.name).name == name
    assert found.higher_is_better is None and str(num) in found.definition and found.metric.definition in found.definition


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ndcg@10~uniform", "such as uniform99-seed7"),
        ("ndcg@10~uniform0", "such as uniform99-seed7"),
        ("ndcg@10~batch128", "one of the laws uniform, popularity, got 'batch'"),
        ("ndgc@10~uniform99", "did you mean 'ndcg@10'"),
        ("coverage@10~uniform99", "Coverage.* has no sampled variant"),
        ("average_popularity@10~uniform99", "AveragePopularity.* has no sampled variant"),
    ],
)
def test_bad_names(text: str, said: str):
    with pytest.raises(ConfigError, match=said) as raised:
        metric(text)
    assert "\n" not in str(raised.value)


def test_bad_options():
    for options, said in (({"num": 0}, "at least 1"), ({"law": "zipf"}, "laws uniform, popularity, got 'zipf'")):
        with pytest.raises(ValueError, match=said):
            Sampled(NDCG(10), **options)  # type: ignore[arg-type]
    for wrong in (AveragePopularity(10), Sampled(NDCG(10))):
        with pytest.raises(ValueError, match="no sampled variant"):
            Sampled(wrong)  # type: ignore[arg-type]


def test_it_may_never_select_a_model():
    with pytest.raises(ConfigError, match="sampled candidates may order models wrongly; select by 'ndcg@10'"):
        Evaluation(select="ndcg@10~uniform99")
    with pytest.raises(ConfigError, match="among is 'shown'"):
        Evaluation(metrics=["ndcg@10~uniform99"], among="shown")


@pytest.mark.parametrize("law", ["uniform", "popularity"])
@pytest.mark.parametrize("num", [1, 5, 30, 99])
def test_candidates_are_the_relevant_items_and_others_each_once(law: str, num: int):
    relevant, seen = [3, 50, 70], [0, 1, 2, 50]
    measure = Sampled(NDCG(5), num=num, law=law)  # type: ignore[arg-type]
    for row in drawn(measure, relevant=relevant, seen=seen, counts=[*range(80)], size=20):
        assert row == sorted(set(row)) and set(relevant) <= set(row) and not {0, 1, 2} & set(row)
        assert len(row) == 3 + min(num, 74)


def test_by_popularity_items_without_events_are_never_drawn():
    measure = Sampled(NDCG(5), num=9, law="popularity")
    assert drawn(measure, relevant=[0], seen=[], counts=[5, 0, 1, 0, 2, 0], size=30) == [[0, 2, 4]] * 30
    assert drawn(measure, relevant=[0], seen=[], counts=[5, 0, 0]) == [[0]]


def sets(weights: list[float], num: int) -> dict[tuple[int, ...], float]:
    """The probability of every set of ``num`` items drawn one after the other in proportion to weights."""
    found: dict[tuple[int, ...], float] = {}
    for order in itertools.permutations(range(len(weights)), num):
        p, left = 1.0, sum(weights)
        for i in order:
            p, left = p * weights[i] / left, left - weights[i]
        found[tuple(sorted(order))] = found.get(tuple(sorted(order)), 0) + p
    return found


@pytest.mark.parametrize("law", ["uniform", "popularity"])
@pytest.mark.parametrize("counts", [[1, 2, 3, 4, 10], [10, 20, 30, 4000, 4000]], ids=["even", "skewed"])
@pytest.mark.parametrize("num", [2, 4])
def test_sets_have_the_probabilities_of_draws_one_after_the_other(counts: list[int], law: str, num: int):
    """The skewed counts need draws from the whole catalogue for many queries: 24 draws rarely give four distinct items."""
    size = 20_000
    measure = Sampled(NDCG(5), num=num, law=law)  # type: ignore[arg-type]
    rows = drawn(measure, relevant=[5], seen=[6], counts=[*counts, 7, 9], size=size)
    expected = sets([1.0] * 5 if law == "uniform" else [float(c) for c in counts], num)
    seen = dict.fromkeys(expected, 0)
    for row in rows:
        seen[tuple(i for i in row if i != 5)] += 1
    likely = [s for s, p in expected.items() if p * size >= 5]
    statistic = sum((seen[s] - expected[s] * size) ** 2 / (expected[s] * size) for s in likely)
    assert len(likely) >= 3 and statistic < chi2.ppf(0.9999, len(likely) - 1)
    assert sum(seen.values()) == size


def test_draws_depend_on_the_seed_and_the_query():
    rows = [drawn(Sampled(NDCG(5), num=5, seed=seed), relevant=[0], seen=[], counts=[1] * 500, size=2) for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2] and rows[0][0] != rows[0][1]


def test_with_all_candidates_sampled_it_is_the_exact_metric():
    model, part = world()
    metrics = [name for m in ACCURACY for name in (m(5).name, f"{m(5).name}~uniform1000")]
    found = evaluate(model, part, counts=torch.ones(150), owner_kind="user", evaluation=Evaluation(metrics=metrics))
    assert list(found.summary) == [*metrics, "ndcg@20"]
    for m in ACCURACY:
        plain, sampled = found.per_query[m(5).name], found.per_query[f"{m(5).name}~uniform1000"]
        assert sampled.equals(plain.alias(sampled.name)) and 0 < plain.is_nan().sum() < 30
        assert found.summary[sampled.name] == found.summary[plain.name] > 0


def test_neither_block_nor_other_metrics_change_it_and_it_changes_no_other():
    model, part = world()
    name = "ndcg@5~popularity20"

    def ask(block: int, metrics: list[str]) -> dict[str, float]:
        evaluation = Evaluation(metrics=metrics, block=block)
        return evaluate(model, part, counts=torch.arange(150), owner_kind="user", evaluation=evaluation).summary

    one, many, none = ask(256, [name]), ask(7, ["recall@9~popularity20", "mrr@2~uniform3", name]), ask(256, [])
    assert one[name] == many[name] and one["ndcg@20"] == none["ndcg@20"] == many["ndcg@20"]


def test_facts_say_how_it_was_sampled():
    model, part = world()
    evaluation = Evaluation(metrics=["ndcg@5~uniform20-seed4"])
    facts = evaluate(model, part, counts=torch.ones(150), owner_kind="user", evaluation=evaluation).facts["metrics"]
    known = facts["ndcg@5~uniform20-seed4"]
    assert known["init_args"]["seed"] == 4 and "20 others only, drawn by uniform" in known["definition"]


@pytest.mark.parametrize("kind", [Recall, NDCG, MAP, MRR])
@pytest.mark.parametrize("mask_seen", [True, False])
def test_what_evaluations_measure_on_average_is_expected_from_full_ranks(kind: type[Metric], mask_seen: bool):
    model, part = world()
    known = full_ranks(model, part, 150, mask_seen=mask_seen)
    names = [f"{kind(5).name}~uniform30-seed{seed}" for seed in range(1, 101)]
    evaluation = Evaluation(metrics=[kind(5).name, *names], mask_seen=mask_seen)
    found = evaluate(model, part, counts=torch.ones(150), owner_kind="user", evaluation=evaluation)
    assert mean(expected_sampled(kind(5), known, None)) == pytest.approx(found.summary[kind(5).name], abs=1e-12)
    values = np.array([found.summary[name] for name in names])
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean() - mean(expected_sampled(kind(5), known, 30))) < 4 * error
    assert values.mean() - found.summary[kind(5).name] > 40 * error
