from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from recsys import foreign
from recsys.data.log import Histories, Holdout
from recsys.errors import ConfigError, RecsysError
from recsys.evaluation import Evaluation, evaluate
from recsys.foreign import LIBRARIES, Given, definition
from recsys.metrics import MAP, NDCG, HitRate, Metric, Precision, Ranking, Recall

HERE = Path(__file__).parent
KS = (5, 10, 20)


def _file(library: str) -> str:
    return library.replace("-", "_")


def record(library: str) -> dict[str, float]:
    """What the library itself gave, in float64."""
    return json.loads((HERE / f"{_file(library)}.json").read_text())["values"]


def holdout(seen: list[list[int]], relevant: list[list[int]], unknown: list[int] | None = None) -> Holdout:
    return Holdout(
        histories=Histories.of(seen, torch.arange(len(seen))),
        items=torch.tensor([i for x in relevant for i in x], dtype=torch.int32),
        offsets=torch.tensor([0, *np.cumsum([len(x) for x in relevant]).tolist()]),
        unknown=torch.tensor(unknown or [0] * len(seen)),
        query=pl.DataFrame({"user": range(len(seen))}),
    )


@pytest.fixture(scope="module")
def given() -> Given:
    """What the libraries were given (``lists.json``), as we store it."""
    stored = json.loads((HERE / "lists.json").read_text())
    known, depth, queries = stored["known"], stored["depth"], stored["queries"]
    lists = torch.tensor([q["list"] + [-1] * (depth - len(q["list"])) for q in queries], dtype=torch.int32)
    relevant = [[i for i in q["relevant"] if i < known] for q in queries]
    unknown = [len(q["relevant"]) - len(x) for q, x in zip(queries, relevant, strict=True)]
    part = holdout([[] for _ in queries], relevant, unknown)
    return Given.of(lists, part, torch.ones(known, dtype=torch.long))


def one(ranks: list[int], relevant: int, *, length: int = 20, unknown: int = 0, depth: int = 20) -> Given:
    """One query, whose relevant items are found at the given ranks of its list of this length."""
    hits = torch.zeros(1, depth, dtype=torch.bool)
    hits[0, [r - 1 for r in ranks]] = True
    items = torch.arange(depth)[None].masked_fill(torch.arange(depth) >= length, -1)
    ranking = Ranking(items, torch.zeros(1, depth), hits, torch.tensor([relevant]), torch.ones(40, dtype=torch.long))
    return Given(ranking, torch.tensor([unknown]))


def several(*parts: Given) -> Given:
    joined = {name: torch.cat([getattr(p.ranking, name) for p in parts]) for name in ("items", "scores", "hits", "relevant")}
    return Given(replace(parts[0].ranking, **joined), torch.cat([p.unknown for p in parts]))


NOT_STORED = {"implicit": {"auc"}, "session-rec": {"HitRate", "MRR"}}
"""Of the metrics on record, those that need what we do not store."""


@pytest.mark.parametrize("library", LIBRARIES)
def test_values_are_those_that_the_library_itself_gave_for_the_same_lists(given: Given, library: str) -> None:
    found = {name: value for k in KS for name, value in foreign.values(library, given, k).items()}
    expected = {name: value for name, value in record(library).items() if name.split("@")[0] not in NOT_STORED.get(library, ())}
    assert found == pytest.approx(expected, abs=1e-12, rel=0)


def test_session_rec_asks_for_the_next_item_where_one_is_relevant(given: Given) -> None:
    single = given.ranking.relevant == 1
    part = replace(given.ranking, **{name: getattr(given.ranking, name)[single] for name in ("items", "scores", "hits", "relevant")})
    expected = record("session-rec")
    for k in KS:
        found = foreign.values("session-rec", Given(part, given.unknown[single]), k)
        for name in (f"HitRate@{k}", f"MRR@{k}"):
            assert found[name] == pytest.approx(expected[name], abs=1e-12)


def test_the_lists_hold_every_case_that_tells_libraries_apart(given: Given) -> None:
    ranking, length = given.ranking, (given.ranking.items >= 0).sum(1)
    assert len(length) == 60 and (length == 0).sum() == 3 and ((length > 0) & (length < 20)).sum() == 10
    assert (ranking.relevant == 0).sum() == 2 and (ranking.relevant > 20).sum() == 3 and (ranking.relevant == 1).sum() == 8
    assert (given.unknown > 0).sum() == 18 and ((given.unknown == ranking.relevant) & given.counted).sum() == 4
    assert all(ranking.hits[:, k - 1].sum() > 5 for k in KS)
    queries = json.loads((HERE / "lists.json").read_text())["queries"]
    assert sum(len(set(q["scores"])) < len(q["scores"]) for q in queries) > 20


