from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recsys import evaluation
from recsys.data.log import Histories, Holdout, Log
from recsys.errors import ConfigError, RecsysError
from recsys.evaluation import DEFAULT_METRICS, Evaluated, Evaluation, batch_means, evaluate, evaluate_lists, mean
from recsys.part import build, spec


class Table:
    """Scores of query q are row ``owner[q]`` of a table; no vectors are known."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def fit(self, train: object) -> None:
        raise NotImplementedError

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        return None

    def scores(self, histories: Histories) -> Tensor:
        return self.table[histories.owner]


class Dot(Table):
    def __init__(self, query: Tensor, items: Tensor) -> None:
        self.query, self.items = query, items

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        return self.query[histories.owner], self.items


def holdout(seen: list[list[int]], relevant: list[list[int]], unknown: list[int] | None = None, owner: list[int] | None = None) -> Holdout:
    size = len(seen)
    return Holdout(
        histories=Histories.of(seen, torch.tensor(owner if owner is not None else range(size))),
        items=torch.tensor([i for x in relevant for i in sorted(x)], dtype=torch.int32),
        offsets=torch.tensor([0, *np.cumsum([len(x) for x in relevant]).tolist()]),
        unknown=torch.tensor(unknown or [0] * size),
        query=pl.DataFrame({"user": [f"u{q}" for q in range(size)]}),
    )


def random_holdout(size: int, items: int, seed: int) -> Holdout:
    rng = np.random.default_rng(seed)
    seen, relevant = [], []
    for _ in range(size):
        order = rng.permutation(items)
        cut, end = rng.integers(0, 12), rng.integers(13, 30)
        seen.append(order[:cut].tolist())
        relevant.append(order[cut:end].tolist())
    return holdout(seen, relevant, rng.integers(0, 3, size).tolist())


def take(part: Holdout, order: list[int]) -> Holdout:
    sizes = part.offsets.diff().tolist()
    lists = [x.tolist() for x in torch.split(part.items, sizes)]
    chosen = [lists[q] for q in order]
    return Holdout(
        histories=part.histories.take(torch.tensor(order)),
        items=torch.tensor([i for x in chosen for i in x], dtype=torch.int32),
        offsets=torch.tensor([0, *np.cumsum([len(x) for x in chosen]).tolist()]),
        unknown=part.unknown[order],
        query=part.query[order],
    )


def ask(model: Table, part: Holdout, items: int, kind: str = "user", **options: object) -> Evaluated:
    return evaluate(model, part, counts=torch.arange(items), owner_kind=kind, evaluation=Evaluation(**options))  # type: ignore[arg-type]


def test_one_relevant_item_ranked_second() -> None:
    found = ask(Table(torch.tensor([[3.0, 2, 1, 0]])), holdout([[]], [[1]]), 4, metrics=["ndcg@10", "recall@1", "mrr@10"], select="ndcg@10")
    assert round(found.summary["ndcg@10"], 3) == 0.631
    assert (found.summary["recall@1"], found.summary["mrr@10"]) == (0.0, 0.5)
    assert found.lists.dtype == torch.int32 and found.lists.tolist() == [[0, 1, 2, 3, -1, -1, -1, -1, -1, -1]]


def test_the_same_masking_for_every_family_and_stored_with_the_number() -> None:
    """Users: the history is never recommended, whether a model gives vectors or scores. Sessions: it may be."""
    query, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0], [2, 0], [1, 0]])
    part = holdout([[0]], [[1]])
    for model in (Dot(query, items), Table(query @ items.T)):
        for kind, masked, hit in (("user", True, 1.0), ("session", False, 0.0)):
            found = ask(model, part, 3, kind, metrics=["recall@1"], select="recall@1")
            assert found.summary["recall@1"] == hit and found.facts["mask_seen"] is masked
        assert ask(model, part, 3, "session", metrics=["recall@1"], mask_seen=True).summary["recall@1"] == 1.0
        assert ask(model, part, 3, "user", metrics=["recall@1"], mask_seen=False).summary["recall@1"] == 0.0


def test_facts_say_what_the_numbers_mean() -> None:
    table = torch.tensor([[4.0, 3, 3, 1], [1, 1, 1, 1], [4, 3, 2, 1], [4, 3, 2, 1]])
    part = holdout([[], [2], [], []], [[1], [0, 1], [], [3]], unknown=[1, 0, 0, 0], owner=[0, 1, 2, -1])
    found = ask(Table(table), part, 4, metrics=["recall@2", "coverage@2", "average_popularity@2"], select="recall@2")
    facts = found.facts
    assert (facts["queries"], facts["left_out"], facts["cold"], facts["candidates"]) == (3, 1, 1, 4)
    assert facts["unknown"] == "miss" and facts["unknown_share"] == 1 / 5 and facts["relevant"] == 5
    assert facts["tie_share"] == {"@2": 2 / 3}
    described = facts["metrics"]["recall@2"]
    assert described["class_path"] == "recsys.metrics.Recall" and "number of relevant items" in described["definition"]
    value = found.per_query["recall@2"].to_list()
    assert value[0] == 0.5 and value[1] == 1.0 and math.isnan(value[2]) and value[3] == 0.0
    assert found.summary["recall@2"] == 0.5  # of three queries, the one without answers left out
    assert found.summary["coverage@2"] == 0.5  # lists 0 1, 0 1 and 0 1 of four items
    assert found.per_query.columns == ["user", "recall@2", "average_popularity@2"]
    assert found.per_query["user"].to_list() == ["u0", "u1", "u2", "u3"]
    assert found.per_query["average_popularity@2"].to_list()[:2] == [0.5, 0.5]


def test_every_metric_has_the_same_population() -> None:
    found = ask(Table(torch.rand(3, 30)), holdout([[], [], []], [[1], [], [2]]), 30)
    columns = found.per_query.select(pl.exclude("user"))
    assert columns.select(pl.all().is_nan().sum()).row(0) == (1,) * columns.width


def test_defaults() -> None:
    plain = Evaluation()
    assert plain.metrics == DEFAULT_METRICS and plain.metrics is not DEFAULT_METRICS and plain.selector == "ndcg@20"
    assert plain.masks("user") and not plain.masks("session")
    assert spec(build(spec(plain))) == spec(plain)
    found = ask(Table(torch.rand(5, 40)), random_holdout(5, 40, 0), 40)
    assert list(found.summary) == DEFAULT_METRICS and all(0 <= v <= 1 for n, v in found.summary.items() if "popularity" not in n)


def test_select_is_measured_even_if_not_listed() -> None:
    found = ask(Table(torch.rand(5, 40)), random_holdout(5, 40, 0), 40, metrics=["recall@5"], select="NDCG@7")
    assert set(found.summary) == {"recall@5", "ndcg@7"} and found.facts["select"] == "ndcg@7"


def test_lists_are_measured_in_parts_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    model, part = Table(torch.rand(50, 90)), random_holdout(50, 90, 3)
    whole = ask(model, part, 90)
    monkeypatch.setattr(evaluation, "MEASURED", 6)
    parts = ask(model, part, 90, block=4)
    assert parts.summary == whole.summary and parts.facts == whole.facts and parts.per_query.equals(whole.per_query)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 50), st.permutations(range(40)))
def test_values_depend_on_neither_block_nor_query_order_nor_other_metrics(seed: int, block: int, order: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = Dot(torch.randn(40, 6, generator=generator).round(), torch.randn(300, 6, generator=generator).round())
    part = random_holdout(40, 300, seed)
    one = ask(model, part, 300, metrics=["ndcg@10", "map@10", "mrr@10", "coverage@10"])
    many = ask(model, take(part, order), 300, metrics=["recall@50", "map@10", "coverage@10", "ndcg@3", "ndcg@10", "mrr@10"], block=block)
    for name, value in one.summary.items():
        assert many.summary[name] == value
        if name in one.per_query:
            assert many.per_query[name].equals(one.per_query[name].gather(order))
    assert torch.equal(many.lists[:, :20], one.lists[order])
    assert many.facts["tie_share"]["@10"] == one.facts["tie_share"]["@10"]


def test_metrics_equal_a_computation_query_by_query() -> None:
    rng = np.random.default_rng(4)
    table = torch.from_numpy(rng.normal(size=(60, 200)))
    part = random_holdout(60, 200, 9)
    found = ask(Table(table), part, 200, metrics=["recall@20", "ndcg@20", "precision@20"], block=7)
    flat, of = part.histories.flat()
    expected: dict[str, list[float]] = {"recall@20": [], "ndcg@20": [], "precision@20": []}
    exposed = set()
    for q in range(60):
        seen = set(flat[of == q].tolist())
        best = [i for i in np.argsort(-table[q].numpy()).tolist() if i not in seen][:20]
        exposed |= set(best)
        answers = set(part.items[part.offsets[q] : part.offsets[q + 1]].tolist())
        total = len(answers) + int(part.unknown[q])
        gains = [1 / math.log2(r + 2) for r, i in enumerate(best) if i in answers]
        expected["recall@20"].append(len(gains) / total)
        expected["precision@20"].append(len(gains) / 20)
        expected["ndcg@20"].append(sum(gains) / sum(1 / math.log2(r + 2) for r in range(min(total, 20))))
    for name, values in expected.items():
        np.testing.assert_allclose(found.per_query[name].to_numpy(), values, atol=1e-12)
        assert found.summary[name] == pytest.approx(np.mean(values), abs=1e-12)
    assert ask(Table(table), part, 200, metrics=["coverage@20"]).summary["coverage@20"] == len(exposed) / 200


def test_fewer_items_than_k() -> None:
    found = ask(Table(torch.tensor([[1.0, 2, 3]])), holdout([[2]], [[0, 1]]), 3, metrics=["recall@20", "precision@20", "ndcg@20"])
    assert (found.summary["recall@20"], found.summary["precision@20"]) == (1.0, 0.1)
    assert found.summary["ndcg@20"] == 1.0 and found.facts["short_lists"] == 1


def test_candidates_are_the_denominator_of_coverage() -> None:
    allowed = torch.tensor([True, True, False, False])
    found = evaluate(
        Table(torch.tensor([[1.0, 2, 3, 4]])),
        holdout([[]], [[0]]),
        counts=torch.ones(4),
        owner_kind="user",
        evaluation=Evaluation(metrics=["coverage@1", "mrr@2"]),
        candidates=allowed,
    )
    assert found.summary["coverage@1"] == 0.5 and found.summary["mrr@2"] == 0.5 and found.facts["candidates"] == 2


def test_an_empty_holdout() -> None:
    empty = holdout([], [], owner=[])
    found = ask(Table(torch.rand(1, 5)), empty, 5, metrics=["recall@2", "coverage@2"])
    assert math.isnan(found.summary["recall@2"]) and found.summary["coverage@2"] == 0.0 and found.facts["queries"] == 0


def test_a_model_of_another_catalogue_and_nan_scores() -> None:
    with pytest.raises(RecsysError, match="Table scores 5 items, but the catalogue has 4"):
        ask(Table(torch.rand(1, 5)), holdout([[]], [[0]]), 4)
    with pytest.raises(RecsysError, match="Table gave scores that are nan"):
        ask(Table(torch.full((1, 4), torch.nan)), holdout([[]], [[0]]), 4)


def test_written_values_are_those_in_memory(tmp_path: Path) -> None:
    found = ask(Table(torch.rand(20, 60)), random_holdout(20, 60, 1), 60)
    found.write(tmp_path / "test.parquet")
    assert pl.read_parquet(tmp_path / "test.parquet").equals(found.per_query)
    assert [p.name for p in tmp_path.iterdir()] == ["test.parquet"]


def test_unknown_items_are_misses_or_dropped() -> None:
    """Query 0 finds its one known item and has one unknown; query 1 has an unknown one alone."""
    histories = Histories.of([[], []], torch.arange(2))
    part = Holdout(histories, torch.tensor([2]), torch.tensor([0, 1, 1]), torch.tensor([1, 1]), pl.DataFrame({"user": [0, 1]}))
    table = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])

    class Table:
        def vectors(self, histories: Histories) -> None:
            return None

        def scores(self, histories: Histories) -> Tensor:
            return table[histories.owner]

    found = {}
    for unknown in ("miss", "drop"):
        plan = Evaluation(metrics=["recall@1"], select="recall@1", unknown=unknown)
        for lists in (False, True):
            options = {"counts": torch.ones(3), "owner_kind": "user", "evaluation": plan}
            made = evaluate_lists(torch.tensor([[2], [0]]), part, **options) if lists else evaluate(Table(), part, **options)
            found[unknown, lists] = (made.summary["recall@1"], made.facts["queries"], made.facts["unknown"], made.facts["unknown_share"])
    assert found["miss", False] == found["miss", True] == (0.25, 2, "miss", 2 / 3)
    assert found["drop", False] == found["drop", True] == (1.0, 1, "drop", 2 / 3)
    with pytest.raises(ConfigError, match="allowed are 'miss' and 'drop'"):
        Evaluation(unknown="keep")


def test_batch_means_by_hand() -> None:
    """Batches of two sessions: (1, 2) with queries 1, 0, 0, 1 and (3, 4) with 1, 1; session 5 is left over. Pooled it would be 4 / 7."""
    queries = pl.DataFrame({"session": [1, 1, 1, 2, 3, 4, 5], "recall@20": [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]})
    assert batch_means(queries, 2) == {"recall@20~batch2": 0.75}
    unknown = queries.with_columns(pl.lit(math.nan).alias("recall@20"))
    assert math.isnan(batch_means(pl.concat([unknown, queries.slice(0, 0)]), 2)["recall@20~batch2"])
    left_out = queries.with_columns(pl.Series("recall@20", [1.0, math.nan, 0.0, 1.0, 1.0, 1.0, 0.0]))
    assert batch_means(left_out, 2) == {"recall@20~batch2": pytest.approx((2 / 3 + 1) / 2)}
    with pytest.raises(RecsysError, match="batches of 6 sessions needs as many, and there are 5"):
        batch_means(queries, 6)
    with pytest.raises(RecsysError, match="batches of 0"):
        batch_means(queries, 0)


def test_mean_is_pooled_exact_and_leaves_nan_out() -> None:
    assert mean([1e16, 1.0, -1e16, math.nan]) == 1 / 3
    assert mean(torch.tensor([0.1] * 10, dtype=torch.double)) == 0.1
    assert math.isnan(mean([]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": ["recal@20"]}, "did you mean 'recall@20'"),
        ({"metrics": ["recall@20", "Recall@20"]}, "recall@20 more than once"),
        ({"select": "coverage@20"}, "higher is not better"),
        ({"select": "average_popularity@20"}, "higher is not better"),
        ({"select": "ndcg"}, "name@k"),
        ({"block": 0}, "at least 1"),
    ],
)
def test_bad_options(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Evaluation(**options)  # type: ignore[arg-type]


def test_metrics_that_look_at_who_has_which_item_are_given_the_training_log() -> None:
    """Owners 0: a b, 1: a b, 2: c; the lists are a b c, and c b without the a that is known."""
    train = Log(torch.tensor([0, 1, 0, 1, 2], dtype=torch.int32), torch.tensor([0, 2, 4, 5]), 3)
    model, part = Table(torch.tensor([[3.0, 2, 1], [1, 2, 3]])), holdout([[], [0]], [[1], [2]])
    evaluation = Evaluation(metrics=["intra_list_distance@3", "novelty@3", "gini@3", "shannon_entropy@1"], select="recall@3")
    found = evaluate(model, part, counts=train.counts, owner_kind="user", evaluation=evaluation, train=train)
    assert found.per_query["intra_list_distance@3"].to_list() == pytest.approx([2 / 3, 1.0], abs=1e-15)
    common, rare = math.log2(5 / 2), math.log2(5)
    assert found.per_query["novelty@3"].to_list() == pytest.approx([(2 * common + rare) / 3, (common + rare) / 2], abs=1e-15)
    assert found.summary["gini@3"] == pytest.approx((2 * 2 - 2 * 1) / (2 * 5)) and found.summary["shannon_entropy@1"] == 1.0
    with pytest.raises(RecsysError, match="intra_list_distance@3 looks at who has which item in training; give evaluate"):
        evaluate(model, part, counts=train.counts, owner_kind="user", evaluation=evaluation)


def test_the_training_log_changes_no_other_value() -> None:
    train = Log(torch.randint(0, 90, (400,)).int(), torch.tensor([0, 150, 400]), 90)
    model, part = Table(torch.rand(50, 90)), random_holdout(50, 90, 3)
    plain = evaluate(model, part, counts=train.counts, owner_kind="user")
    names = [*DEFAULT_METRICS, "intra_list_distance@20"]
    more = evaluate(model, part, counts=train.counts, owner_kind="user", evaluation=Evaluation(metrics=names, block=9), train=train)
    assert {name: more.summary[name] for name in plain.summary} == plain.summary
    assert more.per_query.drop("intra_list_distance@20").equals(plain.per_query)
