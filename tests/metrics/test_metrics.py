from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from recsys.errors import ConfigError
from recsys.metrics import (
    MAP,
    MRR,
    NDCG,
    AveragePopularity,
    Coverage,
    DCGLog2Rank,
    HitRate,
    IntraListDistance,
    ListMetric,
    MAPUnnormalized,
    Metric,
    NDCGUncapped,
    Precision,
    Ranking,
    Recall,
    RecallCapped,
    metric,
)
from recsys.part import build, spec
from recsys.testing.metrics import check_metric, some_ranking


def ranking(hits: list[list[int]], relevant: list[int]) -> Ranking:
    found = torch.tensor(hits, dtype=torch.bool)
    depth = found.shape[1]
    items = torch.arange(depth).expand_as(found)
    scores = torch.arange(depth, 0, -1).double().expand(found.shape)
    return Ranking(items, scores, found, torch.tensor(relevant), torch.arange(depth) * 10)


SECOND_OF_TEN = [[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]]
MANY = [[1, 0, 1, 0, 0, 1, 0, 0, 0, 1]]  # hits at ranks 1, 3, 6, 10


@pytest.mark.parametrize(
    ("measure", "hits", "relevant", "expected"),
    [
        # one relevant item ranked 2nd: other libraries give NDCG 1.000 (ranks 1 and 2 weigh the same) or 0.139 (ideal of k terms)
        (NDCG(10), SECOND_OF_TEN, 1, 1 / math.log2(3)),
        (Recall(10), SECOND_OF_TEN, 1, 1.0),
        (MRR(10), SECOND_OF_TEN, 1, 0.5),
        (MRR(1), SECOND_OF_TEN, 1, 0.0),
        (MAP(10), SECOND_OF_TEN, 1, 0.5),
        (HitRate(10), SECOND_OF_TEN, 1, 1.0),
        (HitRate(1), SECOND_OF_TEN, 1, 0.0),
        (Precision(10), SECOND_OF_TEN, 1, 0.1),  # not the capped recall that would be 1
        (Recall(10), MANY, 16, 4 / 16),
        (RecallCapped(10), MANY, 16, 4 / 10),
        (RecallCapped(10), MANY, 8, 4 / 8),
        (Precision(5), MANY, 16, 2 / 5),
        # average precision, not a mean of precisions at all ranks; the last rank counts
        (MAP(10), MANY, 4, (1 + 2 / 3 + 3 / 6 + 4 / 10) / 4),
        (MAP(10), MANY, 16, (1 + 2 / 3 + 3 / 6 + 4 / 10) / 10),
        (MAP(9), MANY, 4, (1 + 2 / 3 + 3 / 6) / 4),
        (NDCG(3), MANY, 4, (1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2)),
        (NDCG(10), MANY, 4, (1 + 1 / 2 + 1 / math.log2(7) + 1 / math.log2(11)) / (1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5))),
    ],
)
def test_hand_worked(measure: Metric, hits: list[list[int]], relevant: int, expected: float) -> None:
    assert measure.measure(ranking(hits, [relevant])).item() == pytest.approx(expected, abs=1e-15)


def test_ndcg_of_the_one_item_ranked_second_is_the_textbook_value() -> None:
    assert round(NDCG(10).measure(ranking(SECOND_OF_TEN, [1])).item(), 3) == 0.631


@pytest.mark.parametrize("kind", [Recall, RecallCapped, Precision, HitRate, MRR, MAP, NDCG])
def test_limits(kind: type[Metric]) -> None:
    perfect, empty, nothing = kind(3).measure(ranking([[1, 1, 1], [0, 0, 0], [0, 0, 0]], [3, 3, 0])).tolist()
    assert (perfect, empty) == (1.0, 0.0) and math.isnan(nothing)


def test_unknown_relevant_items_are_misses() -> None:
    known, with_unknown = ranking([[1, 1, 0]], [2]), ranking([[1, 1, 0]], [4])  # two of four can never be recommended
    assert Recall(3).measure(known).item() == 1.0
    assert Recall(3).measure(with_unknown).item() == 0.5
    assert NDCG(3).measure(with_unknown).item() < NDCG(3).measure(known).item() == 1.0


def test_average_popularity_counts_training_events_of_the_first_k() -> None:
    lists = ranking([[0, 0, 0], [0, 0, 0], [0, 0, 0]], [1, 1, 1])
    items = torch.tensor([[2, 1, 0], [1, -1, -1], [-1, -1, -1]])  # counts are 0, 10, 20
    value = AveragePopularity(2).measure(replace(lists, items=items)).tolist()
    assert value[:2] == [15.0, 10.0] and math.isnan(value[2])


def test_coverage_divides_by_what_may_be_recommended() -> None:
    exposure = torch.tensor([5, 0, 1, 0, 0])
    assert Coverage(20).measure(exposure, torch.ones(5, dtype=torch.bool)) == 0.4
    assert Coverage(20).measure(exposure, torch.tensor([True, True, True, True, False])) == 0.5
    assert Coverage(20).measure(torch.zeros(5, dtype=torch.long), torch.ones(5, dtype=torch.bool)) == 0.0


