from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalog import Catalog, below
from recsys.data.log import Log
from recsys.randomness import generator
from recsys.testing import worlds


def log_of(lists: list[list[int]], num_items: int) -> Log:
    offsets = torch.tensor([0, *(len(x) for x in lists)]).cumsum(0)
    return Log(torch.tensor([i for x in lists for i in x], dtype=torch.int32), offsets, num_items)


def test_sizes_counts_and_seen_pairs_by_hand():
    catalog = Catalog(log_of([[2, 0, 2], [], [3]], 5))
    assert (catalog.num_owners, catalog.num_items) == (3, 5)
    assert catalog.counts.tolist() == [1, 0, 2, 1, 0]  # events, repeats included
    assert catalog.size.tolist() == [2, 0, 1]  # distinct items
    assert catalog.seen(torch.tensor([0, 1, 2]), torch.arange(5)[None]).tolist() == [
        [True, False, True, False, False],
        [False] * 5,
        [False, False, False, True, False],
    ]
    assert catalog.seen(torch.tensor([2, 0]), torch.tensor([[3, 4], [0, 1]])).tolist() == [[True, False], [True, False]]


@settings(max_examples=60, deadline=None)
@given(lists=st.lists(st.lists(st.integers(0, 8), max_size=8), min_size=1, max_size=6), num_items=st.integers(9, 12))
def test_unseen_draws_reach_exactly_the_unseen_items(lists: list[list[int]], num_items: int):
    catalog = Catalog(log_of(lists, num_items))
    owner = torch.arange(len(lists))
    drawn = catalog.unseen(owner, 600, generator("unseen test"))
    for u, items in enumerate(lists):
        assert set(drawn[u].tolist()) == set(range(num_items)) - set(items)


@settings(max_examples=60, deadline=None)
@given(lists=st.lists(st.lists(st.integers(0, 8), max_size=8), min_size=1, max_size=6), num_items=st.integers(9, 12))
def test_compiled_loops_and_torch_operations_agree(lists: list[list[int]], num_items: int):
    owner = torch.arange(len(lists)).repeat(3)
    own = torch.randint(num_items, (len(owner), 7), generator=generator("ids"))
    found = []
    for compiled in (True, False):
        catalog = Catalog(log_of(lists, num_items))
        catalog._compiled = compiled
        shared = catalog.seen(owner, torch.arange(num_items)[None])
        found.append((shared, catalog.seen(owner, own), catalog.unseen(owner, 50, generator("draws"))))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_unseen_draws_are_uniform():
    log = worlds.users()
    catalog = Catalog(log)
    owner = torch.arange(log.num_owners)
    drawn = catalog.unseen(owner, 20_000, generator("chi-square"))
    worst = 0.0
    for u in owner.tolist():
        free = ~catalog.seen(torch.tensor([u]), torch.arange(log.num_items)[None])[0]
        observed = torch.bincount(drawn[u], minlength=log.num_items)[free].double()
        expected = 20_000 / int(free.sum())
        freedom = int(free.sum()) - 1
        z = (((observed - expected) ** 2 / expected).sum() - freedom) / (2 * freedom) ** 0.5
        worst = max(worst, abs(float(z)))
    assert worst < 4.5


def test_below_covers_its_range_and_nothing_else():
    high = torch.tensor([1, 2, 7]).repeat(2000, 1)
    drawn = below(high, generator("below"))
    assert [sorted(set(drawn[:, i].tolist())) for i in range(3)] == [[0], [0, 1], list(range(7))]
