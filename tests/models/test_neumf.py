"""NeuMF: a scorer that is no dot product, against one pair at a time."""

from __future__ import annotations

import pytest
import torch

from recsys.batching import Shuffled
from recsys.compatibility import check
from recsys.data.log import Histories, Log
from recsys.errors import ConfigError
from recsys.fit import Fit
from recsys.learner import Learner
from recsys.losses import BCE, BPR
from recsys.models import NeuMF, neumf
from recsys.optimizers import Adam
from recsys.penalties import TouchedRows
from recsys.pool import Pool
from recsys.randomness import generator
from recsys.ranking import rank
from recsys.recommender import Trained
from recsys.sampling import Uniform, Unseen
from recsys.step import Step
from recsys.testing import worlds


def step_of(model: NeuMF) -> Step:
    step = worlds.step_of(model=model)
    for layer in (model.wide, *model.narrower, model.last):  # biases start from 0, where a forgotten one would not be seen
        torch.nn.init.normal_(layer.bias, generator=generator("bias"))
    return step


def one_pair(model: NeuMF, user: int, item: int) -> float:
    """The paper's equation for one pair, the concatenations written out."""
    hidden = torch.cat([model.mlp_user.weight[user], model.mlp_item.weight[item]])
    for layer in (model.wide, *model.narrower):
        hidden = torch.relu(layer.weight @ hidden + layer.bias)
    product = model.user.weight[user] * model.item.weight[item]
    return float((model.last.weight[0] @ torch.cat([product, hidden]) + model.last.bias).detach())


def model() -> NeuMF:
    return NeuMF(dim=3, mlp_dim=4, layers=(6, 5, 2), init_std=1.0)


def pools(rows: int, groups: torch.Tensor, items: int) -> dict[str, Pool]:
    stream = generator("pools")
    draw = {"shared": (7,), "own": (rows, 5), "one": (rows, 1), "none": (rows, 0)}
    made = {name: Pool(torch.randint(items, shape, generator=stream)) for name, shape in draw.items()}
    return {**made, "group": Pool(torch.randint(items, (rows, 4), generator=stream), groups)}


