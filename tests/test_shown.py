"""Ranking what was shown: which items those are, from the source to the number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from recsys import ConfigError, Experiment
from recsys.cleaning import MinSupport, Threshold
from recsys.data import prepare
from recsys.data.log import Histories, Holdout, OwnerKind
from recsys.data.source import Source
from recsys.data.sources import Coat, Simulated
from recsys.errors import RecsysError
from recsys.evaluation import Evaluation, evaluate
from recsys.models import Popular
from recsys.ranking import blocks
from recsys.splitting import LastN, Predefined

COLUMNS = ["user", "item", "weight", "part"]
EVENTS = pl.DataFrame(
    [
        ("ann", 1, 1.0, "train"),
        ("ann", 2, 1.0, "train"),
        ("ann", 3, 0.0, "train"),  # shown and not chosen: nothing is learnt from it
        ("ann", 2, 1.0, "test"),  # in her history
        ("ann", 3, 1.0, "test"),
        ("ann", 4, 0.0, "test"),
        ("ann", 9, 0.0, "test"),  # chosen by nobody in training
        ("bob", 3, 1.0, "train"),
        ("bob", 4, 1.0, "train"),
        ("bob", 1, 1.0, "test"),
        ("bob", 9, 1.0, "test"),  # relevant, and unknown
        ("bob", 2, 0.0, "test"),
        ("cyd", 2, 1.0, "train"),
        ("cyd", 1, 0.0, "test"),  # nothing she was shown is relevant
        ("dan", 1, 1.0, "train"),
        ("dan", 3, 1.0, "valid"),
        ("dan", 4, 0.0, "valid"),
    ],
    schema=COLUMNS,
    orient="row",
)


class Shown(Source):
    """Events in memory, where a weight of 0 says: shown and not chosen."""

    owner: OwnerKind = "user"
    predefined = True
    weighted = True
    shown = True

    def events(self) -> pl.LazyFrame:
        return EVENTS.lazy()


def lists(holdout: Holdout, items: pl.Series, values: Tensor, offsets: Tensor) -> dict[str, list[int]]:
    ids = items.to_numpy()
    parts = torch.split(values, offsets.diff().tolist())
    return {user: ids[part.numpy()].tolist() for user, part in zip(holdout.query["user"].to_list(), parts, strict=True)}


@pytest.mark.parametrize(("fold", "history_of_dan"), [("select", [1]), ("refit", [1, 3])])
def test_what_is_learnt_relevant_and_shown(tmp_path: Path, fold: str, history_of_dan: list[int]) -> None:
    made = getattr(prepare(Shown(), Predefined(), cache=tmp_path), fold)
    ids = made.items.to_numpy()
    assert ids.tolist() == [1, 2, 3, 4]
    learnt = [ids[part.numpy()].tolist() for part in torch.split(made.train.items, made.train.offsets.diff().tolist())]
    assert learnt == [[1, 2], [3, 4], [2], history_of_dan]
    test = made.holdouts["test"]
    assert test.shown is not None
    assert lists(test, made.items, test.items, test.offsets) == {"ann": [3], "bob": [1]}
    assert lists(test, made.items, *test.shown) == {"ann": [3, 4], "bob": [1, 2]}
    assert test.unknown.tolist() == [0, 1]
    if fold == "select":
        valid = made.holdouts["valid"]
        assert valid.shown is not None
        assert lists(valid, made.items, valid.items, valid.offsets) == {"dan": [3]}
        assert lists(valid, made.items, *valid.shown) == {"dan": [3, 4]}


def test_only_chosen_events_are_counted(tmp_path: Path) -> None:
    report = prepare(Shown(), Predefined(), cache=tmp_path).report
    assert [report["parts"][part]["events"] for part in ("train", "valid", "test")] == [6, 1, 4]  # type: ignore[index]
    assert report["select"]["test"]["shown"] == 4  # type: ignore[index]


def test_steps_that_would_lose_or_count_them_are_refused() -> None:
    def said(*clean: object) -> str:
        with pytest.raises(ConfigError) as raised:
            Experiment(data=Shown(), clean=clean, split=Predefined(), model=Popular()).check()  # type: ignore[arg-type]
        return str(raised.value)

    assert said(Threshold(0.5)).startswith(
        "clean: Threshold(weight=0.5, forget=True) loses what was shown and not chosen, which Shown keeps"
    )
    assert said(MinSupport(2)).startswith("clean: MinSupport(n=2, fit='train') counts what was shown and not chosen")


def test_an_evaluation_of_what_is_shown_needs_data_that_say_so() -> None:
    with pytest.raises(ConfigError, match=r"evaluation: Evaluation needs 'shown' .it ranks the items that were shown., which Simulated"):
        Experiment(data=Simulated(), split=LastN(), model=Popular(), evaluation=Evaluation(among="shown")).check()
    Experiment(data=Shown(), split=Predefined(), model=Popular(), evaluation=Evaluation(among="shown")).check()
    with pytest.raises(ConfigError, match="among is 'sample'; allowed are"):
        Evaluation(among="sample")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="keep_shown without min_rating"):
        Coat(min_rating=None, keep_shown=True)


# Ranking


class Scores:
    """Scores of query q are row ``owner[q]`` of a table, as a product of vectors or as they are."""

    def __init__(self, table: Tensor, vectors: bool) -> None:
        self.table, self.gives = table, vectors

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        return (self.table[histories.owner], torch.eye(self.table.shape[1])) if self.gives else None

    def scores(self, histories: Histories) -> Tensor:
        return self.table[histories.owner]


def world(queries: int, items: int, seed: int = 0) -> tuple[Tensor, Holdout]:
    """Scores with ties, and a holdout in which a third of what is shown is relevant; some queries are shown nothing."""
    rng = np.random.default_rng(seed)
    table = torch.from_numpy(rng.integers(-9, 9, (queries, items)).astype(np.float32))
    orders = [rng.permutation(items) for _ in range(queries)]
    seen = [order[:5].tolist() for order in orders]
    shown = [np.sort(order[5 : 5 + rng.integers(0, 18)]) for order in orders]
    relevant = [x[::3] for x in shown]

    def flat(lists: list[np.ndarray]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(np.concatenate(lists).astype(np.int32)), torch.tensor([0, *np.cumsum([len(x) for x in lists]).tolist()])

    asked, unknown = Histories.of(seen, torch.arange(queries)), torch.zeros(queries, dtype=torch.long)
    return table, Holdout(asked, *flat(relevant), unknown, pl.DataFrame({"user": range(queries)}), None, flat(shown))


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("block", [1, 7, 256])
@pytest.mark.parametrize("mask_seen", [False, True])
def test_only_what_is_shown_is_ranked(vectors: bool, block: int, mask_seen: bool) -> None:
    table, holdout = world(60, 40)
    assert holdout.shown is not None
    items, offsets = holdout.shown
    allowed = torch.arange(40) % 5 != 0
    options = {"mask_seen": mask_seen, "candidates": allowed, "among": (items, offsets), "block": block}
    parts = list(blocks(Scores(table, vectors), holdout.histories, 6, **options))  # type: ignore[arg-type]
    found = torch.cat([part.items for part in parts]).tolist()
    for q, row in enumerate(found):
        mine = [i for i in items[offsets[q] : offsets[q + 1]].tolist() if allowed[i]]
        best = sorted(mine, key=lambda i: (-float(table[q, i]), i))[:6]
        assert row == best + [-1] * (6 - len(best))


@pytest.mark.parametrize("vectors", [False, True])
def test_the_history_and_minus_infinity_are_left_out(vectors: bool) -> None:
    table = torch.tensor([[5.0, 4, 3, 2, 1]])
    model = Scores(table, vectors)
    asked = Histories.of([[1]], torch.tensor([0]))
    among = torch.tensor([0, 1, 4], dtype=torch.int32), torch.tensor([0, 3])

    def first(mask_seen: bool) -> list[int]:
        (part,) = blocks(model, asked, 3, mask_seen=mask_seen, among=among)  # type: ignore[arg-type]
        return part.items[0].tolist()

    assert first(True) == [0, 4, -1] and first(False) == [0, 1, 4]
    if not vectors:
        table[0, 0] = -torch.inf
        assert first(False) == [1, 4, -1]


def test_numbers_are_those_of_a_catalogue_of_what_is_shown() -> None:
    """Scores of everything else at the bottom give the same lists of hits, and so the same recall."""
    table, holdout = world(80, 40, seed=5)
    assert holdout.shown is not None
    items, offsets = holdout.shown
    lowered = table - 1000
    query = torch.arange(80).repeat_interleave(offsets.diff())
    lowered[query, items.long()] += 1000
    counts = torch.arange(40)
    plain = Evaluation(metrics=["recall@3", "ndcg@3", "mrr@3"], select="recall@3")
    shown = Evaluation(metrics=["recall@3", "ndcg@3", "mrr@3"], select="recall@3", among="shown")
    whole = evaluate(Scores(lowered, False), holdout, counts=counts, owner_kind="user", evaluation=plain)
    part = evaluate(Scores(table, True), holdout, counts=counts, owner_kind="user", evaluation=shown)
    assert part.summary == whole.summary
    assert (part.facts["among"], whole.facts["among"]) == ("shown", "catalogue")
    with pytest.raises(RecsysError, match="these data do not say what was shown"):
        evaluate(Scores(table, True), replace(holdout, shown=None), counts=counts, owner_kind="user", evaluation=shown)


@pytest.mark.data
def test_coat_shows_its_random_items(data_root: Path, tmp_path: Path) -> None:
    """Of the 16 of each user those that training knows and the user has not chosen before; its relevant ones are the same as without."""
    made = prepare(Coat(keep_shown=True, root=data_root), Predefined(validation=0.1), cache=tmp_path)
    plain = prepare(Coat(root=data_root), Predefined(validation=0.1), cache=tmp_path)
    one, other = made.refit, plain.refit
    assert (len(one.train), one.train.num_items) == (1_905, 284) == (len(other.train), other.train.num_items)
    assert torch.equal(one.train.items, other.train.items)
    test = one.holdouts["test"]
    assert test.shown is not None and other.holdouts["test"].shown is None
    for name in ("items", "offsets", "unknown"):
        assert torch.equal(getattr(test, name), getattr(other.holdouts["test"], name))
    size = test.shown[1].diff()
    assert len(test) == 225 and int(size.sum()) == 3_343 and int(size.max()) == 16 and bool((size >= test.offsets.diff()).all())
