"""RecPack 0.3.6, by hand: ``python tests/foreign/record_recpack.py`` in its environment.

It ranks by score in a sparse matrix and breaks ties arbitrarily; scores here fall by rank.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from recording import KS, by_rank, num_items, queries, write
from recpack.metrics import NDCGK, CalibratedRecallK, HitK, PrecisionK, RecallK, ReciprocalRankK
from scipy.sparse import csr_matrix


def matrix(rows: list[list[tuple[int, float]]]) -> csr_matrix:
    entries = [(row, item, value) for row, pairs in enumerate(rows) for item, value in pairs]
    row, item, value = (np.array(column) for column in zip(*entries, strict=True))
    return csr_matrix((value, (row, item)), shape=(len(rows), num_items()))


def main() -> None:
    given = queries()
    test = matrix([[(item, 1) for item in q["relevant"]] for q in given])
    scores = matrix([by_rank(q) for q in given])
    found = {}
    for kind in (RecallK, CalibratedRecallK, PrecisionK, NDCGK, ReciprocalRankK, HitK):
        for k in KS:
            metric = kind(K=k)
            metric.calculate(test, scores)
            found[metric.name] = metric.value
    write("recpack", "RecPack", version("recpack"), found)


if __name__ == "__main__":
    main()
