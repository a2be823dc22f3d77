"""LightGCN: what propagation does to a model, what the penalty shrinks, and how queries are answered."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from recsys.batching import ByUser, Shuffled
from recsys.data.log import Histories, Log
from recsys.fit import Fit
from recsys.learner import Learner
from recsys.losses import BPR
from recsys.models import MF, LightGCN, Model
from recsys.optimizers import SGD, Adam, LazyAdam, Optimizer
from recsys.penalties import Penalty, TouchedRows
from recsys.ranking import rank
from recsys.recommender import Trained
from recsys.sampling import All, Sampler, Uniform, Unseen
from recsys.testing import worlds

PENALTY = TouchedRows(weight=0.01)


def learner(
    model: Model, *, epochs: int = 2, optimizer: Optimizer | None = None, log: Log | None = None, penalty: Penalty | None = PENALTY
) -> Learner:
    plan = Fit(epochs=epochs, optimizer=optimizer or Adam(lr=0.01), penalty=penalty, patience=None, device="cpu")
    return Learner(model=model, batches=Shuffled(size=64), sampler=Unseen(2), loss=BPR(), fit=plan).setup(log or worlds.users())


def trained(model: Model, **options: object) -> Model:
    made = learner(model, **options)  # type: ignore[arg-type]
    for _ in made.fit(worlds.users() if "log" not in options else options["log"]):  # type: ignore[arg-type]
        pass
    return model


def weights(model: Model) -> list[torch.Tensor]:
    return [model.user.weight.detach(), model.item.weight.detach()]  # type: ignore[union-attr]


def test_without_layers_it_is_mf():
    """Bit for bit; with a penalty up to rounding, since MF adds up its gradient and the score's before they reach the table."""
    for penalty in (None, PENALTY):
        options = {"optimizer": SGD(lr=0.5), "epochs": 3, "penalty": penalty}
        ours, mf = (weights(trained(model, **options)) for model in (LightGCN(dim=8, layers=0), MF(dim=8, init_std=0.1)))
        for a, b in zip(ours, mf, strict=True):
            torch.testing.assert_close(a, b, **({"atol": 0, "rtol": 0} if penalty is None else {}))


def test_ego_vectors_start_as_in_the_authors_code():
    step = worlds.step_of(model=LightGCN(), log=worlds.users(num_users=400, num_items=500))
    for table in weights(step.model):
        assert table.shape[1] == 64
        assert float(table.std()) == pytest.approx(0.1, rel=0.02)


def test_a_step_shrinks_ego_vectors_and_not_propagated_ones():
    """With a loss that has no gradient left, the penalty's gradient is weight / rows times each vector, as often as it was drawn."""
    step = worlds.step_of(model=LightGCN(dim=4), sampler=Uniform(3))
    step.penalty = TouchedRows(weight=0.5)
    batch = worlds.first_batch(step)
    step(batch, 1, 0)
    user, item = (x.requires_grad_() for x in (step.model.user.weight, step.model.item.weight))
    value = step.penalty(step.model, step.scored)
    drawn = torch.cat([batch.target, step.draw.ids().flatten()])
    times = torch.bincount(batch.owner, minlength=len(user)), torch.bincount(drawn, minlength=len(item))
    square = sum(float((n[:, None] * w.detach() ** 2).sum()) for n, w in zip(times, (user, item), strict=True))
    assert float(value.detach()) == pytest.approx(0.25 * square / len(batch), rel=1e-5)
    for n, w, grad in zip(times, (user, item), torch.autograd.grad(value, (user, item)), strict=True):
        torch.testing.assert_close(grad, 0.5 * n[:, None] * w.detach() / len(batch))


def test_rows_that_a_sampler_keeps_are_the_rows_that_shrink():
    class Half(Uniform):
        def forward(self, view):  # type: ignore[no-untyped-def]
            return super().forward(view).take(torch.arange(0, len(view.batch), 2))

    step = worlds.step_of(model=LightGCN(dim=4), sampler=Half(1))
    batch = worlds.first_batch(step)
    step(batch, 1, 0)
    score = step.scored.score
    assert torch.equal(score.ego.query, step.model.user.weight[batch.owner[::2]])
    assert torch.equal(score.ego.items(step.scored.batch.target), step.model.item.weight[batch.target[::2]])


