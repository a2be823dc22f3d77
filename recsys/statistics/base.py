"""What the statistics give, and the checks of what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """``mean`` of ``queries`` values and the ends of its confidence interval of the given ``level``."""

    mean: float
    low: float
    high: float
    level: float
    queries: int


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over ``queries`` shared queries, its confidence interval, and the two-sided ``p`` value of "no difference"."""

    mean: float
    low: float
    high: float
    level: float
    queries: int
    p: float


def column(values: Any) -> Values:
    """One value a query as float64 [Q].

    Raises:
        ValueError: not one-dimensional.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"one value a query is needed, a column; got an array of shape {found.shape}")
    return found


def table(values: Any, rows: str) -> Values:
    """One row a seed or a method and one column a query, as float64 [rows, Q].

    Args:
        rows: what a row is, in the plural.

    Raises:
        ValueError: not two-dimensional, or without a row.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or not len(found):
        raise ValueError(f"an array [{rows}, queries] is needed, got one of shape {found.shape}; stack one row of values for each")
    return found


def shared_gap(a: Any, b: Any) -> Values:
    """a - b of the queries where neither is nan.

    Raises:
        ValueError: columns of different length.
    """
    first, second = column(a), column(b)
    if len(first) != len(second):
        raise ValueError(f"a paired comparison needs values of the same queries, got {len(first)} and {len(second)}; join them first")
    gap = first - second
    return gap[~np.isnan(gap)]


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, got {level}; write 0.95 for 95 %")
