"""Elliot 0.3.1, commit fc27efe, by hand: ``python tests/foreign/record_elliot.py`` with its checkout on PYTHONPATH.

Its evaluator hands metrics the lists of users who have test items.
"""

from __future__ import annotations

from types import SimpleNamespace

import elliot
from elliot.evaluation.metrics import HR, MAP, MRR, ItemCoverage, Precision, Recall, nDCG, nDCGRendle2020
from elliot.evaluation.relevance.relevance import Relevance
from recording import KS, known, queries, write


def main() -> None:
    given = queries()
    test = {user: dict.fromkeys(q["relevant"], 1.0) for user, q in enumerate(given)}
    lists = {user: list(zip(q["list"], q["scores"], strict=True)) for user, q in enumerate(given) if test[user]}
    found = {}
    for k in KS:
        objects = SimpleNamespace(relevance=Relevance(test, 0), cutoff=k, num_items=known())
        for kind in (Recall, Precision, nDCG, nDCGRendle2020, MAP, MRR, HR, ItemCoverage):
            found[f"{kind.name()}@{k}"] = kind(lists, SimpleNamespace(), None, objects).eval()
    write("elliot", "Elliot", f"{elliot.__version__} (fc27efe)", found)


if __name__ == "__main__":
    main()
