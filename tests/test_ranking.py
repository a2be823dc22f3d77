from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from recsys import bfloat16, ranking, ranking_kernel
from recsys.data.log import Histories, Log
from recsys.errors import RecsysError
from recsys.ranking import dot, rank
from recsys.recommender import Epoch


@pytest.fixture(autouse=True, scope="module", params=[False, True], ids=["float32", "bfloat16"])
def screen(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything here holds whichever screens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bfloat16, "is_fast", lambda device: request.param)
        yield


class Vectors:
    """Answers query q with row ``owner[q]`` of a table."""

    def __init__(self, query: Tensor, items: Tensor) -> None:
        self.query, self.items = query, items

    def fit(self, train: Log) -> Iterator[Epoch]:
        raise NotImplementedError

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        return self.query[histories.owner], self.items

    def scores(self, histories: Histories) -> Tensor:
        raise AssertionError("not to be asked for")


class Given(Vectors):
    """Answers with row ``owner[q]`` of a score table."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def vectors(self, histories: Histories) -> None:
        return None

    def scores(self, histories: Histories) -> Tensor:
        return self.table[histories.owner]


class FlatScores(Given):
    """Forgets the dimension of queries."""

    def scores(self, histories: Histories) -> Tensor:
        return self.table


def queries(num: int, seen: list[list[int]] | None = None) -> Histories:
    return Histories.of(seen or [[] for _ in range(num)], torch.arange(num))


def brute(scores: np.ndarray, k: int, seen: list[list[int]] | None = None) -> np.ndarray:
    """Each row sorted on its own by (score descending, code ascending)."""
    lists = np.full((len(scores), k), -1)
    for q, row in enumerate(scores):
        allowed = np.setdiff1d(np.arange(len(row)), (seen or [[]] * len(scores))[q])
        allowed = allowed[row[allowed] > -np.inf]
        best = allowed[np.lexsort((allowed, -row[allowed]))][:k]
        lists[q, : len(best)] = best
    return lists


def some_seen(num: int, items: int, most: int, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(items, size=rng.integers(most + 1)).tolist() for _ in range(num)]


@pytest.mark.parametrize("items", [7, 20, 37, 90, 3000, 6001])
@pytest.mark.parametrize("width", [1, 3, 64])
def test_lists_are_those_of_a_float64_sort(items: int, width: int) -> None:
    torch.manual_seed(items + width)
    model = Vectors(torch.randn(50, width), torch.randn(items, width))
    seen = some_seen(50, items, 9, items)
    found = rank(model, queries(50, seen), 20, mask_seen=True, block=16)
    exact = dot(model.query[:, None], model.items[None]).numpy()
    np.testing.assert_array_equal(found.items.numpy(), brute(exact, 20, seen))
    valid = found.items >= 0
    assert torch.equal(found.scores[valid], torch.from_numpy(exact).gather(1, found.items.clamp(min=0))[valid])
    assert bool((found.scores[~valid] == -torch.inf).all())


@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("items", [30, 4000])
def test_heavy_ties_are_broken_by_item_code(levels: int, items: int) -> None:
    """Vectors of small integers: products are exact, and most scores are equal to many others."""
    torch.manual_seed(levels)
    model = Vectors(torch.randint(levels, (40, 4)).float(), torch.randint(levels, (items, 4)).float() + 1)
    seen = some_seen(40, items, 30, 1)
    found = rank(model, queries(40, seen), 10, mask_seen=True)
    np.testing.assert_array_equal(found.items.numpy(), brute((model.query @ model.items.T).double().numpy(), 10, seen))


def test_all_scores_equal() -> None:
    model = Vectors(torch.ones(5, 8), torch.full((5000, 8), 0.1))
    found = rank(model, queries(5, [[0, 3], [], [1], [2], [4]]), 4, mask_seen=True)
    assert found.items.tolist() == [[1, 2, 4, 5], [0, 1, 2, 3], [0, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]]
    zero = rank(Vectors(torch.zeros(5, 8), torch.zeros(5000, 8)), queries(5), 4, mask_seen=True)
    assert zero.items.tolist() == [[0, 1, 2, 3]] * 5


def test_candidates_enter_in_several_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tiles and hardly any room for candidates: the running lists are those of one pass."""
    torch.manual_seed(2)
    model = Vectors(torch.randint(3, (30, 4)).float(), torch.randint(3, (1000, 4)).float())
    model.query[::3] = 0.0
    expected = brute((model.query @ model.items.T).double().numpy(), 10)
    monkeypatch.setattr(ranking, "TILE", 30 * 64)
    for pending in (0, 100, 1 << 18):
        monkeypatch.setattr(ranking, "PENDING", pending)
        found = rank(model, queries(30), 10, mask_seen=True, candidates=torch.ones(1000, dtype=torch.bool))
        np.testing.assert_array_equal(found.items.numpy(), expected)


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_scores_closer_than_the_last_bit_of_the_screening_product(precision: str) -> None:
    """Hundreds of items differ by less than float32 can tell; the order of record is that of float64."""
    torch.manual_seed(3)
    items = torch.randn(1, 32) + 1e-7 * torch.randn(5000, 32)
    model = Vectors(torch.randn(30, 32) * 100, items)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        found = rank(model, queries(30), 20, mask_seen=False)
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(found.items.numpy(), brute(dot(model.query[:, None], items[None]).numpy(), 20))


