"""Traps that other libraries leave open, one test each: what ours does, in a way that would fail if it did as they do.

Longer tests of the same things: tests/test_evaluation.py (blocks, order of queries, other metrics, masking), tests/test_ranking.py (ties,
threads), tests/test_learner.py and tests/test_job.py (patience, refitting), tests/test_statistics.py, tests/splitting/test_splitters.py and
tests/data/test_audit.py (order in time, leaks), tests/pipelines/test_config.py and test_mistakes.py (misspelt keys),
tests/metrics/test_metrics.py. Best of several test folds, as in Elliot: there is nothing here that folds are put together by.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipelines import yaml_text
from pipelines.config import resolve
from pipelines.quickstart import experiments
from recsys import ConfigError, Evaluation, Experiment, Fit, evaluation
from recsys.batch import Batch
from recsys.batching import Batches, Shuffled
from recsys.catalog import Catalog
from recsys.data import Prepared, prepare
from recsys.data.log import Histories, Holdout, Log
from recsys.data.sources import Frame, Simulated
from recsys.evaluation import Evaluated, evaluate
from recsys.learner import Learner
from recsys.losses import BPR
from recsys.metrics import MAP, NDCG, Metric, Precision, Ranking, Recall, RecallCapped
from recsys.models import MF, ItemKNN, Popular, SASRec
from recsys.randomness import generator
from recsys.sampling import Popularity, Sampler, Uniform, Unseen
from recsys.scorer import DotScorer
from recsys.splitting import GlobalTime, KFoldUsers, LastN, NewUsers, SessionTime, Splitter, UserFraction
from recsys.statistics import paired_difference
from recsys.step import View
from recsys.testing import worlds


class Scores:
    """A model whose scores of query q are row q of a table."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def fit(self, train: object) -> None:
        raise NotImplementedError

    def vectors(self, histories: Histories) -> None:
        return None

    def scores(self, histories: Histories) -> Tensor:
        return self.table[histories.owner]


def holdout(relevant: list[list[int]], seen: list[list[int]] | None = None) -> Holdout:
    size = len(relevant)
    return Holdout(
        histories=Histories.of(seen or [[]] * size, torch.arange(size)),
        items=torch.tensor([i for x in relevant for i in sorted(x)], dtype=torch.int32),
        offsets=torch.tensor([0, *np.cumsum([len(x) for x in relevant]).tolist()]),
        unknown=torch.zeros(size, dtype=torch.long),
        query=pl.DataFrame({"user": range(size)}),
    )


def measured(table: Tensor, part: Holdout, metrics: list[str], block: int = 256) -> Evaluated:
    plan = Evaluation(metrics=metrics, select=metrics[0], block=block)
    return evaluate(Scores(table), part, counts=torch.ones(table.shape[1]), owner_kind="user", evaluation=plan)


def of(metric: Metric, ranks: list[int], relevant: int) -> float:
    """The value of one query whose relevant items are found at the given ranks of 20."""
    hits = torch.zeros(1, 20, dtype=torch.bool)
    hits[0, [r - 1 for r in ranks]] = True
    ones = torch.ones(20, dtype=torch.long)
    return metric.measure(Ranking(torch.arange(20)[None], torch.zeros(1, 20), hits, torch.tensor([relevant]), ones)).item()


@pytest.fixture(scope="module")
def random_world() -> tuple[Tensor, Holdout]:
    draw = np.random.default_rng(5)
    relevant = [draw.choice(80, size, replace=False).tolist() for size in draw.integers(1, 12, 70)]
    return torch.from_numpy(draw.normal(size=(70, 80))), holdout(relevant)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Prepared]:
    experiment = Experiment(data=Simulated(users=120, items=60, clicks=2400), split=LastN(), model=Popular())
    return experiment, experiment.prepare(cache=tmp_path_factory.mktemp("cache"))


