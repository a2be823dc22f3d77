from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.catalog import Catalog
from recsys.data.log import Log
from recsys.metrics import IntraListDistance, Novelty, Ranking
from recsys.testing.metrics import check_metric, some_ranking


def ranking(items: list[list[int]], counts: list[int], owners: tuple[torch.Tensor, torch.Tensor] | None = None) -> Ranking:
    lists = torch.tensor(items)
    hits = torch.zeros_like(lists, dtype=torch.bool)
    return Ranking(lists, torch.zeros(lists.shape).double(), hits, torch.ones(len(lists), dtype=torch.long), torch.tensor(counts), owners)


def log_of(lists: list[list[int]], num_items: int) -> Log:
    offsets = torch.tensor([0, *np.cumsum([len(x) for x in lists]).tolist()])
    return Log(torch.tensor([i for x in lists for i in x], dtype=torch.int32), offsets, num_items)


def random_log(num_items: int, seed: int = 0) -> Log:
    """Some pairs occur several times; the last item has no events."""
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, num_items)
    return log_of([rng.choice(num_items - 1, size=rng.integers(0, 40), p=weight / weight.sum()).tolist() for _ in range(50)], num_items)


LOG = random_log(60)


class OfALog(IntraListDistance):
    """Intra-list distance in a log, so that the suite, whose rankings have none, can measure it."""

    def measure(self, ranking: Ranking) -> torch.Tensor:
        return super().measure(replace(ranking, owners=Catalog(LOG).by_item()))


def test_novelty_by_hand():
    value = Novelty(2).measure(ranking([[0, 1], [2, 3], [1, -1], [-1, -1]], [4, 2, 1, 1])).tolist()
    assert value[:3] == [(1 + 2) / 2, (3 + 3) / 2, 2.0] and math.isnan(value[3])


def test_an_item_without_events_is_as_novel_as_one_with_a_single_event():
    one, none = Novelty(1).measure(ranking([[1], [2]], [7, 1, 0])).tolist()
    assert one == none == 3.0


def test_novelty_rises_when_an_item_is_replaced_by_a_rarer_one():
    counts = list(range(60, 0, -1))
    lists = some_ranking(10).items.clamp(min=0, max=58)
    common, rarer = (Novelty(5).measure(ranking(x.tolist(), counts)) for x in (lists, lists + 1))
    assert (rarer > common).all()


def test_distance_by_hand():
    """Owners 0: a b, 1: a b, 2: a c, 3: d. cos(a, b) = 2 / sqrt(3 * 2), cos(a, c) = 1 / sqrt(3), all others 0; e has no events."""
    owners = Catalog(log_of([[0, 1], [0, 1], [0, 2], [3]], 5)).by_item()
    lists = [[0, 1, 2], [1, 2, 3], [0, 1, -1], [3, 4, -1], [2, -1, -1], [-1, -1, -1]]
    value = IntraListDistance(3).measure(ranking(lists, [3, 2, 1, 1, 0], owners)).tolist()
    assert value[0] == pytest.approx(1 - (2 / math.sqrt(6) + 1 / math.sqrt(3)) / 3, abs=1e-15)
    assert value[1] == 1.0 and value[2] == pytest.approx(1 - 2 / math.sqrt(6), abs=1e-15) and value[3] == 1.0
    assert math.isnan(value[4]) and math.isnan(value[5])


def test_items_of_the_same_owners_are_at_distance_0():
    owners = Catalog(log_of([[0, 1, 2]] * 7, 3)).by_item()
    assert IntraListDistance(3).measure(ranking([[0, 1, 2]], [7, 7, 7], owners)).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("k", [2, 5, 20])
def test_distance_equals_a_dense_computation(k: int):
    log, given = LOG, some_ranking(25)
    table = np.zeros((log.num_owners, 60))
    table[log.owners.numpy(), log.items.numpy()] = 1
    norm = np.linalg.norm(table, axis=0)
    cosine = table.T @ table / np.maximum(np.outer(norm, norm), 1e-300)
    assert norm[59] == 0 and len(log) > len(log.pairs)
    expected = []
    for row in given.items[:, :k].tolist():
        items = [i for i in row if i >= 0]
        pairs = [1 - cosine[i, j] for n, i in enumerate(items) for j in items[:n]]
        expected.append(np.mean(pairs) if pairs else np.nan)
    found = IntraListDistance(k).measure(replace(given, owners=Catalog(log).by_item())).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.isfinite(found).sum() > 100


def test_distance_conforms_where_a_log_is_known():
    check_metric(OfALog)


def test_distance_is_undefined_where_nobody_says_who_has_which_item():
    assert IntraListDistance(5).measure(some_ranking(5)).isnan().all()