def test_screening_errors_up_to_the_bound_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that is wrong by as much as the bound allows, in the worst direction for each item."""
    torch.manual_seed(5)
    model = Vectors(torch.randn(40, 16), torch.randn(3200, 16))
    model.items /= model.items.norm(dim=1, keepdim=True)
    exact = dot(model.query[:, None], model.items[None])
    size = model.query.double().norm(dim=1, keepdim=True) * model.items.double().norm(dim=1).max()
    relative = 0.02
    monkeypatch.setattr(ranking, "_relative_error", lambda width: relative)
    expected = brute(exact.numpy(), 20)
    best = torch.zeros_like(exact, dtype=torch.bool).scatter_(1, torch.from_numpy(expected), True)
    wrong = exact + 0.99 * relative * size * torch.where(best, -1.0, 1.0)

    def product(query: Tensor, items: Tensor, *, out: Tensor) -> Tensor:
        return out.copy_(wrong)

    monkeypatch.setattr(torch, "mm", product)
    found = rank(model, queries(40), 20, mask_seen=False, candidates=torch.ones(3200, dtype=torch.bool))
    np.testing.assert_array_equal(found.items.numpy(), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 70), st.integers(1, 2), st.booleans())
def test_ranking_depends_on_neither_block_threads_nor_order(seed: int, block: int, threads: int, coarse: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, items = torch.randn(60, 24, generator=generator), torch.randn(2500, 24, generator=generator)
    if coarse:
        query, items = query.round(), items.round()
    model = Vectors(query, items)
    seen = some_seen(60, 2500, 20, seed)
    histories = queries(60, seen)
    expected = rank(model, histories, 15, mask_seen=True)
    order = torch.randperm(60, generator=generator)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = rank(model, histories.take(order), 15, mask_seen=True, block=block)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found.items, expected.items[order]) and torch.equal(found.scores, expected.scores[order])


@pytest.mark.parametrize("items", [5, 40, 3000])
def test_given_scores_are_the_scores_of_record(items: int) -> None:
    torch.manual_seed(items)
    table = torch.randn(60, items)
    table[:20] = table[:20].round()  # many ties
    table[20:30] = 0.0
    table[:, ::7] = -torch.inf  # the model does not recommend these
    table[30, 3:] = -torch.inf
    seen = some_seen(60, items, 6, 2)
    before = table.clone()
    found = rank(Given(table), queries(60, seen), 12, mask_seen=True, block=25)
    np.testing.assert_array_equal(found.items.numpy(), brute(table.double().numpy(), 12, seen))
    assert torch.equal(table, before)


def test_expanded_scores_are_not_written_to() -> None:
    popularity = torch.arange(300.0)

    class Popular(Given):
        def scores(self, histories: Histories) -> Tensor:
            return popularity.expand(len(histories), -1)

    found = rank(Popular(popularity), queries(3, [[299], [], [298, 297]]), 3, mask_seen=True)
    assert found.items.tolist() == [[298, 297, 296], [299, 298, 297], [299, 296, 295]]
    assert popularity.tolist() == list(range(300))


def test_seen_items_may_be_recommended_when_the_policy_says_so() -> None:
    model = Vectors(torch.tensor([[1.0]]), torch.arange(5.0)[:, None])
    assert rank(model, queries(1, [[4, 4, 2]]), 5, mask_seen=True).items.tolist() == [[3, 1, 0, -1, -1]]
    assert rank(model, queries(1, [[4, 4, 2]]), 5, mask_seen=False).items.tolist() == [[4, 3, 2, 1, 0]]


def test_candidates_limit_the_catalogue_for_both_kinds_of_model() -> None:
    allowed = torch.tensor([True, False, True, True, False])
    for model in (Vectors(torch.tensor([[1.0]]), torch.arange(5.0)[:, None]), Given(torch.arange(5.0)[None])):
        found = rank(model, queries(1, [[2]]), 3, mask_seen=True, candidates=allowed)
        assert found.items.tolist() == [[3, 0, -1]] and found.scores.tolist() == [[3.0, 0.0, -np.inf]]


def test_no_queries_and_larger_k_than_items() -> None:
    model = Vectors(torch.randn(1, 2), torch.randn(3, 2))
    assert rank(model, queries(0, None).take(slice(0, 0)), 4, mask_seen=True).items.shape == (0, 4)
    found = rank(model, queries(1), 50, mask_seen=True)
    assert found.items.shape == (1, 50) and sorted(found.items[0, :3].tolist()) == [0, 1, 2] and bool((found.items[:, 3:] == -1).all())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_vectors_that_are_not_finite_are_an_error_naming_the_model(bad: float) -> None:
    torch.manual_seed(0)
    for where in ("query", "items"):
        model = Vectors(torch.randn(4, 3), torch.randn(3000, 3))
        getattr(model, where)[2, 1] = bad
        with pytest.raises(RecsysError, match="Vectors gave scores that are nan or infinite"):
            rank(model, queries(4), 5, mask_seen=True)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("items", [10, 5000])
def test_scores_that_are_not_finite_are_an_error_naming_the_model(bad: float, items: int) -> None:
    table = torch.randn(4, items)
    table[3, items - 1] = bad
    with pytest.raises(RecsysError, match="Given gave scores that are nan or infinite"):
        rank(Given(table), queries(4), 5, mask_seen=True)


def test_wrong_shapes() -> None:
    with pytest.raises(RecsysError, match=r"Vectors.vectors gave shapes \(4, 3\) and \(9, 2\) for 4 queries"):
        rank(Vectors(torch.randn(4, 3), torch.randn(9, 2)), queries(4), 5, mask_seen=True)
    with pytest.raises(RecsysError, match=r"FlatScores.scores gave shape \(9,\) for 1 queries"):
        rank(FlatScores(torch.randn(9)), queries(1), 5, mask_seen=True)
    with pytest.raises(RecsysError, match="scores 9 items, but the catalogue has 4"):
        rank(Given(torch.randn(1, 9)), queries(1), 5, mask_seen=True, candidates=torch.ones(4, dtype=torch.bool))


def test_the_model_is_in_evaluation_mode_meanwhile_and_keeps_no_gradient() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.item = nn.Parameter(torch.randn(50, 4))
            self.drop = nn.Dropout(0.9)

        def vectors(self, histories: Histories) -> tuple[Tensor, Tensor]:
            assert not self.training and not torch.is_grad_enabled()
            return self.drop(torch.ones(len(histories), 4)), self.item

    net = Net()
    found = rank(net, queries(3), 5, mask_seen=True)  # type: ignore[arg-type]
    assert net.training and net.drop.training and torch.is_grad_enabled() and not found.scores.requires_grad
    assert len({tuple(x) for x in found.items.tolist()}) == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_of_vectors(dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    model = Vectors(torch.randn(20, 16).to(dtype), torch.randn(2000, 16).to(dtype))
    found = rank(model, queries(20), 10, mask_seen=False)
    np.testing.assert_array_equal(found.items.numpy(), brute(dot(model.query[:, None], model.items[None]).numpy(), 10))


def test_memory_is_bounded_whatever_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole rows of scores are asked for few queries at a time; vectors for many, and no more than a tile of their products is kept."""
    monkeypatch.setattr(ranking, "FLOATS", 1000)
    monkeypatch.setattr(ranking, "TILE", 1024)
    monkeypatch.setattr(ranking, "TOGETHER", 8)
    torch.manual_seed(1)
    vectors = Vectors(torch.randn(20, 4), torch.randn(300, 4))
    given = Given(dot(vectors.query[:, None], vectors.items[None]))
    calls: dict[str, list[int]] = {"vectors": [], "scores": []}
    for model, name in ((vectors, "vectors"), (given, "scores")):
        answer = getattr(model, name)
        monkeypatch.setattr(model, name, lambda h, name=name, answer=answer: (calls[name].append(len(h)), answer(h))[1])
    largest: list[int] = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: (largest.append(out.numel()), product(a, b, out=out))[1])
    found = [
        rank(model, queries(20), 5, mask_seen=False, candidates=torch.ones(300, dtype=torch.bool), block=5) for model in (vectors, given)
    ]
    assert max(calls["scores"]) == 3 and sum(calls["scores"]) == 20
    assert max(calls["vectors"]) == 8 and sum(calls["vectors"]) == 20
    assert max(largest) <= 1024
    monkeypatch.undo()
    assert torch.equal(found[0].items, found[1].items)
    assert torch.equal(found[0].items, rank(vectors, queries(20), 5, mask_seen=False).items)


