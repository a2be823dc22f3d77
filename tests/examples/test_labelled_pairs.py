from __future__ import annotations

import copy

import pytest
import torch

from recsys import ConfigError, Experiment, Fit
from recsys.batching import Balanced, Bucketed, ByUser, Shuffled
from recsys.data.log import Log
from recsys.data.sources import Simulated
from recsys.examples import Examples, LabelledPairs, NextItem, Pairs, PairsWithHistory
from recsys.learner import Learner
from recsys.losses import BPR, WMF, Loss, RelMF
from recsys.models import MF, Model, NeuMF, Popular, SimpleX
from recsys.sampling import InBatch, Mix, Nothing, Sampler, TopK, Uniform, Unseen
from recsys.splitting import LastN
from recsys.testing import worlds
from recsys.testing.worlds import LastItem


def loaded(log: Log) -> LabelledPairs:
    examples = LabelledPairs()
    examples.load(log)
    return examples


def test_every_pair_is_a_row_with_its_label() -> None:
    log = worlds._log(torch.tensor([0, 0, 2, 2, 2]), torch.tensor([1, 1, 0, 3, 0]), 3, 4, "user")  # owner 1 has nothing, repeats count once
    examples = loaded(log)
    assert len(examples) == 12
    batch = examples.batch(torch.arange(12))
    assert batch.label is not None
    assert batch.label.view(3, 4).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert batch.owner.view(3, 4).tolist() == [[0] * 4, [1] * 4, [2] * 4]
    assert batch.target.view(3, 4).tolist() == [[0, 1, 2, 3]] * 3
    assert torch.equal(batch.inputs["user"], batch.owner)
    assert examples.unlabelled(torch.arange(9)).tolist() == [0, 2, 3, 4, 5, 6, 7, 9, 10]
    assert examples.target_counts(torch.tensor([0, 4, 5, 5]), 4).tolist() == [2, 2, 0, 0]


def test_groups_hold_several_pairs() -> None:
    batch = loaded(worlds.users()).batch(torch.tensor([[0, 61, 2], [5, 5, 0]]))
    assert batch.groups == 2 and batch.group.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.owner.tolist() == [0, 1, 0, 0, 0, 0] and batch.target.tolist() == [0, 1, 2, 5, 5, 0]