def whole(log: Log, layers: int) -> torch.Tensor:
    """(1 + A + ... + A^K) / (K + 1) [U + N, U + N], from a dense adjacency matrix."""
    one = torch.zeros(log.num_owners + log.num_items, log.num_owners + log.num_items)
    one[log.owners, log.num_owners + log.items.long()] = 1
    one = one + one.T
    scale = one.sum(1).clamp(min=1).rsqrt()
    adjacency = scale[:, None] * one * scale
    return torch.stack([torch.linalg.matrix_power(adjacency, k) for k in range(layers + 1)]).mean(0)


@pytest.mark.parametrize("sampler", [Unseen(1), Uniform(20, per="batch"), Uniform(4), All()], ids=lambda s: type(s).__name__)
def test_a_step_has_the_gradient_of_bpr_on_densely_propagated_vectors(sampler: Sampler):
    log = worlds.users()
    step = worlds.step_of(model=LightGCN(dim=4, layers=2), sampler=sampler, log=log)
    batch = worlds.first_batch(step)
    value = step(batch, 1, 0)
    value.backward()
    ego = torch.cat(weights(step.model)).requires_grad_()
    user, item = (whole(log, 2) @ ego).split([log.num_owners, log.num_items])
    query, candidates = user[batch.owner], item[step.draw.ids().expand(len(batch), -1)]
    negative = (candidates * query[:, None]).sum(2)
    each = torch.nn.functional.softplus(negative - (query * item[batch.target]).sum(1, keepdim=True))
    valid = torch.ones_like(each) if step.draw.valid is None else step.draw.valid.expand_as(each).float()
    expected = ((each * valid).sum(1) / valid.sum(1)).mean()
    expected.backward()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    got = torch.cat([step.model.user.weight.grad, step.model.item.weight.grad])
    torch.testing.assert_close(got, ego.grad, atol=1e-7, rtol=1e-4)


def test_queries_score_as_the_batch_does():
    made = trained(LightGCN(dim=8))
    step = worlds.step_of(model=made)  # sets it up anew: other weights than those that were propagated before
    batch = worlds.first_batch(step)
    log = worlds.users()
    queries = made.queries(log.histories().take(batch.owner))
    torch.testing.assert_close(queries(None), made(batch)(None).detach(), atol=1e-6, rtol=1e-5)


def test_propagation_is_done_once_for_all_blocks_of_queries_and_anew_when_weights_change():
    model = LightGCN(dim=8)
    made, log = learner(model), worlds.users()
    calls = []
    model.graph.register_forward_hook(lambda *_: calls.append(1))
    histories = log.histories()
    for block in histories.blocks(7):
        made.vectors(block)
        made.scores(block)
    assert len(calls) == 1
    before = model.state_dict()
    before = {name: value.clone() for name, value in before.items()}
    kept = made.scores(histories)
    batch = made.step.examples.batch(torch.arange(50))
    made.step.begin_epoch(1)
    made._one_step(batch, 1, 0)
    changed = made.scores(histories)
    assert not torch.equal(kept, changed)
    assert len(calls) == 3, "one of the step, one after it"
    model.load_state_dict(before)
    assert torch.equal(made.scores(histories), kept)
    with torch.no_grad():
        model.item.weight.mul_(2)
    assert not torch.equal(made.scores(histories), kept)


