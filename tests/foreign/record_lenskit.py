"""LensKit 2026.4.0, by hand: ``python tests/foreign/record_lenskit.py`` in its environment (Python 3.12.5 or newer).

Queries with nothing relevant are not given: precision would count them as 0, and average precision ends in a division by zero.
"""

from __future__ import annotations

from importlib.metadata import version

from lenskit.data import ItemList, ItemListCollection
from lenskit.metrics import MeasurementCollector
from lenskit.metrics.ranking import NDCG, AveragePrecision, Hit, Precision, Recall, RecipRank
from recording import KS, queries, write


def main() -> None:
    given = [q for q in queries() if q["relevant"]]
    lists, test = ItemListCollection(["user_id"]), ItemListCollection(["user_id"])
    for user, query in enumerate(given):
        lists.add(ItemList(item_ids=query["list"], scores=query["scores"], ordered=True), user_id=user)
        test.add(ItemList(item_ids=query["relevant"]), user_id=user)
    collector = MeasurementCollector()
    for kind in (Recall, Precision, NDCG, AveragePrecision, RecipRank, Hit):
        for k in KS:
            collector.add_metric(kind(n=k))
    collector.add_collection_measurements(lists, test)
    print(collector.summary_metrics())
    found = {name: value for name, value in collector.summary_metrics().items() if name.endswith(".mean")}
    write("lenskit", "LensKit", version("lenskit"), {name.removesuffix(".mean"): value for name, value in found.items()})


if __name__ == "__main__":
    main()