@pytest.mark.parametrize("full", [False, True])
def test_a_log_without_or_with_every_pair(full: bool) -> None:
    pair = torch.arange(6 if full else 0)
    examples = loaded(worlds._log(pair // 3, pair % 3, 2, 3, "user"))
    assert examples.batch(torch.arange(6)).label.tolist() == [float(full)] * 6  # type: ignore[union-attr]
    if not full:
        assert examples.unlabelled(torch.arange(6)).tolist() == list(range(6))


def test_a_billion_pairs_cost_nothing() -> None:
    """100,000 owners x 40,000 items are 4e9 pairs, 32 GB of ids: a few of them are drawn and labelled, and none is listed."""
    owners, items = 100_000, 40_000
    log = worlds._log(torch.arange(owners), torch.arange(owners) % items, owners, items, "user")
    parts = {"sampler": Nothing(), "loss": WMF(), "examples": LabelledPairs(), "fit": Fit(epochs=1, device="cpu")}
    learner = Learner(model=MF(dim=2), batches=Balanced(size=64, steps=3), **parts)  # type: ignore[arg-type]
    (epoch,) = learner.fit(log)
    assert epoch.rows == 192 and len(learner.step.examples) == 4_000_000_000
    for batch in learner.step.batches.plan:
        label = learner.step.examples.batch(batch).label
        assert label is not None and label.sum() == 32
    share = learner.step.batches.log_prob(torch.arange(items)).double().exp()
    assert float(share.sum()) == pytest.approx(1, abs=1e-3)
    whole = Learner(model=MF(dim=2), batches=Shuffled(), **{**parts, "examples": LabelledPairs()})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="Shuffled puts all 4,000,000,000 examples in an order"):
        next(iter(whole.fit(log)))


def refusal(
    examples: Examples | None, model: Model, batches: object = None, sampler: Sampler | None = None, loss: Loss | None = None
) -> str:
    parts = {"examples": examples, "model": model, "batches": batches, "sampler": sampler, "loss": loss}
    try:
        Experiment(data=Simulated(), split=LastN(), **parts).check()  # type: ignore[arg-type]
    except ConfigError as error:
        return str(error)
    return ""


def test_what_fits_and_what_does_not() -> None:
    pairs, nothing, wmf = LabelledPairs(), Nothing(), WMF()
    assert refusal(pairs, MF(), Shuffled(), nothing, wmf) == ""
    assert refusal(pairs, NeuMF(), Balanced(), nothing, wmf) == ""
    assert refusal(PairsWithHistory(), MF()) == ""
    assert refusal(pairs, LastItem(), Shuffled(), nothing, wmf).startswith(
        "examples: LastItem reads NextItem, and LabelledPairs does not give 'groups', 'lengths', 'next', 'sequence'"
    )
    assert refusal(NextItem(), MF()).startswith("examples: MF reads Pairs, and NextItem does not give 'pairs'")
    assert refusal(Pairs(), SimpleX()).startswith("examples: SimpleX reads PairsWithHistory, and Pairs does not give 'history'")
    assert refusal(pairs, MF(), None, nothing, BPR()).startswith("loss: BPR needs 'negatives'")
    assert "loss: BPR needs 'positives' (every row must be a positive), which LabelledPairs does not give" in refusal(pairs, MF())
    assert refusal(None, MF(), None, nothing, wmf).startswith("loss: WMF needs 'labels'")
    assert "which Unseen does not give" in refusal(pairs, MF(), None, Unseen(), wmf)
    assert refusal(pairs, MF(), None, Mix({"u": Uniform(), "n": Nothing()}), wmf).endswith("which Mix(Uniform, Nothing) does not give")
    assert refusal(pairs, MF(), None, TopK(Nothing()), wmf).endswith("which TopK(Nothing) does not give")
    assert refusal(None, MF(), None, TopK(Nothing()), BPR()).endswith("which TopK(Nothing) does not give")
    assert "sampler: InBatch needs 'positives'" in refusal(pairs, MF(), None, InBatch(), wmf)
    assert "batches: ByUser needs 'positives'" in refusal(pairs, MF(), ByUser(), nothing, wmf)
    assert "batches: Bucketed needs 'lengths'" in refusal(pairs, MF(), Bucketed(), nothing, wmf)
    assert refusal(None, MF(), Balanced()).startswith("batches: Balanced needs 'labels' (it draws pairs of either label), which Pairs")


def test_examples_of_the_wrong_kind_and_of_a_closed_form_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"examples: .* is a BPR, not a Examples"):
        Experiment(data=Simulated(), split=LastN(), model=MF(), examples=BPR())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="examples: Popular is solved in closed form and takes no examples"):
        Experiment(data=Simulated(), split=LastN(), model=Popular(), examples=Pairs())
    assert "examples" not in Experiment(data=Simulated(), split=LastN(), model=Popular()).spec()


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped() -> None:
    log = worlds.users()

    def learner() -> Learner:
        parts = {"batches": Balanced(size=32, steps=4), "sampler": Nothing(), "loss": RelMF(), "examples": LabelledPairs()}
        return Learner(model=MF(dim=4), **parts, fit=Fit(epochs=3, patience=None, device="cpu"), seed=5).setup(log)  # type: ignore[arg-type]

    whole, begun, resumed = learner(), learner(), learner()
    for _ in whole.fit(log):
        pass
    states = []
    begun.on_step = lambda epoch, step, *_: states.append(copy.deepcopy(begun.state())) if (epoch, step) == (2, 3) else None
    for _ in begun.fit(log):
        pass
    resumed.load_state(states[0])
    assert [epoch.epoch for epoch in resumed.fit(log)] == [2, 3]
    for a, b in zip(whole.step.parameters(), resumed.step.parameters(), strict=True):
        assert torch.equal(a, b)
