from __future__ import annotations

import torch

from recsys.evaluation import mean
from recsys.foreign.base import Given, mean_of, original_discounts
from recsys.metrics import MRR, HitRate, RecallCapped


def as_lenskit(given: Given, k: int) -> dict[str, float]:
    """LensKit: Recall divides by min(relevant, k): our ``recall_capped``. NDCG discounts by log2(max(rank, 2)), so that ranks 1 and 2
    weigh the same. Precision divides by the length of the list where it is shorter than k. AveragePrecision divides by min(relevant,
    length of the list). The last two leave queries with an empty list out of their mean, which the others count as 0. Hit and RecipRank
    are ours. There is no coverage.

    Source: ``lenskit/metrics/ranking/`` (_pr.py, _dcg.py with _weighting.py, _map.py, _recip.py, _hit.py) and
    ``lenskit/data/accum/_value.py``, which skips nan; version 2026.4.0.
    """
    ranking = given.ranking
    length = (ranking.items[:, :k] >= 0).sum(1)
    counted = given.counted & given.listed
    return {
        f"Recall@{k}": mean(RecallCapped(k).measure(ranking)),
        f"Precision@{k}": mean_of(given.hits(k) / length, counted),
        f"NDCG@{k}": mean_of(given.ndcg(original_discounts(k)), given.counted),
        f"AveragePrecision@{k}": mean_of(given.precision_at_hits(k) / torch.minimum(ranking.relevant, length), counted),
        f"RecipRank@{k}": mean(MRR(k).measure(ranking)),
        f"Hit@{k}": mean(HitRate(k).measure(ranking)),
    }