@pytest.mark.parametrize("optimizer", [Adam(lr=0.01), LazyAdam(lr=0.01), LazyAdam(lr=0.01, kernel="torch")], ids=["Adam", "Lazy", "torch"])
def test_scores_follow_every_optimiser(optimizer: Optimizer):
    """A kernel may write to the weights behind the back of autograd; what was propagated before must not be answered with. All gradients
    are dense, so that LazyAdam does as Adam does."""
    model, log = LightGCN(dim=8), worlds.users()
    made = learner(model, epochs=3, optimizer=optimizer)
    histories = log.histories()
    for _ in made.fit(log):
        tables = (whole(log, 3) @ torch.cat(weights(model))).split([log.num_owners, log.num_items])
        torch.testing.assert_close(made.scores(histories), tables[0] @ tables[1].T, atol=1e-5, rtol=1e-4)
    plain = weights(trained(LightGCN(dim=8), epochs=3))
    for a, b in zip(weights(model), plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_an_unknown_user_is_a_new_node_that_changes_no_other(layers: int):
    """One more user in the graph with ego vector 0, by the recursion of the paper written out; its edges lead to it and not from it."""
    log = worlds.users(num_users=12, num_items=9, events=40)
    model = LightGCN(dim=4, layers=layers, init_std=1.0)
    worlds.step_of(model=model, log=log)
    history = [2, 5, 5, 0]
    items = sorted(set(history))
    degree = log.counts[items].float()
    user, item = weights(model)
    one = torch.zeros(12, 9)
    one[log.owners, log.items.long()] = 1
    b = one / one.sum(1, keepdim=True).sqrt() / one.sum(0).clamp(min=1).sqrt()
    layer_of_new = []
    for _ in range(layers):
        layer_of_new.append((item[items] / (len(items) * degree).sqrt()[:, None]).sum(0))
        user, item = b @ item, b.T @ user
    expected = torch.stack([torch.zeros(4), *layer_of_new]).mean(0)
    asked = Histories.of([history, [], [0]])
    torch.testing.assert_close(model.queries(asked).query[0], expected, atol=1e-6, rtol=1e-5)
    average = model.propagated(layers)[0].mean(0)
    torch.testing.assert_close(model.queries(asked).query[1], average)


def test_a_history_of_items_that_nobody_had_is_answered_as_an_empty_one():
    log = Log(torch.tensor([0, 1, 1], dtype=torch.int32), torch.tensor([0, 2, 3]), 4)
    model = LightGCN(dim=4)
    worlds.step_of(model=model, log=log)
    nobody, empty, mixed, plain = model.queries(Histories.of([[2, 3], [], [0, 3], [0]])).query
    assert torch.equal(nobody, empty)
    assert torch.equal(mixed, plain)


def test_a_stranger_with_the_taste_of_one_half_of_the_checkerboard_gets_that_half():
    log = worlds.checkerboard(20)
    model = LightGCN(dim=8)
    trained(model, epochs=30, log=log)
    strangers = Histories.of([[0, 2, 4, 6], [1, 3, 5]])
    found = rank(Trained(model), strangers, 6, mask_seen=True).items
    assert (found[0] % 2 == 0).all()
    assert (found[1] % 2 == 1).all()


def test_a_resumed_run_ends_with_the_same_weights():
    log = worlds.users()
    straight = learner(LightGCN(dim=8), epochs=4)
    for _ in straight.fit(log):
        pass
    first = learner(LightGCN(dim=8), epochs=4)
    for epoch in first.fit(log):
        first.scores(log.histories())
        if epoch.epoch == 2:
            break
    first._end_epoch(epoch)
    second = learner(LightGCN(dim=8), epochs=4)
    second.load_state(first.state())
    for _ in second.fit(log):
        pass
    assert all(torch.equal(a, b) for a, b in zip(weights(straight.model), weights(second.model), strict=True))
    assert sorted(straight.model.state_dict()) == ["item.weight", "user.weight"]


def test_it_learns_from_users_drawn_alike():
    """With the batches of its paper: every user weighs the same."""
    log = worlds.checkerboard(20)
    model = LightGCN(dim=8, layers=1)
    fit = Fit(epochs=60, optimizer=Adam(lr=0.02), patience=None, device="cpu")
    made = Learner(model=model, batches=ByUser(size=64), sampler=Unseen(1), loss=BPR(), fit=fit)
    losses = [epoch.loss for epoch in made.fit(log)]
    assert losses[0] == pytest.approx(math.log(2), abs=0.1)
    assert (rank(made, log.histories(), 1, mask_seen=True).items[:, 0] == torch.arange(20)).double().mean() > 0.9


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"layers": -1}, {"init_std": 0.0}])
def test_a_wrong_knob_is_named(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        LightGCN(**wrong)  # type: ignore[arg-type]


def test_cosines_are_those_of_the_propagated_vectors_in_training_and_in_queries():
    log = worlds.users()
    steps = [worlds.step_of(model=LightGCN(dim=8, similarity=similarity), log=log) for similarity in ("dot", "cosine")]
    asked = log.histories()
    query, items = Trained(steps[0].model).vectors(asked)
    cosine = F.normalize(query, dim=1) @ F.normalize(items, dim=1).T
    torch.testing.assert_close(Trained(steps[1].model).scores(asked), cosine)
    batch = worlds.first_batch(steps[1])
    torch.testing.assert_close(steps[1].model(batch).positive(), cosine[batch.owner, batch.target])
