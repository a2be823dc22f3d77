from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from recsys.errors import ConfigError
from recsys.optimizers import SGD, Adagrad, Adam, AdamW, Group, LazyAdam
from recsys.optimizers.row_adam import summed
from recsys.randomness import generator


def train(table: nn.Parameter, optimizer: torch.optim.Optimizer, ids: list[torch.Tensor], sparse: bool) -> torch.Tensor:
    for at, rows in enumerate(ids):
        weight = torch.randn(rows.shape, generator=generator("w", at))
        optimizer.zero_grad()
        (
            (F.embedding(rows, table, sparse=sparse).square().sum(1) * weight).sum() + F.embedding(rows[:3], table, sparse=sparse).sum()
        ).backward()
        optimizer.step()
    return table.detach()


def ids(steps: int, rows: int = 64, size: int = 50) -> list[torch.Tensor]:
    return [torch.randint(rows, (size,), generator=generator("ids", s)) for s in range(steps)]


def test_lazy_adam_touching_every_row_is_adam():
    start = torch.randn(16, 5, generator=generator("t"))
    every = [torch.arange(16).repeat(2) for _ in range(10)]
    one, two = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    dense = train(one, torch.optim.Adam([one], lr=0.05), every, sparse=False)
    lazy = train(two, LazyAdam(lr=0.05).make([("t", two)]), every, sparse=True)
    assert torch.allclose(dense, lazy, atol=2e-5)  # 2.5e-4 of ten steps of 0.05


@pytest.mark.parametrize("width", [1, 7, 64])
def test_the_compiled_kernel_equals_its_torch_twin(width: int):
    start = torch.randn(64, width, generator=generator("t"))
    tables = []
    for kernel in ("numba", "torch"):
        table = nn.Parameter(start.clone())
        tables.append(train(table, LazyAdam(lr=0.05, kernel=kernel).make([("t", table)]), ids(30), sparse=True))
    assert torch.allclose(*tables, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(tables[0], start, atol=0.1)


def test_lazy_adam_moves_touched_rows_only_and_their_moments():
    table = nn.Parameter(torch.randn(64, 4, generator=generator("t")))
    before = table.detach().clone()
    optimizer = LazyAdam().make([("t", table)])
    train(table, optimizer, [torch.tensor([3, 9, 3])], sparse=True)
    moved = (table.detach() != before).any(1).nonzero()[:, 0].tolist()
    assert moved == [3, 9]
    assert optimizer.state[table]["exp_avg"].any(1).nonzero()[:, 0].tolist() == [3, 9]


def test_lazy_adam_is_the_same_bit_for_bit_whatever_the_threads():
    tables = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        table = nn.Parameter(torch.ones(64, 8))
        tables.append(train(table, LazyAdam().make([("t", table)]), ids(5), sparse=True).clone())
    assert torch.equal(*tables)


@pytest.mark.parametrize(
    "made", [Adam(), AdamW(weight_decay=0.1), SGD(momentum=0.9), Adagrad(), LazyAdam()], ids=lambda o: type(o).__name__
)
def test_state_is_resumed_bit_for_bit(made):
    sparse = made.wants_rows(torch.device("cpu"))
    one = nn.Parameter(torch.randn(64, 4, generator=generator("t")))
    first = made.make([("t", one)])
    train(one, first, ids(5), sparse)
    two = nn.Parameter(one.detach().clone())
    second = made.make([("t", two)])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert torch.equal(train(one, first, ids(9)[5:], sparse), train(two, second, ids(9)[5:], sparse))


def test_groups_take_their_own_rate_and_decay():
    names = {name: nn.Parameter(torch.ones(2)) for name in ("model.user.weight", "model.item.weight", "loss.scale")}
    made = Adam(lr=0.1, groups={"model.user.*": Group(lr=0.5), "loss.*": Group(weight_decay=0.01)}).make(names.items())
    found = {name: group for name, p in names.items() for group in made.param_groups if any(p is q for q in group["params"])}
    assert [found[name]["base_lr"] for name in names] == [0.5, 0.1, 0.1]
    assert [found[name]["weight_decay"] for name in names] == [0.0, 0.0, 0.01]


def test_a_group_that_matches_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"'model.usr.\*' matches no parameter; there are model.user.weight"):
        Adam(groups={"model.usr.*": Group(lr=0.5)}).make([("model.user.weight", nn.Parameter(torch.ones(2)))])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Adam(lr=0.0),
        lambda: SGD(weight_decay=-1.0),
        lambda: LazyAdam(kernel="cuda"),
        lambda: LazyAdam(groups={"*": Group(weight_decay=0.1)}),
    ],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValueError, match=r"is -1|is 0|allowed|has no weight_decay"):
        wrong()


@pytest.mark.parametrize("sparse", [True, False], ids=["rows", "whole tables"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Adam(lr=0.05), lambda p: torch.optim.Adam(p, lr=0.05)),
        (Adam(lr=0.05, weight_decay=0.1, beta1=0.8), lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.1, betas=(0.8, 0.999))),
        (AdamW(lr=0.05, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1)),
    ],
    ids=["Adam", "Adam with decay", "AdamW"],
)
def test_adam_is_that_of_torch_also_for_rows_that_a_step_did_not_look_up(ours, theirs, sparse):
    start = torch.randn(64, 7, generator=generator("t"))
    one, two = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    some = ids(30, size=20)  # about a quarter of the 64 rows a step
    found = train(one, ours.make([("t", one)]), some, sparse=sparse)
    wanted = train(two, theirs([two]), some, sparse=False)
    assert torch.allclose(found, wanted, atol=2e-5, rtol=1e-4)
    assert (found != start).any(1).all()


def test_adam_on_the_cpu_is_the_same_bit_for_bit_whatever_the_threads():
    before, tables = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            table = nn.Parameter(torch.ones(3000, 64))
            tables.append(train(table, Adam().make([("t", table)]), ids(5, rows=3000, size=2000), sparse=True).clone())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(tables[0], tables[1]) and torch.equal(tables[0], tables[2])


def test_repeated_rows_are_summed_once_before_a_norm_is_taken():
    rows, values = torch.tensor([[4, 1, 4, 0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0], [5.0, 6.0]])
    grad = torch.sparse_coo_tensor(rows, values.clone(), (6, 2), check_invariants=True)
    found = summed(grad)
    assert found._indices().tolist() == [[4, 1, 0]]
    assert found._values().tolist() == [[11.0, 22.0], [3.0, 4.0], [5.0, 6.0]]
