"""session-rec, commit 5dcd583, by hand: ``python tests/foreign/record_session_rec.py`` with its checkout on PYTHONPATH.

It is no package; its metrics need numpy and pandas alone. Recall, Precision, MAP and NDCG are those of all further items of a session,
HitRate and MRR those of the next item: they are given the queries with one relevant item.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from evaluation.metrics.accuracy import MRR, HitRate
from evaluation.metrics.accuracy_multiple import MAP, NDCG, Precision, Recall
from evaluation.metrics.coverage import Coverage
from recording import KS, known, queries, write


def main() -> None:
    given = [q for q in queries() if q["relevant"]]
    train = pd.DataFrame({"SessionId": 0, "ItemId": range(known())})
    found = {}
    for k in KS:
        for kind in (Recall, Precision, MAP, NDCG, Coverage, HitRate, MRR):
            metric = kind(length=k)
            metric.init(train)
            metric.reset()
            for query in given:
                scores = pd.Series(query["scores"], index=query["list"], dtype=float)
                if kind not in (HitRate, MRR):
                    metric.add_multiple(scores, np.array(query["relevant"]))
                elif len(query["relevant"]) == 1:
                    metric.add(scores, query["relevant"][0])
            name, value = metric.result()[:2]
            found[name.strip(": ")] = value
    write("session_rec", "session-rec", "5dcd583", found)


if __name__ == "__main__":
    main()