def test_bfloat16_gives_way_where_it_is_too_rough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items far from 0 and near each other: in bfloat16 all of them could be the best."""
    monkeypatch.setattr(bfloat16, "is_fast", lambda device: True)
    torch.manual_seed(4)
    products: list[torch.dtype] = []
    product = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: (products.append(a.dtype), product(a, b, out=out))[1])
    spread = Vectors(torch.randn(60, 32), torch.randn(3000, 32))
    near = Vectors(torch.randn(60, 32), 10 + 0.001 * torch.randn(3000, 32))
    for model, kinds in ((spread, {torch.bfloat16}), (near, {torch.bfloat16, torch.float32})):
        products.clear()
        found = rank(model, queries(60), 5, mask_seen=False, block=20)
        assert set(products) == kinds and products.count(torch.bfloat16) <= (3 if model is spread else 1)
        np.testing.assert_array_equal(found.items.numpy(), brute(dot(model.query[:, None], model.items[None]).numpy(), 5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [0, 1, 2, 3, 5, 8, 13, 64, 65, 127])
def test_scores_of_record_are_the_same_compiled_and_not(width: int, dtype: torch.dtype) -> None:
    torch.manual_seed(width)
    query, items = torch.randn(20, width).to(dtype), torch.randn(30, width).to(dtype)
    row, item = torch.randint(20, (500,)), torch.randint(30, (500,))
    out = torch.empty(500, dtype=torch.float64)
    ranking_kernel.records(*(x.numpy() for x in (query, items, row, item, out)), 0, 500)
    assert out.equal(dot(query[row], items[item]))


def test_dot_is_exact_where_float64_is() -> None:
    a, b = torch.arange(7.0), torch.tensor([1.0, -1, 2, 0, 5, 1, 3])
    assert dot(a, b).item() == sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))
    assert dot(torch.zeros(2, 0), torch.zeros(2, 0)).tolist() == [0.0, 0.0]
    assert dot(torch.ones(3, 1, 65), torch.ones(1, 4, 65)).tolist() == [[65.0] * 4] * 3
