from __future__ import annotations

from recsys.evaluation import mean
from recsys.foreign.base import Given, mean_of
from recsys.metrics import MRR, NDCG, Precision, Recall, RecallCapped


def as_recpack(given: Given, k: int) -> dict[str, float]:
    """RecPack: HitK is the mean number of hits, up to k, and no hit rate. CalibratedRecallK is our ``recall_capped``. RecallK,
    PrecisionK, NDCGK and ReciprocalRankK are ours. There is no average precision. Ties are broken arbitrarily.

    Left out: CoverageK, which divides by all items of the log, those that only the test part has included.

    Source: ``recpack/metrics/`` (recall.py, precision.py, dcg.py, reciprocal_rank.py, hit.py, coverage.py); version 0.3.6.
    """
    kinds = {"RecallK": Recall, "CalibratedRecallK": RecallCapped, "PrecisionK": Precision, "NDCGK": NDCG, "ReciprocalRankK": MRR}
    return {f"{name}_{k}": mean(kind(k).measure(given.ranking)) for name, kind in kinds.items()} | {
        f"HitK_{k}": mean_of(given.hits(k), given.counted)
    }
