"""Cornac 3.0.1, by hand: ``python tests/foreign/record_cornac.py`` in its environment.

The lists stand for what a model ranks; its evaluation leaves out unknown items and queries without a known relevant one, by default.
"""

from __future__ import annotations

from collections import OrderedDict

import cornac
import numpy as np
from cornac.data import Dataset
from cornac.eval_methods import ranking_eval
from cornac.metrics import NDCG, HitRatio, Precision, Recall
from recording import KS, known, queries, write


class Lists:
    """A model that ranks as the lists say."""

    def __init__(self, lists: list[list[int]]) -> None:
        self.lists = lists

    def rank(self, user_idx: int, item_indices: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.lists[user_idx], dtype=int), np.zeros(len(item_indices))


def main() -> None:
    given = queries()
    users, items = OrderedDict(), OrderedDict()
    history = [(user, 0, 1.0) for user in range(len(given))] + [(len(given), item, 1.0) for item in range(known())]
    train = Dataset.build(history, global_uid_map=users, global_iid_map=items, exclude_unknowns=False)
    assert list(train.iid_map.items()) == [(i, i) for i in range(known())] and train.uid_map[59] == 59
    held_out = [(user, item, 1.0) for user, q in enumerate(given) for item in q["relevant"]]
    test = Dataset.build(held_out, global_uid_map=users, global_iid_map=items, exclude_unknowns=True)
    metrics = [kind(k=k) for k in KS for kind in (Recall, Precision, NDCG, HitRatio)]
    means, _ = ranking_eval(Lists([q["list"] for q in given]), metrics, train_set=train, test_set=test)
    write("cornac", "Cornac", cornac.__version__, {m.name: value for m, value in zip(metrics, means, strict=True)})


if __name__ == "__main__":
    main()
