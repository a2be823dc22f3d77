from __future__ import annotations

from recsys.evaluation import mean
from recsys.foreign.base import Given, mean_of
from recsys.metrics import NDCG


def as_recommenders(given: Given, k: int) -> dict[str, float]:
    """Microsoft Recommenders: recall_at_k, precision_at_k, map and map_at_k leave queries with an empty list out of their mean, and
    ndcg_at_k counts them as 0, so that these are means over different queries. But for that, recall, precision, map_at_k and ndcg are
    ours; map divides by the number of relevant items, without our cap at k. catalog_coverage counts items of all lists, those of queries
    with nothing relevant included, of the items with training events. There is no hit rate or mrr.

    Source: ``recommenders/evaluation/python_evaluation.py``; version 1.2.1.
    """
    relevant, both = given.ranking.relevant, given.counted & given.listed
    ap = given.precision_at_hits(k)
    return {
        f"recall_at_k@{k}": mean_of(given.hits(k) / relevant, both),
        f"precision_at_k@{k}": mean_of(given.hits(k) / k, both),
        f"ndcg_at_k@{k}": mean(NDCG(k).measure(given.ranking)),
        f"map@{k}": mean_of(ap / relevant, both),
        f"map_at_k@{k}": mean_of(ap / relevant.clamp(max=k), both),
        f"catalog_coverage@{k}": given.distinct(k) / given.trained if given.trained else float("nan"),
    }
