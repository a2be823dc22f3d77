"""Lists of allowed and denied items, and similar items."""

from __future__ import annotations

import polars as pl
import pytest
import torch

import recsys
from recsys.errors import RunError
from recsys.models import MF, ItemKNN
from recsys.run import Run
from recsys.testing import worlds

LOG = worlds.users()


@pytest.fixture(scope="module")
def run() -> Run:
    made = recsys.load(worlds.finished_run(LOG, MF(dim=8, bias=True, init_std=1.0)))
    made.about["facts"] = {"test": {"mask_seen": True}}
    return made


def test_only_allowed_and_no_denied_items_are_recommended(run: Run) -> None:
    whole = run.recommend(users=["u3", "u9"], k=60)
    allow, deny = [f"i{code}" for code in range(0, 60, 3)], ["i3", "i9", "i10"]
    for options, kept in (
        ({"allow": allow}, whole["item"].is_in(allow)),
        ({"deny": deny}, ~whole["item"].is_in(deny)),
        ({"allow": allow, "deny": deny}, whole["item"].is_in(allow) & ~whole["item"].is_in(deny)),
    ):
        found = run.recommend(users=["u3", "u9"], k=60, **options)  # type: ignore[arg-type]
        assert found.select("user", "item", "score").equals(whole.filter(kept).select("user", "item", "score"))


def test_lists_without_a_known_item_are_refused_and_unknown_items_are_named(run: Run) -> None:
    with pytest.warns(UserWarning, match="items unknown to the model are ignored: i77"), pytest.raises(RunError, match="no item may be"):
        run.recommend([["i1"]], 3, allow=["i77"])
    with pytest.raises(RunError, match="no item may be"):
        run.recommend([["i1"]], 3, allow=["i1"], deny=["i1"])


def test_similar_items_are_those_of_the_largest_cosine(run: Run) -> None:
    table = run.recommender.vectors(LOG.histories())[1].double()  # type: ignore[index]
    cosine = torch.nn.functional.cosine_similarity(table[:, None], table[None], dim=2)
    found = run.similar(["i5", "i0"], 4)
    for asked, code in (("i5", 5), ("i0", 0)):
        others = sorted((j for j in range(60) if j != code), key=lambda j: -float(cosine[code, j]))[:4]
        part = found.filter(pl.col("item") == asked)
        assert part["similar"].to_list() == [f"i{j}" for j in others] and part["rank"].to_list() == [1, 2, 3, 4]
        assert part["score"].to_list() == pytest.approx([float(cosine[code, j]) for j in others])


def test_without_vectors_similar_is_what_the_item_alone_suggests() -> None:
    run = recsys.load(worlds.finished_run(LOG, ItemKNN()))
    weights = run.recommender.weights().toarray()[7]  # type: ignore[attr-defined]
    found = run.similar(["i7"], 3)
    assert found["score"].to_list() == pytest.approx(sorted(weights, reverse=True)[:3]) and "i7" not in found["similar"].to_list()


def test_unknown_items_and_impossible_numbers_are_refused(run: Run) -> None:
    with pytest.raises(RunError, match="items unknown to the model: i99"):
        run.similar(["i1", "i99"])
    with pytest.raises(RunError, match="k is 60; the run knows 60 items"):
        run.similar(["i1"], 60)
