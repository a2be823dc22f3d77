"""Metrics of recommended lists: one class a file; conventions in :mod:`recsys.metrics.base`."""

from recsys.metrics.average_popularity import AveragePopularity
from recsys.metrics.base import AnyMetric, ListMetric, Metric, Ranking, metric
from recsys.metrics.coverage import Coverage
from recsys.metrics.f1 import F1
from recsys.metrics.hit_rate import HitRate
from recsys.metrics.map import MAP
from recsys.metrics.mrr import MRR
from recsys.metrics.ndcg import NDCG
from recsys.metrics.precision import Precision
from recsys.metrics.recall import Recall
from recsys.metrics.recall_capped import RecallCapped

__all__ = [
    "F1",
    "MAP",
    "MRR",
    "NDCG",
    "AnyMetric",
    "AveragePopularity",
    "Coverage",
    "HitRate",
    "ListMetric",
    "Metric",
    "Precision",
    "Ranking",
    "Recall",
    "RecallCapped",
    "metric",
]