ONE_RANKED_SECOND = one([2], 1)


@pytest.mark.parametrize(
    ("library", "name", "expected"),
    [
        ("recbole", "ndcg@10", 0.631),
        ("rectools", "NDCG@10", 0.139),
        ("lenskit", "NDCG@10", 1.000),
        ("elliot", "nDCG@10", 0.631),
        ("implicit", "ndcg@10", 0.631),
        ("cornac", "NDCG@10", 0.631),
        ("recpack", "NDCGK_10", 0.631),
        ("recommenders", "ndcg_at_k@10", 0.631),
        ("session-rec", "NDCG@10", 1.000),
    ],
)
def test_ndcg_of_one_relevant_item_ranked_second(library: str, name: str, expected: float) -> None:
    assert round(foreign.values(library, ONE_RANKED_SECOND, 10)[name], 3) == expected


@pytest.mark.parametrize(
    ("library", "name", "query", "theirs", "our", "ours"),
    [
        # the ideal list has k terms
        ("rectools", "NDCG@2", one([1], 1), 1 / (1 + 1 / math.log2(3)), NDCG(2), 1.0),
        # 2 of 4 relevant items fill both ranks
        ("rectools", "MAP@2", one([1, 2], 4), 2 / 4, MAP(2), 2 / 2),
        # 1 hit in a list of 4
        ("lenskit", "Precision@10", one([3], 2, length=4), 1 / 4, Precision(10), 1 / 10),
        # 5 hits of 16, in 10 ranks
        ("lenskit", "Recall@10", one([1, 2, 3, 4, 5], 16), 5 / 10, Recall(10), 5 / 16),
        # ranks 1 and 3 of a list of 4, 8 relevant
        ("lenskit", "AveragePrecision@10", one([1, 3], 8, length=4), (1 + 2 / 3) / 4, MAP(10), (1 + 2 / 3) / 8),
        # precisions at ranks 1 to 4
        ("elliot", "MAP@4", one([1], 1), (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, MAP(4), 1.0),
        # 1 hit is all that is possible
        ("implicit", "precision@10", one([2], 1), 1.0, Precision(10), 1 / 10),
        # 1 of 2 relevant items is unknown
        ("cornac", "Recall@10", one([2], 2, unknown=1), 1.0, Recall(10), 1 / 2),
        # 3 hits
        ("recpack", "HitK_10", one([1, 4, 9], 3), 3.0, HitRate(10), 1.0),
        # 2 of 4 relevant items fill both ranks
        ("recommenders", "map@2", one([1, 2], 4), 2 / 4, MAP(2), 2 / 2),
        # a hit at rank 1 is worth 1 / k / relevant, one at rank k nothing
        ("session-rec", "MAP@2", one([1, 2], 2), 1 / 2 / 2, MAP(2), 1.0),
    ],
)
def test_by_hand_where_a_library_differs_from_us(library: str, name: str, query: Given, theirs: float, our: Metric, ours: float) -> None:
    assert foreign.values(library, query, our.k)[name] == pytest.approx(theirs, abs=1e-15)
    assert our.measure(query.ranking).item() == pytest.approx(ours, abs=1e-15)


EMPTY_AND_FULL = several(one([], 1, length=0), one([1], 1))
SMALL_AND_LARGE = several(one([1], 1), one([1, 2, 3], 9))


@pytest.mark.parametrize(
    ("library", "name", "queries", "expected"),
    [
        ("recbole", "recall@5", EMPTY_AND_FULL, 0.5),
        ("lenskit", "Precision@5", EMPTY_AND_FULL, 0.2),  # of one query
        ("lenskit", "Recall@5", EMPTY_AND_FULL, 0.5),  # of two
        ("recommenders", "recall_at_k@5", EMPTY_AND_FULL, 1.0),  # of one
        ("recommenders", "ndcg_at_k@5", EMPTY_AND_FULL, 0.5),  # of two
        ("implicit", "precision@5", SMALL_AND_LARGE, 4 / 6),  # pooled; a mean of 1 and 3 / 5 is 0.8
        ("lenskit", "Recall@5", SMALL_AND_LARGE, 0.8),
        ("cornac", "Recall@5", several(one([], 1, unknown=1), one([1], 1)), 1.0),  # nothing known is relevant to the first
        ("recpack", "RecallK_5", several(one([], 1, unknown=1), one([1], 1)), 0.5),
    ],
)
def test_which_queries_a_mean_is_over(library: str, name: str, queries: Given, expected: float) -> None:
    assert foreign.values(library, queries, 5)[name] == pytest.approx(expected, abs=1e-15)


def test_coverage_by_hand() -> None:
    """Lists of 2 and 3 of 40 items; the second query has nothing relevant."""
    shown = several(one([], 1, length=2), one([], 0, length=3))
    assert foreign.values("rectools", shown, 5)["CatalogCoverage@5"] == 3
    assert foreign.values("elliot", shown, 5)["ItemCoverage@5"] == 2
    assert foreign.values("recommenders", shown, 5)["catalog_coverage@5"] == 3 / 40
    assert foreign.values("session-rec", shown, 5)["Coverage@5"] == 2 / 40


@pytest.mark.parametrize("library", LIBRARIES)
def test_longer_lists_change_nothing(given: Given, library: str) -> None:
    ranking = given.ranking
    cut = replace(ranking, items=ranking.items[:, :10], scores=ranking.scores[:, :10], hits=ranking.hits[:, :10])
    assert foreign.values(library, replace(given, ranking=cut), 10) == foreign.values(library, given, 10)


@pytest.mark.parametrize("library", LIBRARIES)
def test_queries_that_cannot_be_measured_are_no_error(library: str) -> None:
    for query in (one([], 0), one([], 0, length=0)):
        for name, value in foreign.values(library, query, 10).items():
            assert "overage" in name or math.isnan(value), name
    assert foreign.values(library, one([1], 1), 1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_definition_names_the_source_and_its_version(library: str) -> None:
    text = definition(library)
    version = json.loads((HERE / f"{_file(library)}.json").read_text())["version"].split()[0]
    assert "Source: " in text and "ours" in text and version in text


def test_stored_lists_become_the_ranking_that_was_measured() -> None:
    class Model:
        def vectors(self, histories: Histories) -> None:
            return None

        def scores(self, histories: Histories) -> Tensor:
            return torch.rand(50, 30, generator=torch.Generator().manual_seed(0), dtype=torch.double)[histories.owner]

    draw = np.random.default_rng(1)
    relevant = [np.sort(draw.choice(30, size, replace=False)).tolist() for size in draw.integers(0, 9, 50)]
    part = holdout([[q % 30] for q in range(50)], relevant, draw.integers(0, 2, 50).tolist())
    counts = torch.arange(30)
    metrics = ["recall@10", "ndcg@10", "precision@10", "map@10", "mrr@10", "hit_rate@10"]
    measured = evaluate(Model(), part, counts=counts, owner_kind="user", evaluation=Evaluation(metrics=metrics))
    found = foreign.values("recbole", Given.of(measured.lists, part, counts), 10)
    assert found == {name.replace("hit_rate", "hit"): measured.summary[name] for name in metrics}
    with pytest.raises(RecsysError, match="50 lists for a holdout of 1 queries"):
        Given.of(measured.lists, holdout([[]], [[1]]), counts)


def test_an_unknown_library_is_refused_with_those_known() -> None:
    for ask in (lambda: foreign.values("recbol", ONE_RANKED_SECOND, 10), lambda: definition("recbol")):
        with pytest.raises(ConfigError, match=r"no library 'recbol'; did you mean 'recbole'\? known: cornac, elliot, .*, session-rec$"):
            ask()
    with pytest.raises(ConfigError, match="no library 'surprise'"):
        definition("surprise")


@pytest.mark.parametrize("k", [0, -1, 21])
def test_k_beyond_the_lists_is_refused(k: int) -> None:
    with pytest.raises(RecsysError, match=f"values of recbole at k = {k} are asked for, and the lists have 20 ranks; k is 1 to 20"):
        foreign.values("recbole", ONE_RANKED_SECOND, k)


def test_unknown_items_are_some_of_the_relevant_ones() -> None:
    with pytest.raises(ValueError, match="unknown counts some of the relevant items"):
        one([1], 1, unknown=2)
    with pytest.raises(ValueError, match="unknown counts some of the relevant items"):
        Given(ONE_RANKED_SECOND.ranking, torch.tensor([0, 0]))