@pytest.mark.parametrize("kind", [Recall, RecallCapped, Precision, HitRate, MRR, MAP, NDCG, AveragePopularity, Coverage])
def test_conformance(kind: type[Metric | ListMetric]) -> None:
    check_metric(kind)


class NoCap(NDCG):
    """The ideal list always has k terms (as in RecTools): a perfect short list does not score 1."""

    def measure(self, ranking: Ranking) -> torch.Tensor:
        return super().measure(replace(ranking, relevant=torch.full_like(ranking.relevant, self.k)))


class LastMissed(MAP):
    """Average precision in a loop that never sees the last rank."""

    def measure(self, ranking: Ranking) -> torch.Tensor:
        hits = ranking.hits.clone()
        hits[:, self.k - 1] = False
        return super().measure(replace(ranking, hits=hits))


class BatchMean(Recall):
    """Every query gets the mean of its block."""

    def measure(self, ranking: Ranking) -> torch.Tensor:
        value = super().measure(ranking)
        return value.nanmean().expand_as(value).where(~value.isnan(), value)


class Deep(MRR):
    """Looks at all ranks it is given, so that another metric's larger k changes it."""

    def measure(self, ranking: Ranking) -> torch.Tensor:
        return MRR(ranking.hits.shape[1]).measure(ranking)


class Single(Recall):
    """Single precision."""

    def measure(self, ranking: Ranking) -> torch.Tensor:
        return super().measure(ranking).float()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (NoCap, "nan where nothing is relevant"),
        (LastMissed, "k hits"),
        (BatchMean, "blocks"),
        (Deep, "how long the lists are"),
        (Single, "float64"),
    ],
)
def test_conformance_finds_the_mistakes_of_other_libraries(kind: type[Metric], said: str) -> None:
    with pytest.raises(AssertionError, match=said) as raised:
        check_metric(kind)
    assert kind.__name__ in str(raised.value)


def test_lists_cut_above_k_are_refused() -> None:
    with pytest.raises(ValueError, match=r"recall@20 needs lists of 20 ranks, got 3"):
        Recall(20).measure(ranking([[1, 0, 0]], [1]))


@pytest.mark.parametrize("k", [0, -3, 2.0, True, "20"])
def test_bad_k(k: object) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Recall(k)  # type: ignore[arg-type]


def test_ranking_checks_its_shapes() -> None:
    whole = some_ranking(4)
    with pytest.raises(ValueError, match=r"\[Q, K\]"):
        replace(whole, hits=whole.hits[:, :2])


@pytest.mark.parametrize(
    ("text", "kind", "k", "name"),
    [
        ("recall@20", Recall, 20, "recall@20"),
        ("HitRate@5", HitRate, 5, "hit_rate@5"),
        ("hit_rate@5", HitRate, 5, "hit_rate@5"),
        ("NDCG@10", NDCG, 10, "ndcg@10"),
        ("recall_capped@3", RecallCapped, 3, "recall_capped@3"),
        ("averagepopularity@1", AveragePopularity, 1, "average_popularity@1"),
        ("ndcg_uncapped@5", NDCGUncapped, 5, "ndcg_uncapped@5"),
        ("DCGLog2Rank@5", DCGLog2Rank, 5, "dcg_log2_rank@5"),
        ("map_unnormalized@5", MAPUnnormalized, 5, "map_unnormalized@5"),
        ("intra_list_distance@5", IntraListDistance, 5, "intra_list_distance@5"),
        ("recsys.metrics.MRR@7", MRR, 7, "mrr@7"),
    ],
)
def test_names(text: str, kind: type, k: int, name: str) -> None:
    found = metric(text)
    assert type(found) is kind and found.k == k and found.name == name
    assert spec(build(spec(found))) == {"class_path": f"recsys.metrics.{kind.__name__}", "init_args": {"k": k}}


def test_a_metric_of_ones_own(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metrics.py").write_text(  # type: ignore[operator]
        "from recsys.metrics import Recall\n\nclass ReverseRecall(Recall):\n    '''Mine.'''\n\nclass Other:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = metric("own_metrics.ReverseRecall@20")
    assert found.name == "reverse_recall@20" and found.definition == "Mine."
    with pytest.raises(ConfigError, match="Other is no metric"):
        metric("own_metrics.Other@20")
    with pytest.raises(ConfigError, match=r"no class at 'own_metrics\.Missing'"):
        metric("own_metrics.Missing@20")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recal@20", r"did you mean 'recall@20'\? known: average_popularity, coverage, dcg_log2_rank, f1, gini, hit_rate, intra_list"),
        ("auc@20", "no metric 'auc@20'; (did you mean .*)?known: "),
        ("recall", "not of the form name@k"),
        ("recall@0", "not of the form name@k"),
        ("recall@-5", "not of the form name@k"),
        ("recall@ten", "not of the form name@k"),
        ("@20", "no metric"),
        ("list_metric@20", "no metric"),
    ],
)
def test_misspelt_names(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        metric(text)
    assert "\n" not in str(raised.value)
