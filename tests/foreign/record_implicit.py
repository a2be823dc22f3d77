"""implicit 0.7.3, by hand: ``python tests/foreign/record_implicit.py`` in its environment.

The lists stand for what a model recommends; -1 pads.
"""

from __future__ import annotations

import implicit
import numpy as np
from implicit.evaluation import ranking_metrics_at_k
from recording import KS, num_items, queries, write
from scipy.sparse import csr_matrix


class Lists:
    """A model that recommends what the lists say."""

    def __init__(self, lists: list[list[int]]) -> None:
        self.lists = lists

    def recommend(self, users: np.ndarray, user_items: csr_matrix, N: int) -> tuple[np.ndarray, None]:
        return np.array([(self.lists[u] + [-1] * N)[:N] for u in users], dtype=np.int32), None


def main() -> None:
    given = queries()
    pairs = [(user, item) for user, q in enumerate(given) for item in q["relevant"]]
    row, column = np.array(pairs).T
    shape = (len(given), num_items())
    test, train = csr_matrix((np.ones(len(pairs)), (row, column)), shape=shape), csr_matrix(shape)
    found = {}
    for k in KS:
        values = ranking_metrics_at_k(Lists([q["list"] for q in given]), train, test, K=k, show_progress=False)
        found |= {f"{name}@{k}": value for name, value in values.items()}
    write("implicit", "implicit", implicit.__version__, found)


if __name__ == "__main__":
    main()
