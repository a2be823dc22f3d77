"""RecTools 0.17.0, by hand: ``python tests/foreign/record_rectools.py`` in its environment.

It takes tables of ranks and of interactions, the lists of queries with nothing relevant included.
"""

from __future__ import annotations

from importlib.metadata import version

import pandas as pd
from recording import KS, known, queries, write
from rectools import Columns
from rectools.metrics import MAP, MRR, NDCG, CatalogCoverage, HitRate, Precision, Recall, calc_metrics


def main() -> None:
    given = queries()
    reco = pd.DataFrame(
        [(user, item, rank) for user, q in enumerate(given) for rank, item in enumerate(q["list"], 1)],
        columns=[Columns.User, Columns.Item, Columns.Rank],
    )
    held_out = pd.DataFrame([(user, item) for user, q in enumerate(given) for item in q["relevant"]], columns=[Columns.User, Columns.Item])
    metrics = {f"{kind.__name__}@{k}": kind(k=k) for k in KS for kind in (Recall, Precision, HitRate, NDCG, MAP, MRR, CatalogCoverage)}
    write("rectools", "RecTools", version("rectools"), calc_metrics(metrics, reco, held_out, catalog=range(known())))


if __name__ == "__main__":
    main()
