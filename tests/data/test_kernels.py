"""The compiled loops against their NumPy twins, and both against definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recsys.data import kernels
from recsys.data.ids import Ids


def log(seed: int, owners: int = 12, items: int = 9, most: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets [U + 1], item codes [E] and clock [E] of a small log."""
    g = np.random.default_rng(seed)
    size = g.integers(0, most // owners + 60 * (g.random(owners) < 0.1), size=owners, endpoint=True)
    events = int(size.sum())
    return np.concatenate([[0], size.cumsum()]), g.integers(0, items, events).astype(np.int32), g.integers(0, 5, events)


@pytest.fixture(params=["compiled", "twin"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(kernels, "COMPILED_FROM", 0 if request.param == "compiled" else 10**9)
    return request.param


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("step", [1, 1_000, 1_000_000, 2**58])
def test_events_are_sorted_by_owner_then_clock_then_item(path: str, seed: int, step: int) -> None:
    offsets, item, clock = log(seed, most=600)
    owner = np.repeat(np.arange(12, dtype=np.int32), np.diff(offsets))
    shuffled = np.random.default_rng(seed).permutation(len(owner))
    owner, item, clock = owner[shuffled], item[shuffled], clock[shuffled] * step - 2**60
    found = kernels.sort_events(owner, clock, item, 12)
    assert found.tolist() == sorted(range(len(owner)), key=lambda i: (owner[i], clock[i], item[i], i))
    no_clock = kernels.sort_events(owner, None, item, 12)
    assert no_clock.tolist() == sorted(range(len(owner)), key=lambda i: (owner[i], item[i], i))


@pytest.mark.parametrize("seed", range(10))
def test_rows_are_grouped_in_the_order_they_had(path: str, seed: int) -> None:
    bucket = np.random.default_rng(seed).integers(0, 5, 70).astype(np.int32)
    order, begin = kernels.group(bucket, 7)
    assert order.tolist() == sorted(range(70), key=lambda i: bucket[i])
    assert begin.tolist() == [int((bucket < b).sum()) for b in range(8)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("last", [False, True])
def test_one_event_of_each_pair_is_found(path: str, seed: int, last: bool) -> None:
    offsets, item, _ = log(seed)
    expected = []
    for a, b in itertools.pairwise(offsets):
        mine = item[a:b].tolist()
        expected += [i not in (mine[k + 1 :] if last else mine[:k]) for k, i in enumerate(mine)]
    assert kernels.first_of_pair(offsets, item, 9, last=last).tolist() == expected


@pytest.mark.parametrize("seed", range(20))
def test_what_an_owner_had_before_is_found(path: str, seed: int) -> None:
    offsets, item, clock = log(seed)
    earlier = clock < 2
    expected = []
    for a, b in itertools.pairwise(offsets):
        had = set(item[a:b][earlier[a:b]].tolist())
        expected += [not e and i in had for i, e in zip(item[a:b].tolist(), earlier[a:b].tolist(), strict=True)]
    assert kernels.in_history(offsets, item, earlier, 9).tolist() == expected


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize(("of_owner", "of_item"), [(1, 1), (3, 4), (6, 6), (12, 2)])
def test_the_core_is_what_removing_until_nothing_changes_leaves(path: str, seed: int, of_owner: int, of_item: int) -> None:
    offsets, item, _ = log(seed)
    owner = np.repeat(np.arange(12), np.diff(offsets))
    left = set(range(len(item)))
    while True:
        gone = {e for e in left if sum(owner[o] == owner[e] for o in left) < of_owner or sum(item[o] == item[e] for o in left) < of_item}
        if not gone:
            break
        left -= gone
    keep = kernels.core(offsets, item, 9, of_owner, of_item)
    assert set(np.flatnonzero(keep).tolist()) == left
    again = np.repeat(np.arange(12), np.diff(offsets))[keep]
    new = np.concatenate([[0], np.bincount(again, minlength=12).cumsum()])
    assert kernels.core(new, item[keep], 9, of_owner, of_item).all()  # a core is its own core


@settings(deadline=None, max_examples=200)
@example(chunks=[[], [1], [0, 1]], compiled=True)
@given(
    st.lists(
        st.lists(st.one_of(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1), st.integers(0, 30).map(lambda n: n << 32)), max_size=60),
        min_size=1,
        max_size=5,
    ),
    st.booleans(),
)
def test_integer_ids_get_codes_in_the_order_they_appear(chunks: list[list[int]], compiled: bool) -> None:
    import polars as pl

    before, kernels.COMPILED_FROM = kernels.COMPILED_FROM, 0 if compiled else 10**9
    try:
        ids, expected = Ids(), {}
        for chunk in chunks:
            for value in chunk:
                expected.setdefault(value, len(expected))
            assert ids.codes(pl.Series(chunk, dtype=pl.Int64)).tolist() == [expected[value] for value in chunk]
        found, rank = ids.ranked()
        assert found.to_list() == sorted(expected)
        assert [found[int(r)] for r in rank] == list(expected)
    finally:
        kernels.COMPILED_FROM = before


@pytest.mark.parametrize("chunk", [100_000, 300_000])
def test_more_ids_than_the_table_has_room_for_at_first(chunk: int) -> None:
    import polars as pl

    ids, g = Ids(), np.random.default_rng(0)
    values = g.permutation(400_000).astype(np.int64) * 7919 - 10**15
    codes = np.concatenate([ids.codes(pl.Series(values[at : at + chunk])) for at in range(0, len(values), chunk)])
    assert codes.tolist() == list(range(400_000))
    assert ids.codes(pl.Series(values[::-1])).tolist() == list(range(400_000))[::-1]
