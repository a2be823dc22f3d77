"""Metrics of recommended lists: one class a file; conventions in :mod:`recsys.metrics.base`."""

from recsys.metrics.average_popularity import AveragePopularity
from recsys.metrics.base import AnyMetric, ListMetric, Metric, Ranking, metric
from recsys.metrics.coverage import Coverage
from recsys.metrics.dcg_log2_rank import DCGLog2Rank
from recsys.metrics.expectation import expected_sampled
from recsys.metrics.f1 import F1
from recsys.metrics.gini import Gini
from recsys.metrics.hit_rate import HitRate
from recsys.metrics.intra_list_distance import IntraListDistance
from recsys.metrics.map import MAP
from recsys.metrics.map_unnormalized import MAPUnnormalized
from recsys.metrics.mrr import MRR
from recsys.metrics.ndcg import NDCG
from recsys.metrics.ndcg_uncapped import NDCGUncapped
from recsys.metrics.novelty import Novelty
from recsys.metrics.precision import Precision
from recsys.metrics.recall import Recall
from recsys.metrics.recall_capped import RecallCapped
from recsys.metrics.sampled import Sampled
from recsys.metrics.shannon_entropy import ShannonEntropy

__all__ = [
    "F1",
    "MAP",
    "MRR",
    "NDCG",
    "AnyMetric",
    "AveragePopularity",
    "Coverage",
    "DCGLog2Rank",
    "Gini",
    "HitRate",
    "IntraListDistance",
    "ListMetric",
    "MAPUnnormalized",
    "Metric",
    "NDCGUncapped",
    "Novelty",
    "Precision",
    "Ranking",
    "Recall",
    "RecallCapped",
    "Sampled",
    "ShannonEntropy",
    "expected_sampled",
    "metric",
]
