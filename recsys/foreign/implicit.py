from __future__ import annotations

from recsys.evaluation import mean
from recsys.foreign.base import Given
from recsys.metrics import MAP, NDCG


def as_implicit(given: Given, k: int) -> dict[str, float]:
    """implicit: precision is a capped recall pooled over all queries: all hits / the sum of min(relevant, k), so that queries weigh by
    how much is relevant to them. map and ndcg are ours. There is no recall, hit rate, mrr or coverage.

    Left out: auc, which needs the number of items that are relevant to nobody, unknown ones included.

    Source: ``implicit/evaluation.pyx``, ranking_metrics_at_k; version 0.7.3.
    """
    ranking = given.ranking
    possible = float(ranking.relevant.clamp(max=k).sum())
    return {
        f"precision@{k}": float(given.hits(k)[given.counted].sum()) / possible if possible else float("nan"),
        f"map@{k}": mean(MAP(k).measure(ranking)),
        f"ndcg@{k}": mean(NDCG(k).measure(ranking)),
    }