@pytest.fixture(params=[neumf.FLOATS, 40, 1], ids=["one tile", "several tiles", "a tile a pair"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Sizes of tiles; with small ones, everything is computed again in the backward pass."""
    monkeypatch.setattr(neumf, "FLOATS", request.param)
    if request.param < neumf.KEPT // 100:
        monkeypatch.setattr(neumf, "KEPT", 1)
    return int(request.param)


def test_scores_are_those_of_one_pair_at_a_time(tiles: int):
    made = model()
    step = step_of(made)
    batch = worlds.first_batch(step).take(torch.tensor([4, 0, 9, 9, 20]))
    batch = step.examples.batch(batch.row)
    score = made(batch)
    items = step.catalog.num_items
    expected = torch.tensor([[one_pair(made, u, i) for i in range(items)] for u in batch.owner.tolist()])
    torch.testing.assert_close(score(None).detach(), expected)
    torch.testing.assert_close(score.positive().detach(), expected.gather(1, batch.target[:, None])[:, 0])
    for pool in pools(len(batch), torch.tensor([3, 1, 1, 0, 4]), items).values():
        wanted = expected.gather(1, pool.ids().expand(5, -1))
        torch.testing.assert_close(score(pool).detach(), wanted)
        kept = torch.tensor([2, 0])
        torch.testing.assert_close(score.take(kept)(pool.take(kept)).detach(), wanted[kept])
        with torch.no_grad():
            torch.testing.assert_close(score(pool), wanted)
        torch.testing.assert_close(score.detach()(pool), wanted)
    queries = made.queries(worlds.users().histories().take(batch.owner))
    torch.testing.assert_close(queries(None).detach(), expected)


@pytest.mark.parametrize("name", ["whole", "shared", "own", "one", "group"])
def test_gradients_do_not_depend_on_tiles(name: str, monkeypatch: pytest.MonkeyPatch):
    """Nor on whether a tile is computed again; and with weights of their own for each score they are those of autograd on single pairs."""
    found = []
    for floats, kept in ((neumf.FLOATS, neumf.KEPT), (40, neumf.KEPT), (40, 1)):
        monkeypatch.setattr(neumf, "FLOATS", floats)
        monkeypatch.setattr(neumf, "KEPT", kept)
        made = model()
        step = step_of(made)
        batch = step.examples.batch(torch.arange(5))
        items = step.catalog.num_items
        pool = None if name == "whole" else pools(5, torch.tensor([3, 1, 1, 0, 4]), items)[name]
        scores = made(batch)(pool)
        slope = torch.randn(scores.shape, generator=generator("slope"))
        (scores * slope).sum().backward()
        found.append([p.grad for p in made.parameters()])
    made.zero_grad()
    total = torch.zeros(())
    ids = torch.arange(items).expand(5, -1) if pool is None else pool.ids().expand(5, -1)
    for row, user in enumerate(batch.owner.tolist()):
        for column, item in enumerate(ids[row].tolist()):
            hidden = torch.cat([made.mlp_user.weight[user], made.mlp_item.weight[item]])
            for layer in (made.wide, *made.narrower):
                hidden = layer(hidden).relu()
            product = made.user.weight[user] * made.item.weight[item]
            total = total + slope[row, column] * made.last(torch.cat([product, hidden]))[0]
    total.backward()
    for other in (*found[1:], [p.grad for p in made.parameters()]):
        for a, b in zip(found[0], other, strict=True):
            assert a.abs().sum() > 0
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_memory_for_the_whole_catalogue_is_that_of_a_tile(monkeypatch: pytest.MonkeyPatch):
    """The largest tensor that is made, apart from the scores themselves, in a forward and in a backward pass."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            out = func(*args, **(kwargs or {}))
            made = [x for x in (out if isinstance(out, tuple | list) else [out]) if isinstance(x, torch.Tensor)]
            views = func._schema.name in ("aten::expand", "aten::view", "aten::detach", "aten::slice", "aten::t", "aten::unsqueeze")
            self.numel = max([self.numel, *(x.numel() for x in made if not views)])
            return out

    monkeypatch.setattr(neumf, "FLOATS", 6 * 100)
    monkeypatch.setattr(neumf, "KEPT", 1)
    made = model()
    step = step_of(made)
    batch = step.examples.batch(torch.arange(20))
    score, largest = made(batch), step.catalog.num_items * 20  # the widest layer for all pairs at once would be 6 times that
    with Largest() as seen:
        score(None).square().sum().backward()
    assert seen.numel == largest > neumf.FLOATS


def test_only_the_loss_and_not_the_sampler_moves_weights():
    step = step_of(model())
    score = step.model(worlds.first_batch(step)).detach()
    assert not score(None).requires_grad
    assert not score.positive().requires_grad
    assert score.query.grad_fn is None


def test_a_penalty_on_vectors_is_refused():
    class Users(Uniform):
        def gives(self, have: set[str]) -> set[str]:
            return {"user"}

    with pytest.raises(ConfigError, match=r"TouchedRows needs 'vectors' .* which NeuMF does not give"):
        check({"data": Users(), "model": model(), "penalty": TouchedRows()})


def test_an_unknown_user_is_like_those_who_have_its_items():
    """Users 0: item 0; 1: items 0 and 1; 2: item 2. A history of items 0 and 1: half of (u0 + u1) / 2 and half of u1."""
    log = Log(torch.tensor([0, 0, 1, 2], dtype=torch.int32), torch.tensor([0, 1, 3, 4]), 4)
    made = model()
    worlds.step_of(model=made, log=log)
    p, m = made.fold_in(Histories.of([[0, 1], [2], [], [3], [3, 2]]))
    for got, table in ((p, made.user.weight.detach()), (m, made.mlp_user.weight.detach())):
        torch.testing.assert_close(got[0], 0.25 * table[0] + 0.75 * table[1])
        torch.testing.assert_close(got[1], table[2])
        torch.testing.assert_close(got[2], table.mean(0))
        assert torch.equal(got[3], got[2]), "nobody has item 3"
        torch.testing.assert_close(got[4], table[2])
    asked = made.queries(Histories.of([[2], [2], [0]], owner=torch.tensor([-1, 2, 1])))(None)
    torch.testing.assert_close(asked[0], asked[1])
    assert not torch.equal(asked[1], asked[2])


@pytest.mark.parametrize("loss", [BPR(), BCE()], ids=["BPR", "BCE"])
def test_strangers_get_what_their_half_of_the_checkerboard_likes(loss: object):
    log = worlds.checkerboard(20)
    made = NeuMF(dim=8, mlp_dim=8, layers=[16, 8])
    fit = Fit(epochs=40, optimizer=Adam(lr=0.02), patience=None, device="cpu")
    for _ in Learner(model=made, batches=Shuffled(size=64), sampler=Unseen(1), loss=loss, fit=fit).fit(log):  # type: ignore[arg-type]
        pass
    found = rank(Trained(made), Histories.of([[0, 2, 4, 6], [1, 3, 5]]), 6, mask_seen=True).items
    assert (found[0] % 2 == 0).all()
    assert (found[1] % 2 == 1).all()


def test_a_resumed_run_ends_with_the_same_weights():
    log, found = worlds.users(), []
    for stop in (None, 2):
        made = learner()
        for epoch in made.fit(log):
            if epoch.epoch == stop:
                break
        if stop is not None:
            made._end_epoch(epoch)
            state, made = made.state(), learner().setup(log)
            made.load_state(state)
            for _ in made.fit(log):
                pass
        found.append(made.model.state_dict())
    assert len(found[0]) == 4 + 2 * 4
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def learner() -> Learner:
    fit = Fit(epochs=4, optimizer=Adam(lr=0.01), patience=None, device="cpu")
    return Learner(model=model(), batches=Shuffled(size=64), sampler=Uniform(3), loss=BCE(), fit=fit)


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"mlp_dim": 0}, {"layers": []}, {"layers": [4, 0]}, {"init_std": 0.0}])
def test_a_wrong_knob_is_named(wrong: dict[str, object]):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} (is )?"):
        NeuMF(**wrong)  # type: ignore[arg-type]
