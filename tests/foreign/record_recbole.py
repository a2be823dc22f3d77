"""RecBole 1.2.1, by hand: ``python tests/foreign/record_recbole.py`` in its environment (or with its checkout on PYTHONPATH).

Its collector takes scores of every item, and its test data have users with a relevant item only, so that queries with none are not
given. RecBole knows every item of the log, those that training lacks too. A model scores all items, so that no list of its is short: the
ranks that are missing are filled with items that are relevant to nobody.
"""

from __future__ import annotations

import numpy as np
import recbole
import torch
from recbole.evaluator import Evaluator
from recbole.evaluator.collector import Collector
from recording import KS, num_items, queries, write

np.float, np.bool = np.float64, np.bool_  # as its own configuration does before anything runs

METRICS = ["Recall", "Precision", "NDCG", "MAP", "MRR", "Hit"]


def main() -> None:
    given = [q for q in queries() if q["relevant"]]
    fillers = range(num_items(), num_items() + max(KS))
    scores = torch.full((len(given), num_items() + max(KS)), -1000.0)
    scores[:, list(fillers)] = -100.0
    for row, query in enumerate(given):
        scores[row, query["list"]] = torch.arange(len(query["list"]), 0, -1).float()
    config = {
        "metrics": METRICS,
        "topk": list(KS),
        "metric_decimal_place": 15,
        "eval_args": {"mode": "full"},
        "device": torch.device("cpu"),
    }
    collector = Collector(config)
    row = torch.tensor([at for at, q in enumerate(given) for _ in q["relevant"]])
    collector.eval_batch_collect(scores, None, row, torch.tensor([item for q in given for item in q["relevant"]]))
    write("recbole", "RecBole", recbole.__version__, Evaluator(config).evaluate(collector.get_data_struct()))


if __name__ == "__main__":
    main()
