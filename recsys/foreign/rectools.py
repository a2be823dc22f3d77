from __future__ import annotations

from recsys.evaluation import mean
from recsys.foreign.base import Given, mean_of
from recsys.metrics import MRR, HitRate, Precision, Recall
from recsys.metrics.base import discounts, running


def as_rectools(given: Given, k: int) -> dict[str, float]:
    """RecTools: NDCG divides by the sum of all k discounts, however few items are relevant (``divide_by_achievable=False``), so that a
    perfect list of one relevant item scores 0.220 at k = 10. MAP divides by the number of relevant items, without our cap at k
    (``divide_by_k=False``). CatalogCoverage is a count of items, not a share, over all lists, those of queries with nothing relevant
    included (``normalize=False``). Recall, Precision, HitRate and MRR are ours.

    Its splitters drop unknown items and users from the test part by default (``filter_cold_items``); here they are misses, as for the
    metrics themselves.

    Source: ``rectools/metrics/ranking.py`` (NDCG.calc_per_user_from_merged, MAP.calc_per_user_from_fitted, MRR), ``classification.py``
    and ``catalog.py`` (CatalogCoverage.calc); version 0.17.0.
    """
    ranking, weight = given.ranking, discounts(k)
    return {
        f"Recall@{k}": mean(Recall(k).measure(ranking)),
        f"Precision@{k}": mean(Precision(k).measure(ranking)),
        f"HitRate@{k}": mean(HitRate(k).measure(ranking)),
        f"NDCG@{k}": mean_of(running(ranking.hits[:, :k] * weight)[:, -1] / weight.sum(), given.counted),
        f"MAP@{k}": mean_of(given.precision_at_hits(k) / ranking.relevant, given.counted),
        f"MRR@{k}": mean(MRR(k).measure(ranking)),
        f"CatalogCoverage@{k}": float(given.distinct(k)),
    }
