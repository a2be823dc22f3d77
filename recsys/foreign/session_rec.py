from __future__ import annotations

from recsys.evaluation import mean
from recsys.foreign.base import Given, mean_of, original_discounts
from recsys.metrics import MRR, HitRate, Precision, Recall
from recsys.metrics.base import running


def as_session_rec(given: Given, k: int) -> dict[str, float]:
    """session-rec: MAP adds (hits up to a rank / k) / relevant over hits, divides by k rather than by the rank, and never sees rank k: a
    list of k hits scores (k - 1) / (2 k). NDCG discounts by log2(max(rank, 2)), so that ranks 1 and 2 weigh the same. Recall, Precision and
    Coverage (of the items with training events) are ours; an item that follows twice counts twice in its denominator of recall, once here.

    HitRate and MRR are those of the next item alone, and ours; they are given where every query has one relevant item. Which of several
    comes next is not stored.

    Its preparation drops test items that training does not know; here they are misses, as for the metrics themselves.

    Source: ``evaluation/metrics/accuracy_multiple.py`` (add_multiple), ``accuracy.py`` and ``coverage.py``; commit 5dcd583.
    """
    ranking, counted = given.ranking, given.counted
    seen = ranking.hits[:, : k - 1]
    found = {
        f"Recall@{k}": mean(Recall(k).measure(ranking)),
        f"Precision@{k}": mean(Precision(k).measure(ranking)),
        f"MAP@{k}": mean_of((running(seen) * seen).sum(1) / k / ranking.relevant, counted),
        f"NDCG@{k}": mean_of(given.ndcg(original_discounts(k)), counted),
        f"Coverage@{k}": given.distinct(k, counted) / given.trained if given.trained else float("nan"),
    }
    if bool((ranking.relevant[counted] == 1).all()):
        found |= {f"HitRate@{k}": mean(HitRate(k).measure(ranking)), f"MRR@{k}": mean(MRR(k).measure(ranking))}
    return found
