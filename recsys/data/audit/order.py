"""Whether owners that are near in the log are more alike than others: a test of independent, identically distributed rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recsys.data.audit.check import Check, Ints
from recsys.data.audit.sequences import Rows
from recsys.data.log import Log
from recsys.randomness import numpy_generator

NAME = "drift along the log"
SAMPLE, NEIGHBOURS, PERMUTATIONS = 2_000, 10, 199
MIN_EVENTS, MIN_OWNERS = 2, 50
_WIDTH = 512
_STRONG, _SIGNIFICANT = 0.1, 0.01

Floats = NDArray[np.float64]


def drift(log: Log, *, seed: int) -> Check:
    """A k-nearest-neighbour test of the order of the log (Cummings, Snorrason, Mueller, "Detecting Dataset Drift and Non-IID Sampling via
    k-Nearest Neighbors", arXiv:2305.15696, 2023).

    Owners are ranked by the time of their first event (without a clock: by id). The statistic is the Kolmogorov-Smirnov distance between
    the gaps in rank of each owner and its 10 nearest neighbours and the gaps of all pairs; its p value comes from 199 permutations of the
    ranks. Owners (up to 2,000 of at least 2 events, drawn with ``seed``) are near by the cosine of their items, weighted by the logarithm
    of inverse popularity, after a random projection on 512 dimensions. We differ in the projection and the weights.

    Information, never red: amber from a distance of 0.1 with p <= 0.01.
    """
    able = np.flatnonzero(np.diff(log.offsets.numpy()) >= MIN_EVENTS)
    if len(able) < MIN_OWNERS:
        text = f"Fewer than {MIN_OWNERS} {log.owner_kind}s have {MIN_EVENTS} training events."
        return Check(NAME, "not applicable", text, {"owners": len(able)})
    g = numpy_generator(seed, "audit", "drift")
    chosen = g.permutation(g.choice(able, min(len(able), SAMPLE), replace=False))  # in random order: equal neighbours win by chance
    rank = _ranks(log, chosen)
    near = _neighbours(_vectors(log, chosen, g), min(NEIGHBOURS, len(chosen) - 1))
    pairs = np.repeat(np.arange(len(chosen)), near.shape[1]), near.ravel()
    distance = _ks(rank, *pairs)
    beaten = sum(_ks(g.permutation(rank), *pairs) >= distance for _ in range(PERMUTATIONS))
    p = (1 + beaten) / (1 + PERMUTATIONS)
    gap, usual = float(np.abs(rank[pairs[0]] - rank[pairs[1]]).mean()), (len(rank) + 1) / 3
    details: dict[str, Any] = {"owners": len(chosen), "neighbours": near.shape[1], "ks": distance, "p": p}
    details |= {"mean_gap_of_neighbours": gap, "mean_gap_of_all": usual, "order": "time" if log.time is not None else "id"}
    found = f"(distance {distance:.3f}, p {'=' if beaten else '<='} {p:.3f}, {len(chosen):,} {log.owner_kind}s)"
    if p <= _SIGNIFICANT and distance >= _STRONG:
        text = f"{log.owner_kind.capitalize()}s that are near in the log are more alike than others {found}: the data change along it, "
        return Check(NAME, "amber", text + "so a random split looks easier than a split in time.", details)
    weak = "are hardly more alike" if p <= _SIGNIFICANT else "are no more alike"
    return Check(NAME, "green", f"{log.owner_kind.capitalize()}s that are near in the log {weak} than others {found}.", details)


def _ranks(log: Log, chosen: Ints) -> Ints:
    """[S] the place of each chosen owner in the log."""
    if log.time is None:
        key = chosen
    else:
        rows = Rows(log.items.numpy(), log.offsets.numpy(), chosen)
        flat, _ = rows.flat(chosen)
        length = rows.lengths()[chosen]
        key = np.minimum.reduceat(log.time.numpy()[flat], length.cumsum() - length)
    rank = np.empty(len(chosen), dtype=np.int64)
    rank[np.lexsort([chosen, key])] = np.arange(len(chosen))
    return rank


def _vectors(log: Log, chosen: Ints, g: np.random.Generator) -> torch.Tensor:
    """float32 [S, 512]: the weighted items of each chosen owner, projected, of length 1."""
    rows = Rows(log.items.numpy(), log.offsets.numpy(), chosen)
    flat, of = rows.flat(chosen)
    items, code = np.unique(rows.items[flat], return_inverse=True)
    sign, column = g.choice([-1.0, 1.0], size=len(items)), g.integers(_WIDTH, size=len(items))
    weight = sign * np.log1p(len(rows) / log.counts.numpy()[items])
    cells = np.bincount(of * _WIDTH + column[code], weight[code], minlength=len(chosen) * _WIDTH)
    vectors = torch.from_numpy(cells.astype(np.float32)).view(len(chosen), _WIDTH)
    return torch.nn.functional.normalize(vectors, dim=1)


def _neighbours(vectors: torch.Tensor, k: int) -> Ints:
    """int64 [S, k]: the rows of largest cosine, but for the row itself."""
    score = vectors @ vectors.T
    score.fill_diagonal_(-torch.inf)
    return np.asarray(score.topk(k, dim=1).indices.numpy(), dtype=np.int64)


def _ks(rank: Ints, left: Ints, right: Ints) -> float:
    """Largest distance between the distribution of the gaps of some pairs and that of all pairs of ``len(rank)`` places."""
    size = len(rank)
    gaps = np.bincount(np.abs(rank[left] - rank[right]), minlength=size)[1:].cumsum() / len(left)
    every = np.arange(size - 1, 0, -1, dtype=np.float64).cumsum() / (size * (size - 1) / 2)  # size - d pairs have gap d
    return float(np.abs(gaps - every).max())
