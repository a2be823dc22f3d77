"""Many methods on the same queries: which of them cannot be told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from recsys.randomness import numpy_generator
from recsys.statistics.base import Values, check_level, table
from recsys.statistics.multiple import holm
from recsys.statistics.resampling import CELLS, LIMIT, sign_flip_p, signed_sums


@dataclass(frozen=True)
class Groups:
    """Which of M methods, named by their row, cannot be told apart.

    ``groups``: the maximal groups no two of which differ significantly, each from the largest mean down, in the order of their first
    members. Every method is in at least one; two methods differ significantly where no group has both. ``order``: all methods from the
    largest mean down. ``means`` and ``ranks`` (see :func:`mean_ranks`) [M] and ``p`` [M, M], Holm-corrected over all pairs and 1 on the
    diagonal, are in the order of the rows. ``queries``: how many had a value for every method.
    """

    groups: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    means: Values = field(repr=False)
    ranks: Values = field(repr=False)
    p: Values = field(repr=False)
    level: float
    queries: int


def homogeneous_groups(values: Any, level: float = 0.95, seed: int = 0, *, permutations: int | None = None) -> Groups:
    """Paired permutation tests of all pairs of methods, Holm-corrected over all pairs, and the groups they leave together.

    It is the view of the critical difference diagram (Demsar 2006), with tests of means in place of Nemenyi's of mean ranks, which makes
    the difference of two methods depend on which others are compared. Since tests of pairs have no common critical difference,
    significance need not follow the order of means: groups are the maximal cliques of the pairs that do not differ (as the
    letters of Piepho 2004), neither cut nor stretched to neighbours in rank.

    Args:
        values: [methods, queries]; larger is better. Queries that are nan for any method are left out.
        level: 1 - the probability of any false difference.
        permutations: of every test. None: 10,000, and with many methods so many that the least possible p value, after the correction, is a
            tenth of 1 - level.

    Raises:
        ValueError: level outside (0, 1), not [methods, queries], or no query with a value for every method.
    """
    check_level(level)
    kept = _complete(values)
    pairs = list(combinations(range(len(kept)), 2))
    if permutations is None:
        permutations = max(10_000, math.ceil(10 * len(pairs) / (1 - level)))
    p = np.ones((len(kept), len(kept)))
    for (a, b), found in zip(pairs, holm(_pairwise(kept, pairs, permutations, seed)), strict=True):
        p[a, b] = p[b, a] = found
    means = kept.mean(1)
    order = np.argsort(-means, kind="stable")
    position = {int(method): at for at, method in enumerate(order)}
    same = [{int(other) for other in np.flatnonzero(row >= 1 - level)} - {method} for method, row in enumerate(p)]
    cliques = [sorted(clique, key=position.__getitem__) for clique in _cliques(same, set(), set(position), set())]
    groups = tuple(tuple(clique) for clique in sorted(cliques, key=lambda clique: [position[method] for method in clique]))
    return Groups(groups, tuple(position), means, _ranks(kept), p, level, kept.shape[1])


def mean_ranks(values: Any) -> Values:
    """The mean over queries of the rank of each method on the query, float64 [M]: 1 is the largest value, equal ones share the mean of
    their ranks (Friedman 1937). Takes values and raises as :func:`homogeneous_groups`."""
    return _ranks(_complete(values))


def _ranks(kept: Values) -> Values:
    from scipy.stats import rankdata

    found: Values = rankdata(-kept, axis=0).mean(1)
    return found


def _complete(values: Any) -> Values:
    given = table(values, "methods")
    kept = given[:, ~np.isnan(given).any(0)]
    if not kept.shape[1]:
        raise ValueError(f"of {given.shape[1]} queries none has a value for all {len(given)} methods; leave out the methods without values")
    return kept


def _pairwise(values: Values, pairs: list[tuple[int, int]], permutations: int, seed: int) -> list[float]:
    """P values of all pairs. The signs of a permutation are the same for every pair, so that a method is summed once for all its
    pairs. Sums that are equal but for rounding count as extreme."""
    if values.shape[1] >= LIMIT:
        return [sign_flip_p(values[a] - values[b], permutations, seed) for a, b in pairs]
    first, second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    size = np.abs(values).sum(1)
    observed = np.array([abs((values[a] - values[b]).sum()) - 1e-12 * (size[a] + size[b]) for a, b in pairs])
    rng = numpy_generator(seed, "signs")
    extreme = np.zeros(len(pairs), dtype=np.int64)
    step = max(1, CELLS // max(values.shape[1], len(pairs)))
    for at in range(0, permutations, step):
        sums = signed_sums(values.T, min(step, permutations - at), rng)
        extreme += (np.abs(sums[:, first] - sums[:, second]) >= observed).sum(0)
    return [float(value) for value in (1 + extreme) / (1 + permutations)]


def _cliques(same: list[set[int]], clique: set[int], possible: set[int], done: set[int]) -> list[set[int]]:
    """The maximal cliques that have ``clique`` and some of ``possible`` and none of ``done`` (Bron and Kerbosch 1973, with a pivot)."""
    if not possible and not done:
        return [clique]
    pivot = max(sorted(possible | done), key=lambda method: len(same[method] & possible))
    found = []
    for method in sorted(possible - same[pivot]):
        found += _cliques(same, clique | {method}, possible & same[method], done & same[method])
        possible, done = possible - {method}, done | {method}
    return found
