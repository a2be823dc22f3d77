"""The training loop: what it records, when it stops, and that a replay does the same again."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys import Fit, RunError
from recsys.batch import Batch
from recsys.batching import Shuffled
from recsys.data.log import Log
from recsys.learner import Learner
from recsys.losses import BPR, Softmax
from recsys.models import MF
from recsys.optimizers import SGD, Adam, LazyAdam
from recsys.part import build, fingerprint, spec
from recsys.penalties import FullTable
from recsys.sampling import Mix, Popularity, TopK, Uniform, Unseen
from recsys.schedules import PlateauDecay, StepDecay
from recsys.scorer import DotScorer
from recsys.testing import worlds


class DropoutMF(MF):
    """MF with dropout on its queries: something random inside the model."""

    def forward(self, batch: Batch) -> DotScorer:
        score = super().forward(batch)
        return DotScorer(nn.functional.dropout(score.query, 0.3, self.training), score.table, score.target)


def learner(plan: Fit | None = None, replay: Any = None, **changed: Any) -> Learner:
    parts = {"model": DropoutMF(dim=8), "batches": Shuffled(size=32), "sampler": Unseen(2), "loss": BPR(), **changed}
    return Learner(**copy.deepcopy(parts), fit=copy.deepcopy(plan or Fit(epochs=6, optimizer=Adam(lr=0.02), device="cpu")), replay=replay)


def train(made: Learner, values: list[float], log: Log | None = None) -> list[float]:
    """Run to the end, with scripted validation values; the learning rates of the epochs."""
    rates, script = [], iter(values)
    for epoch in made.fit(log or worlds.users()):
        rates.append(made.optimizer.param_groups[0]["lr"])
        if epoch.validate:
            epoch.value = next(script)
    return rates


def weights(made: Learner) -> list[Tensor]:
    return [value.clone() for value in made.step.model.state_dict().values()]


def equal(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_it_stops_by_patience_and_keeps_the_earliest_best():
    made = learner(Fit(epochs=20, patience=3, device="cpu"))
    train(made, [0.1, 0.3, 0.2, 0.3, 0.3 - 1e-12, 0.9])
    assert [entry["epoch"] for entry in made.trace] == [1, 2, 3, 4, 5]
    assert (made.best["epoch"], made.best["value"]) == (2, 0.3)
    assert len(made.best_trace()) == 2


def test_validation_is_asked_for_as_planned_and_always_at_the_end():
    made = learner(Fit(epochs=7, validate_every=3, patience=None, device="cpu"))
    assert [epoch.epoch for epoch in made.fit(worlds.users()) if epoch.validate] == [3, 6, 7]


def test_a_learner_is_usable_after_every_epoch_and_best_weights_come_back():
    made, seen = learner(Fit(epochs=3, patience=None, device="cpu")), {}
    for epoch in made.fit(worlds.users()):
        epoch.value = {1: 0.2, 2: 0.5, 3: 0.1}[epoch.epoch]
        seen[epoch.epoch] = made.scores(worlds.users().histories())
    assert not torch.equal(seen[2], seen[3])
    made.use_best()
    assert torch.equal(made.scores(worlds.users().histories()), seen[2])


def test_plateau_decay_lowers_the_rate_and_goes_back_to_the_best_weights():
    plan = Fit(epochs=6, optimizer=SGD(lr=1.0), schedule=PlateauDecay(factor=0.1, patience=2), patience=None, device="cpu")
    made = learner(plan)
    rates = train(made, [0.5, 0.4, 0.4, 0.6, 0.1, 0.1])
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1])
    assert [entry["reload"] for entry in made.trace] == [0, 0, 0, 1, 0, 0]


def test_step_decay():
    plan = Fit(epochs=5, optimizer=SGD(lr=1.0), schedule=StepDecay(epochs=2, factor=0.5), patience=None, device="cpu")
    assert train(learner(plan), [0.1] * 5) == pytest.approx([1, 1, 0.5, 0.5, 0.25])


@pytest.mark.parametrize("reload", [True, False])
def test_a_replay_on_the_same_data_reaches_the_best_weights_bit_for_bit(reload: bool):
    """Through learning-rate changes and reloads, with dropout."""
    plan = Fit(
        epochs=9, optimizer=Adam(lr=0.05), schedule=PlateauDecay(factor=0.3, patience=1, reload_best=reload), patience=None, device="cpu"
    )
    first = learner(plan)
    train(first, [0.1, 0.5, 0.3, 0.55, 0.2, 0.2, 0.7, 0.1, 0.1])
    assert first.best["epoch"] == 7 and any(entry["reload"] for entry in first.best_trace()) == reload
    first.use_best()
    second = learner(plan, replay=first.best_trace())
    train(second, [])
    assert equal(weights(first), weights(second))
    assert second.trace == first.best_trace()


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not():
    runs = []
    for seed in (0, 0, 1):
        torch.rand(17)  # what happened before must not matter
        made = Learner(
            model=DropoutMF(dim=8), batches=Shuffled(size=32), sampler=Unseen(2), loss=BPR(), fit=Fit(epochs=2, device="cpu"), seed=seed
        )
        train(made, [0.1, 0.2])
        runs.append(weights(made))
    assert equal(runs[0], runs[1]) and not equal(runs[0], runs[2])


def test_thread_counts_change_weights_by_rounding_only():
    runs = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made = learner(model=MF(dim=8), sampler=TopK(Mix({"a": Uniform(50, per="batch"), "b": Popularity(8)}), k=6), loss=Softmax())
        train(made, [0.1] * 6)
        runs.append(weights(made))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*runs, strict=True))


def test_clipping_bounds_what_a_step_moves():
    moved = {}
    for clip in (None, 1e-3):
        made = learner(
            Fit(epochs=1, optimizer=SGD(lr=1.0), clip=clip, device="cpu"), model=MF(dim=8, init_std=1.0), batches=Shuffled(size=10_000)
        )
        made.setup(worlds.users())
        before = weights(made)
        train(made, [0.1])
        moved[clip] = float(torch.cat([(a - b).flatten() for a, b in zip(before, weights(made), strict=True)]).norm())
    assert moved[None] > 0.01
    assert moved[1e-3] == pytest.approx(1e-3, rel=0.02)


def test_row_weights_of_the_log_count():
    log = worlds.users()
    heavy = Log(log.items, log.offsets, log.num_items, weight=torch.where(log.items < 30, 0.0, 1.0))
    plan = Fit(epochs=1, optimizer=SGD(lr=1.0), denominator="sum", device="cpu")
    made = learner(plan, model=MF(dim=8, init_std=1.0), sampler=Unseen(1), batches=Shuffled(size=10_000)).setup(heavy)
    before = made.step.model.user.weight.detach().clone()
    train(made, [0.1], heavy)
    still = (made.step.model.user.weight.detach() == before).all(1)
    only_light = torch.tensor([bool((log.items[log.offsets[u] : log.offsets[u + 1]] < 30).all()) for u in range(log.num_owners)])
    assert torch.equal(still, only_light) and bool(only_light.any())


def test_nan_validation_and_logs_too_small_are_refused():
    with pytest.raises(RunError, match="the validation value of epoch 1 is nan"):
        train(learner(), [float("nan")])
    with pytest.raises(RunError, match="the training log has 1 events of 1 items"):
        learner().setup(Log(torch.zeros(1, dtype=torch.int32), torch.tensor([0, 1]), 1))


def test_checkpoints_are_written_by_the_clock_also_between_short_epochs(monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("recsys.learner.time.perf_counter", lambda: next(clock) / 10)
    made, saved = learner(Fit(epochs=12, patience=None, checkpoint_seconds=2.0, device="cpu"), batches=Shuffled(size=10_000)), []
    made.on_checkpoint = lambda: saved.append(made.trace[-1]["epoch"])
    train(made, [0.1] * 12)
    assert len(saved) >= 2 and saved[-1] > saved[0]


def test_a_sampler_refreshed_from_the_model_is_resumed_with_what_it_had():
    class FrozenNorms(Unseen):
        """Keeps the norms of the item vectors as they were when the epoch began, and draws candidates by them."""

        def setup(self, catalog: Any) -> None:
            self.register_buffer("norms", torch.ones(catalog.num_items))

        def begin_epoch(self, view: Any) -> None:
            self.norms = view.model.item.weight.detach().norm(dim=1)

        def forward(self, view: Any) -> Any:
            return TopK.refine(TopK(self, k=1), replace(view, score=FixedScores(self.norms)), super().forward(view))

    class FixedScores:
        def __init__(self, values: Tensor) -> None:
            self.values = values

        def __call__(self, pool: Any) -> Tensor:
            return self.values[pool.ids()]

    def made() -> Learner:
        return learner(Fit(epochs=3, patience=None, checkpoint_seconds=0, device="cpu"), sampler=FrozenNorms(4), model=MF(dim=8))

    whole = made()
    states: list[Any] = []
    whole.on_checkpoint = lambda: states.append(copy.deepcopy(whole.state()))
    train(whole, [0.1] * 3)
    middle = next(state for state in states if state["done"]["epoch"] == 1 and state["done"]["step"] == 5)
    resumed = made().setup(worlds.users())
    resumed.load_state(middle)
    train(resumed, [0.1] * 3)
    assert equal(weights(whole), weights(resumed))


def test_scores_are_made_in_evaluation_mode():
    class Noisy(MF):
        def queries(self, histories: Any) -> Any:
            score, model = super().queries(histories), self

            class Late:
                def __call__(self, pool: Any) -> Tensor:
                    return nn.functional.dropout(score(pool), 0.5, model.training)

            return Late()

    made = learner(model=Noisy(dim=4))
    train(made, [0.1] * 6)
    asked = worlds.users().histories()
    assert torch.equal(made.scores(asked), made.scores(asked)) and made.vectors(asked) is None


def test_specs_round_trip_and_tell_configurations_apart():
    part = TopK(Mix({"a": Uniform(3), "b": Popularity(4, power=1.0)}), k=2)
    described = spec(part)
    assert described["class_path"] == "recsys.sampling.TopK"
    assert described["init_args"]["base"]["init_args"]["parts"]["b"]["init_args"] == {
        "num": 4,
        "power": 1.0,
        "per": "row",
        "exclude": "positive",
    }
    assert spec(build(described)) == described and fingerprint(build(described)) == fingerprint(part)
    assert spec(MF(dim=np.int64(8))) == spec(MF(dim=8)) != spec(MF(dim=np.int64(9)))
    assert fingerprint(TopK(Mix({"a": Uniform(3), "b": Popularity(4, power=0.9)}), k=2)) != fingerprint(part)

    class Forgetful(Uniform):
        def __init__(self, num: int = 1, *, extra: int = 2) -> None:
            super().__init__(num)

    with pytest.raises(TypeError, match="Forgetful does not keep its argument 'extra'"):
        spec(Forgetful())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "epochs is 0; it is at least 1"),
        ({"patience": 0}, "patience is 0"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"denominator": "mean"}, "denominator is 'mean'; allowed are"),
        ({"device": "tpu"}, "device is 'tpu'; allowed are"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds is -1"),
        ({"optimizer": "adam"}, "optimizer is 'adam', a str; it is a Optimizer, for instance from recsys.optimizers"),
        ({"penalty": FullTable(), "optimizer": LazyAdam()}, "FullTable moves every row, LazyAdam the touched ones only; use Adam"),
    ],
)
def test_wrong_values_of_the_plan_are_refused(wrong: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        Fit(**wrong)
