from __future__ import annotations

from recsys.evaluation import mean
from recsys.foreign.base import Given
from recsys.metrics import MAP, MRR, NDCG, HitRate, Precision, Recall


def as_recbole(given: Given, k: int) -> dict[str, float]:
    """RecBole: the metrics are ours; it prints them rounded to 4 digits (``metric_decimal_place``).

    What differs lies before them: the history is masked for general models and not for sequential ones, which are asked for one item a
    row of the log; every item of the log, test-only ones included, belongs to the catalogue, so that none is unknown.

    Left out: ``itemcoverage``, whose denominator counts the padding item and items that only the test part has; and where all that is not
    masked fits into a list, the rest of it is filled with masked items.

    Source: ``recbole/evaluator/metrics.py``, classes Recall, Precision, NDCG, MAP, MRR, Hit, and ``collector.py``; version 1.2.1.
    """
    kinds = {"recall": Recall, "precision": Precision, "ndcg": NDCG, "map": MAP, "mrr": MRR, "hit": HitRate}
    return {f"{name}@{k}": mean(kind(k).measure(given.ranking)) for name, kind in kinds.items()}
