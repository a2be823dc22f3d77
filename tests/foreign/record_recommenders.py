"""Microsoft Recommenders 1.2.1, by hand: ``python tests/foreign/record_recommenders.py`` in its environment.

It ranks tables by score; scores here fall by rank.
"""

from __future__ import annotations

import pandas as pd
import recommenders
from recommenders.evaluation.python_evaluation import catalog_coverage, map, map_at_k, ndcg_at_k, precision_at_k, recall_at_k
from recording import KS, by_rank, known, queries, write


def main() -> None:
    given = queries()
    true = pd.DataFrame(
        [(user, item, 1.0) for user, q in enumerate(given) for item in q["relevant"]], columns=["userID", "itemID", "rating"]
    )
    rows = [(user, item, score) for user, q in enumerate(given) for item, score in by_rank(q)]
    predicted = pd.DataFrame(rows, columns=["userID", "itemID", "prediction"])
    train = pd.DataFrame([(len(given), item) for item in range(known())], columns=["userID", "itemID"])
    found = {}
    for k in KS:
        for function in (recall_at_k, precision_at_k, ndcg_at_k, map, map_at_k):
            found[f"{function.__name__}@{k}"] = function(true, predicted, k=k)
        found[f"catalog_coverage@{k}"] = catalog_coverage(train, predicted.groupby("userID").head(k))
    write("recommenders", "Microsoft Recommenders", recommenders.__version__, found)


if __name__ == "__main__":
    main()
