"""A replayed step is the one that was trained: its candidates always, and trained again its numbers to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys import Experiment, Fit, Run, RunError
from recsys.batching import Shuffled
from recsys.data.sources import Frame, Simulated
from recsys.examples import LabelledPairs
from recsys.learner import Learner
from recsys.losses import NBPO, WMF, Softmax
from recsys.models import MF, Popular
from recsys.optimizers import SGD, Adam
from recsys.replay import replay
from recsys.sampling import Mix, Nothing, Popularity, Queue, TopK, TruncatedLoss, Uniform, Unseen
from recsys.schedules import PlateauDecay
from recsys.splitting import GlobalTime, LastN
from recsys.step import Step


@dataclass
class Done:
    value: float
    ids: Tensor
    negative: Tensor


Trained = dict[tuple[int, int, int], Done]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """What training did: by the number of the training (select, refit), epoch and step, both from 1."""
    found: Trained = {}
    learners: list[Learner] = []
    one_step, end_step = Learner._one_step, Step.end_step
    drawn: list[tuple[Tensor, Tensor]] = []

    def note(self: Learner, batch: Any, epoch: int, at: int) -> tuple[float, int]:
        if self not in learners:
            learners.append(self)
        value, rows = one_step(self, batch, epoch, at)
        found[len(learners), epoch, at + 1] = Done(value, *drawn.pop())
        return value, rows

    def end(self: Step) -> None:
        drawn.append((self.draw.ids().clone(), self.scored.negative.detach().clone()))
        end_step(self)

    monkeypatch.setattr(Learner, "_one_step", note)
    monkeypatch.setattr(Step, "end_step", end)
    return found


def experiment(**changed: Any) -> Experiment:
    plan = Fit(epochs=4, optimizer=Adam(lr=0.05), schedule=PlateauDecay(factor=0.3, patience=1), patience=None, device="cpu")
    parts = {
        "data": Simulated(users=80, items=40, clicks=1500),
        "split": GlobalTime(),
        "model": MF(dim=4, dropout=0.2),
        "sampler": Unseen(3),
        "batches": Shuffled(size=256),
        "fit": plan,
        **changed,
    }
    return Experiment(**parts)


HARD = TopK(Mix({"a": Uniform(12, per="batch"), "b": Popularity(4)}), k=3)


@pytest.mark.parametrize("sampler", [Unseen(3), HARD, Queue(50), TruncatedLoss(HARD, rate=0.3, steps=4)], ids=lambda s: type(s).__name__)
def test_trained_again_every_number_is_the_runs_own(sampler: Any, trained: Trained, tmp_path: Path):
    """With dropout, a schedule that goes back to the best weights, state in the sampler, rows left out; in both phases."""
    made = experiment(sampler=sampler)
    run = made.run(tmp_path / "run", cache=tmp_path)
    for number, phase in ((1, "select"), (2, "refit")):
        came = max(epoch for which, epoch, _ in trained if which == number)
        for epoch, step in ((came, 2), (1, 1)):
            before = trained[number, epoch, step]
            found = replay(run, made, step=step, epoch=epoch, phase=phase, exact=True, cache=tmp_path)  # type: ignore[arg-type]
            assert found.value == before.value
            assert torch.equal(found.scored.draw.ids(), before.ids) and torch.equal(found.scored.negative, before.negative)
    assert len({step.value for step in trained.values()}) > 10


def test_a_step_of_the_run_is_not_what_its_kept_weights_give(trained: Trained, tmp_path: Path):
    """But a draw that does not look at scores is the same, whatever the weights."""
    made = experiment()
    run = made.run(tmp_path / "run", cache=tmp_path)
    before = trained[2, 1, 2]
    found = replay(run, made, step=2, epoch=1, cache=tmp_path)
    assert torch.equal(found.scored.draw.ids(), before.ids)
    assert found.value != before.value
    assert (found.phase, found.epoch, found.held_out) == ("refit", 1, "test")
    assert found.weights.endswith("the draw is that of epoch 1, step 2, had the model been this one")


def test_without_refit_the_weights_of_the_best_epoch_are_taken(trained: Trained, tmp_path: Path):
    """A learning rate of 0 keeps them as they were: then the kept weights are those of the step."""
    still = Fit(epochs=2, optimizer=SGD(lr=1e-30), refit=False, device="cpu")
    made = experiment(fit=still, model=MF(dim=4, init_std=0.5))
    run = made.run(tmp_path / "run", cache=tmp_path)
    found = replay(run, made, step=3, epoch=2, cache=tmp_path)
    assert found.value == trained[1, 2, 3].value
    assert (found.phase, found.held_out) == ("select", "valid") and found.weights.startswith("of the best epoch, 1;")
    assert replay(run, made, step=3, cache=tmp_path).epoch == 1


def test_a_killed_run_is_replayed_from_its_checkpoint(trained: Trained, tmp_path: Path):
    plan = Fit(epochs=3, optimizer=Adam(lr=0.05), checkpoint_seconds=0, device="cpu")
    made = experiment(fit=plan, sampler=Queue(50))

    class Stop:
        def phase(self, *_: Any) -> None: ...
        def epoch(self, *_: Any) -> None: ...
        def say(self, *_: Any) -> None: ...
        def step(self, epoch: int, step: int, *_: Any) -> None:
            if (epoch, step) == (2, 3):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.run(tmp_path / "run", cache=tmp_path, progress=Stop())
    run = Run(tmp_path / "run")
    found = replay(run, made, step=3, cache=tmp_path)
    # the checkpoint after step 2 is the last one: what the queue holds and the weights are those before step 3
    assert found.weights.startswith("of the last checkpoint, after step 2 of epoch 2;")
    assert found.value == trained[1, 2, 3].value == replay(run, made, step=3, epoch=2, exact=True, cache=tmp_path).value
    with pytest.raises(RunError, match="epoch is 3; the phase select of run came to epoch 2"):
        replay(run, made, step=1, epoch=3, exact=True, cache=tmp_path)


def test_the_table_says_by_original_ids_what_was_drawn(tmp_path: Path):
    """Four users, each with five of the items a to i: the last is tested, the one before held out for validation."""
    events = pl.DataFrame(
        [
            (user, item, at)
            for user, items in (("ann", "abcde"), ("bob", "bcdea"), ("cy", "fghai"), ("di", "ihgfc"))
            for at, item in enumerate(items)
        ],
        schema=["user", "item", "time"],
        orient="row",
    )
    made = experiment(
        data=Frame(events, user="user", item="item", time="time", time_unit="s"),
        split=LastN(validation=1),
        sampler=Unseen(6),
        loss=Softmax(),
        fit=Fit(epochs=1, refit=False, device="cpu"),
    )
    run = made.run(tmp_path / "run", cache=tmp_path)
    found = replay(run, made, step=1, cache=tmp_path)
    table = found.table()
    assert len(table) == 12 * 6 and table.columns[:4] == ["row", "user", "target", "target_popularity"]
    train = {"ann": "abc", "bob": "bcd", "cy": "fgh", "di": "ihg"}
    valid = {"ann": "d", "bob": "e", "cy": "a", "di": "f"}
    count = {item: "".join(train.values()).count(item) for item in "abcdefghi"}
    assert sorted(table.unique("row").select("user", "target").rows()) == sorted((user, item) for user in train for item in train[user])
    for line in table.iter_rows(named=True):
        assert line["item"] not in train[line["user"]] and line["valid"]
        assert line["held_out"] == (line["item"] in valid[line["user"]])
        assert line["popularity"] == count[line["item"]] and line["target_popularity"] == count[line["target"]]
    assert table["held_out"].any()
    scores = table["score"].to_torch().view(12, 6)
    losses, positive = table["loss"].to_torch().view(12, 6)[:, 0], table["positive"].to_torch().view(12, 6)[:, 0]
    both = torch.cat([positive[:, None], scores], 1)
    assert torch.allclose(losses, both.logsumexp(1) - positive, atol=1e-6)
    assert found.value == pytest.approx(float(losses.mean()), abs=1e-6)
    assert torch.allclose(table["gradient"].to_torch().view(12, 6), both.softmax(1)[:, 1:] / 12, atol=1e-7)
    free = len(found.fold.items) - 3
    assert table["log_count"].to_torch().exp().tolist() == pytest.approx([6 / free] * 72, rel=1e-5), "also where the loss does not ask"
    assert found.table(2).equals(table.head(12))


def test_rows_left_out_have_their_places_and_rows_without_candidates_a_line_each(tmp_path: Path):
    made = experiment(sampler=TruncatedLoss(Unseen(2), rate=0.5, steps=1), fit=Fit(epochs=1, refit=False, device="cpu"))
    run = made.run(tmp_path / "run", cache=tmp_path)
    found = replay(run, made, step=2, cache=tmp_path)
    assert len(found.table()) == 128 * 2
    rows = found.table()["row"].unique()
    assert len(rows) == 128 and int(rows.max()) > 128  # type: ignore[arg-type]
    made = experiment(sampler=Nothing(), loss=WMF(), examples=LabelledPairs(), fit=Fit(epochs=1, refit=False, device="cpu"))
    run = made.run(tmp_path / "labelled", cache=tmp_path)
    table = replay(run, made, step=1, cache=tmp_path).table()
    assert len(table) == 256 and "item" not in table.columns and set(table["label"].unique()) <= {0.0, 1.0}


def test_what_cannot_be_replayed_is_refused(tmp_path: Path):
    made = experiment()
    run = made.run(tmp_path / "run", cache=tmp_path)
    chosen, steps = len(run.about["selection"]["trace"]), replay(run, made, step=1, cache=tmp_path).steps

    def refused(message: str, on: Run = run, of: Experiment = made, **asked: Any) -> None:
        with pytest.raises(RunError, match=message):
            replay(on, of, **{"step": 1, "cache": tmp_path, **asked})

    refused(rf"step is {steps + 1}; epoch 1 has the steps 1 to {steps}$", epoch=1, step=steps + 1)
    refused(rf"step is {steps + 1}; epoch 1 has the steps", epoch=1, step=steps + 1, exact=True)
    refused(rf"epoch is {chosen + 1}; the phase refit of run came to epoch {chosen}$", epoch=chosen + 1)
    refused("run has kept weights of the phase refit only; add --exact", phase="select")
    closed = experiment(model=Popular(), sampler=None, batches=None)
    refused("popular has no training steps: Popular is solved in closed form", closed.run(tmp_path / "popular", cache=tmp_path), closed)
    plain = experiment(fit=Fit(epochs=1, refit=False, device="cpu"))
    refused(r"plain was not refitted \(fit.refit\)", plain.run(tmp_path / "plain", cache=tmp_path), plain, phase="refit")
    run.about["data"]["fingerprint"] = "another"
    refused("the data have changed since run was trained")


def test_what_the_kept_weights_do_not_hold_is_said(tmp_path: Path):
    made = experiment(sampler=Queue(50), loss=NBPO(dim=4), fit=Fit(epochs=1, device="cpu"))
    run = made.run(tmp_path / "run", cache=tmp_path)
    (note,) = replay(run, made, step=1, cache=tmp_path).notes
    assert note.startswith("the loss's parameters are and the sampler's memory is as before the first step")
    assert replay(run, made, step=1, exact=True, cache=tmp_path).notes == []
    plain = experiment(fit=Fit(epochs=1, device="cpu"))
    assert replay(plain.run(tmp_path / "plain", cache=tmp_path), plain, step=1, cache=tmp_path).notes == []


def test_another_number_of_threads_is_said(tmp_path: Path):
    made = experiment(fit=Fit(epochs=1, refit=False, device="cpu"))
    run = made.run(tmp_path / "run", cache=tmp_path)
    assert replay(run, made, step=1, exact=True, cache=tmp_path).notes == []
    torch.set_num_threads(2)
    (note,) = replay(run, made, step=1, exact=True, cache=tmp_path).notes
    assert note == "not the same as when it was trained: threads; numbers may differ in the last bits"
