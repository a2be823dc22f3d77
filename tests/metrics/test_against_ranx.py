"""Equality with an independent library on random rankings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from recsys.metrics import (
    F1,
    MAP,
    MRR,
    NDCG,
    DCGLog2Rank,
    HitRate,
    MAPUnnormalized,
    Metric,
    NDCGUncapped,
    Precision,
    Ranking,
    Recall,
    RecallCapped,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ranx = pytest.importorskip("ranx")

pytestmark = pytest.mark.filterwarnings("ignore")  # of its compiled code
QUERIES, ITEMS, DEPTH = 3000, 60, 25


@pytest.fixture(scope="module")
def worlds() -> tuple[Ranking, object, object, np.ndarray]:
    """Rankings of many shapes: 1 to 40 relevant items, some of them outside the list."""
    rng = np.random.default_rng(7)
    order = rng.random((QUERIES, ITEMS)).argsort(1)
    relevant = rng.random((QUERIES, ITEMS)) < rng.uniform(0.01, 0.6, (QUERIES, 1))
    relevant[np.arange(QUERIES), rng.integers(ITEMS, size=QUERIES)] = True
    lists = order[:, :DEPTH]
    hits = np.take_along_axis(relevant, lists, 1)
    scores = np.tile(np.arange(DEPTH, 0, -1.0), (QUERIES, 1))
    ranking = Ranking(
        torch.from_numpy(lists),
        torch.from_numpy(scores),
        torch.from_numpy(hits),
        torch.from_numpy(relevant.sum(1)),
        torch.ones(ITEMS, dtype=torch.long),
    )
    qrels = ranx.Qrels({f"q{q:05}": {f"i{i}": 1 for i in np.flatnonzero(relevant[q])} for q in range(QUERIES)})
    run = ranx.Run({f"q{q:05}": {f"i{i}": float(s) for i, s in zip(lists[q], scores[q], strict=True)} for q in range(QUERIES)})
    return ranking, qrels, run, relevant.sum(1)


@pytest.mark.parametrize("k", [1, 5, 20, 25])
@pytest.mark.parametrize(
    ("kind", "theirs"),
    [(Recall, "recall"), (NDCG, "ndcg"), (HitRate, "hit_rate"), (MRR, "mrr"), (MAP, "map"), (Precision, "precision"), (F1, "f1")],
)
def test_equals_ranx(worlds: tuple[Ranking, object, object, np.ndarray], kind: type[Metric], theirs: str, k: int) -> None:
    ranking, qrels, run, relevant = worlds
    expected = np.asarray(ranx.evaluate(qrels, run, f"{theirs}@{k}", return_mean=False))
    if kind is MAP:  # ranx divides by the number of relevant items, without the cap
        expected = expected * relevant / np.minimum(relevant, k)
    np.testing.assert_allclose(kind(k).measure(ranking).numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 20, 25])
def test_variants_equal_ranx_over_another_normaliser(worlds: tuple[Ranking, object, object, np.ndarray], k: int) -> None:
    ranking, qrels, run, relevant = worlds
    recall, precision_sums, dcg = (np.asarray(ranx.evaluate(qrels, run, f"{m}@{k}", return_mean=False)) for m in ("recall", "map", "dcg"))
    ideal = np.cumsum(1 / np.log2(np.arange(2, relevant.max() + 2)))[relevant - 1]
    expected = {
        RecallCapped: recall * relevant / np.minimum(relevant, k),
        MAPUnnormalized: precision_sums * relevant,
        NDCGUncapped: dcg / ideal,
    }
    for kind, values in expected.items():
        np.testing.assert_allclose(kind(k).measure(ranking).numpy(), values, rtol=0, atol=1e-11)
    assert (relevant > k).sum() > 100  # where the ideals differ


@pytest.mark.parametrize("k", [2, 5, 20])
def test_dcg_by_log2_of_rank_equals_ranx_one_rank_later(worlds: tuple[Ranking, object, object, np.ndarray], k: int) -> None:
    """1 / log2(rank) at rank r is ranx's weight of rank r - 1; rank 1 weighs 1."""
    ranking, qrels, _, _ = worlds
    lists = ranking.items.numpy()
    later = ranx.Run({f"q{q:05}": {f"i{i}": float(DEPTH - r) for r, i in enumerate(lists[q, 1:])} for q in range(QUERIES)})
    expected = ranking.hits[:, 0].numpy() + np.asarray(ranx.evaluate(qrels, later, f"dcg@{k - 1}", return_mean=False))
    np.testing.assert_allclose(DCGLog2Rank(k).measure(ranking).numpy(), expected, rtol=0, atol=1e-12)
