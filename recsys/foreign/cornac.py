from __future__ import annotations

from dataclasses import replace

from recsys.evaluation import mean
from recsys.foreign.base import Given
from recsys.metrics import NDCG, HitRate, Precision, Recall


def as_cornac(given: Given, k: int) -> dict[str, float]:
    """Cornac: unknown items do not count as relevant (``exclude_unknowns=True``), so that denominators are smaller, and queries with
    nothing else are left out. But for that, Recall, Precision, NDCG and HitRatio are ours.

    Left out: MRR and NDCG without a cut-off, which read the ranking of the whole catalogue (where another metric has a cut-off, only the
    ranks above it are in order, and the two change), and MAP, which reads all scores. There is no coverage.

    Source: ``cornac/metrics/ranking.py`` and ``cornac/eval_methods/base_method.py``, ranking_eval; version 3.0.1.
    """
    known = replace(given.ranking, relevant=given.ranking.relevant - given.unknown)
    kinds = {"Recall": Recall, "Precision": Precision, "NDCG": NDCG, "HitRatio": HitRate}
    return {f"{name}@{k}": mean(kind(k).measure(known)) for name, kind in kinds.items()}
