"""How sure a mean over queries is, and whether recommenders differ. Everything is deterministic from a seed."""

from recsys.statistics.base import Difference, Interval
from recsys.statistics.effect import Effect, effect_size, smallest_detectable_difference
from recsys.statistics.groups import Groups, homogeneous_groups, mean_ranks
from recsys.statistics.multiple import benjamini_hochberg, holm
from recsys.statistics.queries import interval, paired_difference
from recsys.statistics.seeds import difference_over, interval_over

__all__ = [
    "Difference",
    "Effect",
    "Groups",
    "Interval",
    "benjamini_hochberg",
    "difference_over",
    "effect_size",
    "holm",
    "homogeneous_groups",
    "interval",
    "interval_over",
    "mean_ranks",
    "paired_difference",
    "smallest_detectable_difference",
]
