"""SimpleX against a computation row by row, and its history in training and in queries."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from recsys.catalog import Catalog
from recsys.data.log import Histories, Log
from recsys.models import MF, SimpleX
from recsys.randomness import reseed_global


def log() -> Log:
    """User 0 has items 4, 1, 2; user 1 has 3 alone; user 2 has 0, 1, 2, 3, 4 and 1 again."""
    items = torch.tensor([4, 1, 2, 3, 0, 1, 2, 3, 4, 1], dtype=torch.int32)
    return Log(items, torch.tensor([0, 3, 4, 10]), 6)


def made(**knobs) -> tuple[SimpleX, Catalog]:
    reseed_global(3, "simplex")
    model, catalog = SimpleX(**{"dim": 4, "init_std": 1.0, "dropout": 0.0, **knobs}), Catalog(log())
    model.setup(catalog)
    return model, catalog


def test_a_history_is_what_else_the_user_has_in_the_order_of_the_log():
    model, _ = made()
    examples = model.examples()
    examples.load(log())
    batch = examples.batch(torch.arange(10))
    size = batch.inputs["offsets"].diff().tolist()
    found = [part.tolist() for part in batch.inputs["history"].split(size)]
    assert found[:4] == [[1, 2], [4, 2], [4, 1], []]
    assert found[4:] == [[1, 2, 3, 4, 1], [0, 2, 3, 4], [0, 1, 3, 4, 1], [0, 1, 2, 4, 1], [0, 1, 2, 3, 1], [0, 2, 3, 4]]


def test_the_longest_history_holds_the_last_events():
    model, _ = made(longest=3)
    examples = model.examples()
    examples.load(log())
    batch = examples.batch(torch.tensor([4, 9]))
    assert [part.tolist() for part in batch.inputs["history"].split(batch.inputs["offsets"].diff().tolist())] == [[3, 4, 1], [3, 4]]


def expected(model: SimpleX, user: int, items: list[int]) -> torch.Tensor:
    """Row by row, as the paper and (with padded_to) its code write it."""
    own, table = model.user.weight[user], (model.item if model.shared else model.memory).weight
    if not items:
        history = torch.zeros(model.dim)
    elif model.aggregator == "mean":
        history = table[items].mean(0)
    else:
        key = torch.tanh(table[items] @ model.key.weight.T + model.key.bias)
        logit = key @ (own if model.aggregator == "cross_attention" else model.asks.weight[0])
        if model.padded_to is not None:
            logit = torch.cat([logit, torch.zeros(max(0, model.padded_to - len(items)))])
        history = logit.softmax(0)[: len(items)] @ table[items]
    return F.normalize(model.gamma * own + (1 - model.gamma) * model.value.weight @ history, dim=0)


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"gamma": 0.8, "shared": False},
        {"aggregator": "cross_attention"},
        {"aggregator": "self_attention", "shared": False},
        {"aggregator": "cross_attention", "padded_to": 9},
        {"aggregator": "self_attention", "padded_to": 4},
        {"gamma": 1.0},
    ],
    ids=str,
)
def test_training_rows_and_queries_are_those_of_a_computation_row_by_row(knobs):
    model, _ = made(**knobs)
    examples = model.examples()
    examples.load(log())
    events = log()
    rows = list(zip(events.owners.tolist(), events.items.tolist(), strict=True))
    query = model(examples.batch(torch.arange(10))).query
    for row, (user, item) in enumerate(rows):
        others = [i for u, i in rows if u == user and i != item]
        torch.testing.assert_close(query[row], expected(model, user, others), atol=1e-5, rtol=1e-5)
    model.eval()
    asked = model.queries(events.histories()).query
    for user in range(3):
        torch.testing.assert_close(asked[user], expected(model, user, [i for u, i in rows if u == user]), atol=1e-5, rtol=1e-5)


def test_with_gamma_one_it_is_mf_with_cosines():
    model, catalog = made(gamma=1.0)
    plain = MF(dim=4, similarity="cosine")
    plain.setup(catalog)
    plain.load_state_dict({"user.weight": model.user.weight.detach(), "item.weight": model.item.weight.detach()})
    examples = model.examples()
    examples.load(log())
    batch = examples.batch(torch.arange(10))
    torch.testing.assert_close(model(batch)(None), plain(batch)(None))


def test_a_stranger_is_answered_from_its_history_and_without_one_with_the_mean_user():
    model, _ = made(aggregator="cross_attention")
    model.eval()
    found = model.queries(Histories.of([[0, 5], []])).query
    table = model.item.weight
    torch.testing.assert_close(found[0], F.normalize(model.value.weight @ table[[0, 5]].mean(0), dim=0))
    torch.testing.assert_close(found[1], F.normalize(model.user.weight.mean(0), dim=0))


def test_attention_of_any_size_stays_finite():
    model, _ = made(aggregator="cross_attention", padded_to=9)
    with torch.no_grad():
        model.user.weight.mul_(1e3)
        model.item.weight.mul_(1e3)
    scores = model.queries(log().histories())(None)
    assert torch.isfinite(scores).all()


def test_dropout_is_of_the_vector_of_length_one():
    model, _ = made(dropout=0.5)
    examples = model.examples()
    examples.load(log())
    reseed_global(0, "dropout")
    query = model(examples.batch(torch.arange(10))).query
    model.dropout = 0.0
    whole = model(examples.batch(torch.arange(10))).query
    kept = query != 0
    assert 0.2 < kept.float().mean() < 0.8
    torch.testing.assert_close(query[kept], 2 * whole[kept])