# ------------------------------------------------------------------------------------------------ metrics
def test_other_metrics_and_cutoffs_change_no_value(random_world: tuple[Tensor, Holdout]) -> None:
    """Cornac sorts only the ranks above the largest cut-off that is asked for, so that its MRR and uncut NDCG change with it."""
    alone = measured(*random_world, ["mrr@10", "map@10", "recall@5"])
    beside = measured(*random_world, ["recall@20", "ndcg@3", "recall@5", "map@10", "mrr@10", "hit_rate@1"])
    for name in ("mrr@10", "map@10", "recall@5"):
        assert beside.summary[name] == alone.summary[name] and beside.per_query[name].equals(alone.per_query[name])


@pytest.mark.parametrize("block", [1, 3, 64])
def test_values_do_not_depend_on_the_size_of_a_batch(
    random_world: tuple[Tensor, Holdout], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Users of RecBole report metrics that change with ``eval_batch_size`` (issues 1022, 1455, 1556); 70 queries leave a smaller last
    batch, which a mean of batch means would weigh too much."""
    names = ["recall@5", "ndcg@20", "mrr@10", "coverage@5"]
    whole = measured(*random_world, names)
    monkeypatch.setattr(evaluation, "MEASURED", 1)  # each block by itself
    parts = measured(*random_world, names, block=block)
    assert parts.summary == whole.summary and parts.per_query.equals(whole.per_query)


def test_average_precision_looks_at_hits_alone_and_sees_the_last_rank() -> None:
    """Elliot's MAP is the mean of the precisions at all ranks: 0.521 for the first; session-rec's loop ends before rank k: 0 for the
    second, and divides by k."""
    assert of(MAP(4), [1], 1) == 1.0
    assert of(MAP(4), [4], 1) == 1 / 4


def test_precision_divides_by_k_and_capped_recall_has_a_name_of_its_own() -> None:
    """implicit calls the capped recall precision, LensKit recall: both would give 1 and 0.5."""
    assert of(Precision(10), [2], 1) == 1 / 10
    assert of(Recall(10), [1, 2, 3, 4, 5], 16) == 5 / 16
    assert of(RecallCapped(10), [1, 2, 3, 4, 5], 16) == 5 / 10 and RecallCapped(10).name == "recall_capped@10"


def test_ndcg_is_1_for_a_perfect_list_and_ranks_1_and_2_differ() -> None:
    """RecTools divides by k terms: 0.220 for the first. LensKit and session-rec weigh ranks 1 and 2 the same: 1 for the second."""
    assert of(NDCG(10), [1], 1) == 1.0
    assert round(of(NDCG(10), [2], 1), 3) == 0.631


def test_all_metrics_have_the_same_population() -> None:
    """Microsoft Recommenders leaves a query with an empty list out of recall, and counts it as 0 in ndcg. Here the second has seen all."""
    table = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    found = measured(table, holdout([[0], [0]], seen=[[], [0, 1]]), ["recall@1", "ndcg@1", "map@1", "precision@1", "hit_rate@1"])
    assert set(found.summary.values()) == {0.5} and found.facts["queries"] == 2


def test_a_relevant_item_that_training_does_not_know_is_a_miss() -> None:
    """Cornac takes it out of the denominator: recall would be 1."""
    part = holdout([[0]])
    found = measured(
        torch.tensor([[1.0, 0.0]]), Holdout(part.histories, part.items, part.offsets, torch.tensor([1]), part.query), ["recall@1"]
    )
    assert found.summary["recall@1"] == 0.5 and found.facts["unknown_share"] == 0.5


def test_the_whole_catalogue_is_ranked() -> None:
    """WarpRec's quick start ranks 99 sampled items: a target behind 50 of 1000 would be about the sixth, and a hit."""
    table = torch.linspace(1, 0, 1000).expand(20, 1000)
    assert measured(table, holdout([[50]] * 20), ["recall@20"]).summary["recall@20"] == 0.0


# ------------------------------------------------------------------------------------------------ what is ranked
@pytest.mark.parametrize("model", [Popular(), ItemKNN(), MF(dim=4), SASRec(dim=4, layers=1, heads=1)], ids=lambda m: type(m).__name__)
def test_the_history_is_masked_for_all_families_alike(shop: tuple[Experiment, Prepared], model: Popular | ItemKNN | MF | SASRec) -> None:
    """RecBole masks it for general models and not for sequential ones, so that MF and SASRec do not compare."""
    base, data = shop
    fitted = Experiment(data=base.data, split=base.split, model=model, fit=Fit(epochs=1, patience=None, device="cpu")).recommender()
    for _ in fitted.fit(data.select.train) or ():
        pass
    part, counts = data.select.holdouts["test"], data.select.train.counts
    seen, query = part.histories.flat()
    pairs = query * len(counts) + seen

    def repeated(mask: bool | None) -> int:
        plan = Evaluation(metrics=["recall@20"], select="recall@20", mask_seen=mask)
        lists = evaluate(fitted, part, counts=counts, owner_kind="user", evaluation=plan).lists.long()
        assert bool((lists >= 0).all())
        return int(torch.isin(torch.arange(len(lists))[:, None] * len(counts) + lists, pairs).sum())

    assert repeated(None) == 0 < repeated(False)


# ------------------------------------------------------------------------------------------------ validation and test
@pytest.mark.parametrize(
    "splitter",
    [
        lambda: LastN(validation=0),
        lambda: UserFraction(validation=0.0),
        lambda: GlobalTime(validation=0.0),
        lambda: SessionTime(validation=0.0),
        lambda: NewUsers(validation=0.0),
        lambda: KFoldUsers(folds=2),
    ],
)
def test_there_is_always_a_validation_part(splitter: Callable[[], Splitter]) -> None:
    """Elliot takes the test part for validation where none is given."""
    with pytest.raises(ConfigError):
        splitter()


def test_validation_shares_nothing_with_test(shop: tuple[Experiment, Prepared]) -> None:
    """Elliot takes the test part for validation where none is given."""
    fold = shop[1].select
    pairs = []
    for name in ("valid", "test"):
        part = fold.holdouts[name]
        owners = part.histories.owner.repeat_interleave(part.offsets.diff())
        pairs.append(set(zip(owners.tolist(), part.items.tolist(), strict=True)))
    assert min(map(len, pairs)) > 30 and not pairs[0] & pairs[1]


def test_epochs_are_selected_on_validation_unless_said_otherwise() -> None:
    """The tuner of RecBole and the quick start of WarpRec select by the test set."""
    assert Fit().select_on == "valid"
    for experiment in experiments().values():
        assert experiment.fit.select_on == "valid" and experiment.evaluation.among == "catalogue"
        assert not any("~" in name for name in [*experiment.evaluation.metrics, experiment.evaluation.select])


@pytest.mark.parametrize("model", [Popular(), ItemKNN(), MF(dim=4), SASRec(dim=4, layers=1, heads=1)], ids=lambda m: type(m).__name__)
def test_every_family_is_tested_after_training_on_train_and_validation(
    shop: tuple[Experiment, Prepared], model: Popular | ItemKNN | MF | SASRec
) -> None:
    """RecPack retrains the models that are not neural, and no others."""
    base, data = shop
    tested = Experiment(data=base.data, split=base.split, model=model).tested(data)
    assert tested.train.fingerprint == data.refit.train.fingerprint and len(tested.train.items) > len(data.select.train.items)


def test_patience_counts_equal_values_and_small_gains_are_gains() -> None:
    """RecBole compares values rounded to 4 digits and lets an equal one begin patience anew: it would go on to the last epoch."""
    plan = Fit(epochs=9, patience=2, device="cpu")
    learner = Learner(model=MF(dim=4), batches=Shuffled(size=64), sampler=Unseen(1), loss=BPR(), fit=copy.deepcopy(plan))
    values = iter([0.30001, 0.30004, *[0.30004] * 7])
    epochs = 0
    for epoch in learner.fit(worlds.users()):
        epoch.value = next(values)
        epochs += 1
    assert epochs == 4 and learner.best["epoch"] == 2


def test_a_significance_test_finds_a_difference_in_either_direction() -> None:
    """RecBole's script tests one tail, and the wrong one."""
    draw = np.random.default_rng(2)
    worse = draw.random(300)
    better = worse + 0.05 + 0.1 * draw.random(300)
    up, down = paired_difference(better, worse), paired_difference(worse, better)
    assert up.p == down.p < 0.001 and up.low > 0 > down.high and up.mean == -down.mean


# ------------------------------------------------------------------------------------------------ data, sampler, config
def test_the_popularity_sampler_counts_training_alone(tmp_path: Path) -> None:
    """RecBole's counts test events too: with them ``late`` would be the most popular of all."""
    sequences = {0: ["late", "mid", "held", "early"]} | {u: ["early", "mid", "held", "late"] for u in range(1, 10)}
    rows = [(user, item, datetime(2026, 1, 1 + at)) for user, items in sequences.items() for at, item in enumerate(items)]
    events = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
    fold = prepare(Frame(events, user="user", item="item", time="time"), LastN(), cache=tmp_path).select
    sampler = Popularity(power=1.0)
    sampler.setup(Catalog(fold.train))
    probability = dict(zip(fold.items.to_list(), sampler.probability.tolist(), strict=True))
    assert probability == pytest.approx({"early": 9 / 20, "mid": 10 / 20, "late": 1 / 20})


@pytest.mark.parametrize(("sampler", "never"), [(Uniform(200), "target"), (Uniform(200, exclude="seen"), "seen"), (Unseen(200), "seen")])
def test_a_positive_is_no_candidate_of_its_own_row(sampler: Sampler, never: str) -> None:
    """RecTools' catalogue sampler draws the target as a negative and does not mask it. Five items, of which the owner has 0 and 1."""
    log = Log(torch.tensor([0, 1], dtype=torch.int32), torch.tensor([0, 2]), 5)
    target, zeros = torch.tensor([0, 1]), torch.zeros(2, dtype=torch.long)
    batch = Batch(target, zeros, torch.arange(2), torch.arange(2), 2, {}, None)
    batches: Batches = Shuffled(size=2)
    batches.plan = [zeros]
    catalog = Catalog(log)
    sampler.setup(catalog)
    view = View(
        batch, DotScorer(torch.ones(2, 1), torch.ones(5, 1), target), BPR(), catalog, batches, 1, 0, generator("traps"), counts=True
    )
    draw = sampler(view)
    ids = draw.ids().expand(2, -1)
    valid = torch.ones_like(ids, dtype=torch.bool) if draw.valid is None else draw.valid.expand_as(ids)
    for row, kept, own in zip(ids, valid, target.tolist(), strict=True):
        found = set(row[kept].tolist())
        assert found == set(range(5)) - ({own} if never == "target" else {0, 1})


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(24)))
def test_equal_time_stamps_hold_out_the_same_items_whatever_the_order_of_rows(order: list[int]) -> None:
    """The sort of the original HSTU code is not stable, which changes up to a quarter of its leave-one-out targets."""
    events = pl.DataFrame({"user": [u for u in range(4) for _ in range(6)], "item": [(7 * i) % 24 for i in range(24)]})
    events = events.with_columns(time=pl.lit(datetime(2026, 1, 1)).cast(pl.Datetime("us")))
    shuffled = events[order]

    def held_out(log: pl.DataFrame) -> list[tuple[int, int, str]]:
        return sorted(log.with_columns(part=LastN().label(log, 0).cast(pl.String)).select("user", "item", "part").rows())

    assert held_out(shuffled) == held_out(events)


def test_a_split_follows_its_seed() -> None:
    """implicit's leave-k-out split ignores the one it is given."""
    events = pl.DataFrame({"user": [u for u in range(30) for _ in range(10)], "item": list(range(10)) * 30})
    first, again, other = (UserFraction().label(events, seed).to_list() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("sampler: {Uniform: {sample_nun: 8}}", "sampler.sample_nun"),
        ("smapler: Uniform", "smapler"),
        ("fit: {lerning_rate: 0.1}", "fit.lerning_rate"),
    ],
)
def test_a_misspelt_key_is_refused(wrong: str, named: str) -> None:
    """RecBole and Elliot train with the default instead, LensKit accepts some."""
    with pytest.raises(ConfigError, match=named):
        resolve(yaml_text.parse(f"data: Simulated\nsplit: LastN\nmodel: MF\n{wrong}\n"), [], Experiment)
