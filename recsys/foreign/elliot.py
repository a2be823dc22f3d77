from __future__ import annotations

from recsys.evaluation import mean
from recsys.foreign.base import Given, mean_of
from recsys.metrics import MRR, NDCG, HitRate, Precision, Recall


def as_elliot(given: Given, k: int) -> dict[str, float]:
    """Elliot: MAP is no average precision, but the mean of the precisions at all ranks 1 to k, hit or not. ItemCoverage is a count of
    items, not a share. Recall, Precision, nDCG (nDCGRendle2020 too), MRR and HR are ours for events without ratings; nDCG of ratings has
    gains of 2 ** (rating - threshold + 1) - 1, and ratings are not part of a ranking here.

    Without a validation part, it selects on the test part.

    Source: ``elliot/evaluation/metrics/accuracy/`` (map/map.py and others), ``coverage/item_coverage/item_coverage.py``; version 0.3.1,
    commit fc27efe.
    """
    ranking = given.ranking
    kinds = {"Recall": Recall, "Precision": Precision, "nDCG": NDCG, "nDCGRendle2020": NDCG, "MRR": MRR, "HR": HitRate}
    return {f"{name}@{k}": mean(kind(k).measure(ranking)) for name, kind in kinds.items()} | {
        f"MAP@{k}": mean_of(given.precisions(k).mean(1), given.counted),
        f"ItemCoverage@{k}": float(given.distinct(k, given.counted)),
    }
