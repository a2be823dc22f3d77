"""Facts about the place where model, sampler and loss meet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from recsys import ConfigError
from recsys.batch import Batch
from recsys.batching import ByUser, Shuffled
from recsys.data.log import Log
from recsys.examples import NextItem, Pairs
from recsys.losses import BCE, BPR, Loss, Softmax
from recsys.models import MF
from recsys.penalties import FullTable, TouchedRows
from recsys.pool import Draw, Pool
from recsys.sampling import All, InBatch, Mix, Popularity, Refine, TopK, Uniform, Unseen
from recsys.step import Scored, Step, View, reduce
from recsys.testing import check_examples, worlds


def rows_of(step: Step, at: int = 0) -> torch.Tensor:
    step(worlds.first_batch(step), 1, at)
    assert step.scored is not None
    return step.loss(step.scored)


def test_softmax_over_all_items_is_the_cross_entropy():
    step = worlds.step_of(All(), Softmax(temperature=0.5))
    batch = worlds.first_batch(step)
    logits = step.model.user(batch.owner) @ step.model.item.weight.T / 0.5
    assert torch.allclose(rows_of(step), F.cross_entropy(logits, batch.target, reduction="none"), atol=1e-5)


def test_logq_of_in_batch_negatives_tends_to_the_softmax_over_all_targets():
    step = worlds.step_of(InBatch(), Softmax(logq=True), batches=ByUser(size=4000, positives=1))
    value = rows_of(step).mean().detach()
    batch = worlds.first_batch(step)
    logits = (step.model.user(batch.owner) @ step.model.item.weight.T).masked_fill(step.catalog.counts == 0, -torch.inf)
    assert abs(float(value - F.cross_entropy(logits, batch.target).detach())) < 0.04


def test_top_k_gradient_is_that_of_selecting_on_the_scores():
    base = Mix({"shared": Uniform(40, per="batch"), "own": Uniform(6)})
    step = worlds.step_of(TopK(base, k=5), Softmax())
    rows_of(step).mean().backward()
    mine = [p.grad.clone() for p in step.model.parameters()]
    step.zero_grad()
    batch = worlds.first_batch(step)
    score = step.model(batch)
    draw = base(worlds.view_of(step, batch))
    kept = torch.cat([score(pool) for pool in draw.pools], 1).masked_fill(~draw.valid, -torch.inf).topk(5, dim=1).values
    (torch.cat([score.positive()[:, None], kept], 1).logsumexp(1) - score.positive()).mean().backward()
    for got, parameter in zip(mine, step.model.parameters(), strict=True):
        assert torch.allclose(got, parameter.grad, atol=1e-6)


def test_top_k_of_at_least_all_candidates_is_bit_equal_to_its_base():
    base = Mix({"shared": Uniform(20, per="batch"), "own": Uniform(5)})
    assert torch.equal(rows_of(worlds.step_of(base, Softmax())), rows_of(worlds.step_of(TopK(base, k=25), Softmax())))


def test_candidates_outside_the_top_k_get_exactly_no_gradient():
    step = worlds.step_of(TopK(Uniform(30, per="batch", exclude="nothing"), k=1), BPR(), batches=Shuffled(size=1))
    rows_of(step).sum().backward()
    touched = {int(worlds.first_batch(step).target), *step.draw.ids().flatten().tolist()}
    moved = step.model.item.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert set(moved) <= touched and len(moved) == 2


def test_losses_by_hand():
    positive, negative = torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 0.0], [3.0, -1.0]])
    valid = torch.tensor([[True, True], [True, False]])
    case = Scored(positive, negative, None, None, Draw((Pool(torch.zeros(2, 2, dtype=torch.long)),), valid), None)  # type: ignore[arg-type]
    softplus = lambda x: torch.log1p(torch.exp(torch.tensor(x))).item()  # noqa: E731
    assert BPR()(case).tolist() == pytest.approx([(softplus(-1.0) + softplus(-2.0)) / 2, softplus(4.0)])
    assert BCE()(case).tolist() == pytest.approx([softplus(-2.0) + (softplus(1.0) + softplus(0.0)) / 2, softplus(1.0) + softplus(3.0)])
    e = torch.exp
    one = -torch.log(e(torch.tensor(2.0)) / (e(torch.tensor(2.0)) + e(torch.tensor(1.0)) + 1)).item()
    assert Softmax()(case).tolist() == pytest.approx([one, softplus(4.0)])


def test_denominators():
    loss, weight = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 1.0, 0.5])
    assert float(reduce(loss, None, None, "rows")) == 3.0
    assert float(reduce(loss, weight, None, "rows")) == 2.0
    assert float(reduce(loss, weight, None, "weights")) == pytest.approx(6 / 2.5)
    assert float(reduce(loss, weight, torch.tensor([2.0, 0.0, 0.0]), "sum")) == 2.0


def test_penalties_by_hand():
    step = worlds.step_of(Uniform(2), BPR())
    step.requires_grad_(False)
    rows_of(step)
    user, item = step.model.user.weight, step.model.item.weight
    assert float(FullTable(weight=0.2)(step.model, step.scored)) == pytest.approx(
        0.1 * float(user.square().sum() + item.square().sum()), rel=1e-5
    )
    batch = step.scored.batch
    touched = sum(float(table[ids].square().sum()) for table, ids in [(user, batch.owner), (item, batch.target), (item, step.draw.ids())])
    assert float(TouchedRows(weight=0.2)(step.model, step.scored)) == pytest.approx(0.1 * touched / len(batch), rel=1e-5)


def test_a_sampler_may_keep_rows_and_weigh_them():
    class EverySecond(Refine):
        def refine(self, view: View, draw: Draw) -> Draw:
            kept = draw.take(torch.arange(0, len(view.batch), 2))
            return replace(kept, weight=torch.full((len(kept.rows),), 2.0))

    plain, halved = worlds.step_of(Uniform(3), BPR()), worlds.step_of(EverySecond(Uniform(3)), BPR())
    rows = rows_of(plain)
    value = halved(worlds.first_batch(halved), 1, 0)
    assert len(halved.scored.positive) == (len(rows) + 1) // 2
    assert torch.allclose(value, 2 * rows[::2].mean())


def test_draws_do_not_depend_on_threads_or_on_what_was_drawn_before():
    ids = []
    for threads, noise in ((1, 0), (2, 1000)):
        torch.set_num_threads(threads)
        step = worlds.step_of(Mix({"u": Unseen(3), "p": Popularity(4)}), BPR())
        torch.rand(noise)
        step(worlds.first_batch(step), 3, 5)
        ids.append(step.draw.ids())
    assert torch.equal(*ids)


def test_a_row_of_a_user_who_has_seen_everything_is_worth_nothing():
    log = worlds._log(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 2, 1]), 2, 3, "user")
    step = worlds.step_of(Unseen(4), BPR(), model=MF(dim=4), log=log)
    rows = rows_of(step).detach()
    full = step.scored.batch.owner == 0
    assert torch.equal(rows[full], torch.zeros(3)) and float(rows[~full]) > 0


def test_a_loss_that_averages_by_itself_is_refused():
    class Averaged(BPR):
        def forward(self, scored: Scored) -> torch.Tensor:
            return super().forward(scored).mean()

    step = worlds.step_of(Uniform(3), Averaged())
    with pytest.raises(ConfigError, match=r"loss: Averaged gave a tensor of shape \[\] for 32 rows; a loss gives one value a row"):
        step(worlds.first_batch(step), 1, 0)


class Cheat(Loss):
    def forward(self, scored: Scored) -> torch.Tensor:
        return scored.negative.sum(1)


def test_the_suites_refuse_what_breaks_a_promise():
    from recsys.testing import check_loss, check_sampler

    class Forgetful(Uniform):
        def propose(self, view: View) -> tuple[Pool, torch.Tensor | None]:
            return Pool(torch.randint(view.catalog.num_items, (len(view.batch), self.num))), None

    class Miscounting(Uniform):
        def log_count(self, view: View, ids: torch.Tensor) -> torch.Tensor:
            return super().log_count(view, ids) + 0.5

    class Careless(Uniform):
        def to_mask(self) -> str:
            return "nothing"

    with pytest.raises(AssertionError, match=r"view\.generator"):
        check_sampler(Forgetful(3, exclude="nothing"))
    with pytest.raises(AssertionError, match="log_count is wrong"):
        check_sampler(Miscounting(3))

    class Lying(Uniform):
        def forward(self, view: View) -> Draw:
            draw = super().forward(view)
            return draw if draw.log_count is None else replace(draw, log_count=torch.zeros_like(draw.log_count))

    with pytest.raises(AssertionError, match="the log_count of its draw is not that of its ids"):
        check_sampler(Lying(3))
    with pytest.raises(AssertionError, match="valid candidate though it is excluded"):
        check_sampler(Careless(9, per="batch", exclude="seen"))
    with pytest.raises(AssertionError, match="not valid"):
        check_loss(Cheat())


def test_the_suite_of_examples_refuses_what_breaks_a_promise():
    class Shuffling(Pairs):
        def batch(self, ids: torch.Tensor) -> Batch:
            return super().batch(ids[torch.randperm(len(ids))] if len(ids) else ids)

    class Inventing(Pairs):
        def load(self, log: Log) -> None:
            super().load(log)
            self.target = (self.target + 1) % log.num_items

    class Forgetting(NextItem):
        def load(self, log: Log) -> None:
            super().load(log)
            self.weight = self.weight.flip(0)

    class Saving(Pairs):
        def load(self, log: Log) -> None:
            super().load(log)
            self.register_buffer("kept", log.items)

    for broken, said in (
        (Shuffling(), "two batches of the same examples differ"),
        (Inventing(), "a row is not an event of the log"),
        (Forgetting(), "weight is not that of the row's event"),
        (Saving(), "persistent=False"),
    ):
        with pytest.raises(AssertionError, match=said):
            check_examples(broken)
