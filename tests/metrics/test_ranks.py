from __future__ import annotations

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.data.log import Histories, Holdout
from recsys.errors import RecsysError
from recsys.ranking import rank
from recsys.ranks import Ranks, full_ranks

QUERIES, ITEMS = 40, 300


class Scores:
    """Row ``owner[q]`` of a table of products, told as vectors or as scores."""

    def __init__(self, query: Tensor, items: Tensor, vectors: bool) -> None:
        self.query, self.items, self.given = query, items, vectors

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        return (self.query[histories.owner], self.items) if self.given else None

    def scores(self, histories: Histories) -> Tensor:
        return self.query[histories.owner] @ self.items.T


def world(seed: int) -> tuple[Holdout, torch.Generator]:
    """Histories and relevant items overlap in many queries; some queries have nothing relevant, some relevant items are unknown."""
    stream = torch.Generator().manual_seed(seed)
    order = torch.rand(QUERIES, ITEMS, generator=stream).argsort(1)
    sizes = torch.randint(0, 15, (QUERIES,), generator=stream)
    relevant = [order[q, : int(n)].sort().values for q, n in enumerate(sizes)]
    histories = Histories.of([order[q, 10:30].tolist() for q in range(QUERIES)], torch.arange(QUERIES))
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)])
    unknown = torch.randint(0, 3, (QUERIES,), generator=stream)
    return Holdout(histories, torch.cat(relevant).int(), offsets, unknown, pl.DataFrame({"user": range(QUERIES)})), stream


def by_lists(model: Scores, holdout: Holdout, mask_seen: bool, candidates: Tensor) -> tuple[list[int], list[int]]:
    """The same from whole rankings."""
    lists = rank(model, holdout.histories, ITEMS, mask_seen=mask_seen, candidates=candidates).items
    query = torch.arange(QUERIES).repeat_interleave(holdout.offsets.diff())
    found = lists[query] == holdout.items[:, None]
    return torch.where(found.any(1), found.int().argmax(1) + 1, 0).tolist(), (lists >= 0).sum(1).tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mask_seen", [True, False])
@pytest.mark.parametrize("vectors", [True, False])
@pytest.mark.parametrize("ties", ["none", "many", "all"])
def test_ranks_are_the_places_in_the_whole_ranking(ties: str, vectors: bool, mask_seen: bool, seed: int):
    holdout, stream = world(seed)
    query, items = (torch.randn(n, 5, generator=stream) for n in (QUERIES, ITEMS))
    if ties != "none":
        query, items = query.round(), items.round() * (ties == "many")
    model = Scores(query, items, vectors)
    candidates = torch.rand(ITEMS, generator=stream) < 0.9
    found = full_ranks(model, holdout, ITEMS, mask_seen=mask_seen, candidates=candidates, block=7)
    places, ranked = by_lists(model, holdout, mask_seen, candidates)
    assert found.rank.tolist() == places and found.candidates.tolist() == ranked
    assert 0 in places and max(places) > 150
    assert torch.equal(found.relevant, holdout.relevant())


def test_scores_that_differ_in_their_last_bits_stand_in_the_order_of_record():
    """Copies of a few vectors, and vectors one bit apart: the products of a matrix do not tell which is higher."""
    holdout, stream = world(5)
    query, few = torch.randn(QUERIES, 40, generator=stream), torch.randn(10, 40, generator=stream)
    items = few[torch.randint(0, 10, (ITEMS,), generator=stream)].double()
    items *= 1 + torch.randint(-1, 2, (ITEMS, 1), generator=stream) * 2.0**-52
    model = Scores(query.double(), items, True)
    everything = torch.ones(ITEMS, dtype=torch.bool)
    assert full_ranks(model, holdout, ITEMS, mask_seen=True).rank.tolist() == by_lists(model, holdout, True, everything)[0]


def test_block_and_threads_change_nothing():
    holdout, stream = world(1)
    model = Scores(torch.randn(QUERIES, 8, generator=stream), torch.randn(ITEMS, 8, generator=stream), True)
    one = full_ranks(model, holdout, ITEMS, mask_seen=True, block=1)
    torch.set_num_threads(3)
    assert all(torch.equal(a, b) for a, b in zip(one, full_ranks(model, holdout, ITEMS, mask_seen=True), strict=True))


def test_the_model_is_asked_in_evaluation_mode_and_left_as_it_was():
    holdout, stream = world(2)

    class Net(torch.nn.Module):
        def vectors(self, histories: Histories) -> None:
            assert not self.training and not torch.is_grad_enabled()

        def scores(self, histories: Histories) -> Tensor:
            assert not self.training
            return torch.rand(ITEMS, generator=stream).expand(len(histories), -1)

    model = Net().train()
    full_ranks(model, holdout, ITEMS, mask_seen=True)
    assert model.training


def test_an_empty_holdout_has_no_ranks():
    empty = Holdout(Histories.of([]), torch.empty(0).int(), torch.zeros(1).long(), torch.empty(0).long(), pl.DataFrame({"user": []}))
    found = full_ranks(Scores(torch.rand(1, 2), torch.rand(5, 2), True), empty, 5, mask_seen=True)
    assert isinstance(found, Ranks) and [len(x) for x in found] == [0, 0, 0, 0]


def test_bad_scores_are_refused():
    holdout, _ = world(0)
    with pytest.raises(RecsysError, match=r"Scores gave scores of shape \(40, 200\), not \(40, 300\)"):
        full_ranks(Scores(torch.rand(QUERIES, 2), torch.rand(200, 2), True), holdout, ITEMS, mask_seen=True)
    for vectors in (True, False):
        with pytest.raises(RecsysError, match="nan or infinite"):
            full_ranks(Scores(torch.rand(QUERIES, 2) / 0, torch.rand(ITEMS, 2), vectors), holdout, ITEMS, mask_seen=True)
    with pytest.raises(ValueError, match="at least 1"):
        full_ranks(Scores(torch.rand(QUERIES, 2), torch.rand(ITEMS, 2), True), holdout, ITEMS, mask_seen=True, block=0)
