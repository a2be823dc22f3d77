"""The learner: trains a model by steps, one epoch at a time, and is a recommender after each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recsys.batch import Batch
from recsys.batching import Batches
from recsys.catalog import Catalog
from recsys.data.log import Holdout, Log
from recsys.errors import RunError
from recsys.examples import Examples
from recsys.fit import Fit
from recsys.losses import Loss
from recsys.memory import keep_freed
from recsys.models import Model
from recsys.optimizers.row_adam import summed
from recsys.part import Part
from recsys.randomness import reseed_global
from recsys.recommender import Epoch, Trained
from recsys.sampling import Sampler
from recsys.step import Step

State = dict[str, Any]
Trace = list[dict[str, float]]


class NonFiniteLoss(RunError):
    """Training met a loss that is nan or infinite. ``dump``: the batch, its candidates and scores, as tensors."""

    def __init__(self, message: str, dump: dict[str, Tensor]) -> None:
        super().__init__(message)
        self.dump = dump


class Learner(Trained):
    """A :class:`recsys.recommender.Trainable` of model x batches x sampler x loss.

    :meth:`fit` is a generator: stopping, pruning and logging are plain Python around it. The caller sets ``epoch.value`` where
    ``epoch.validate`` asks for it; the learner then keeps the best weights (by the unrounded value, the earliest among equals),
    changes learning rates, and stops by patience.

    ``trace`` records what each epoch did: ``factor``, the multiple of the learning rates, and ``reload``, the epoch whose weights
    were loaded before it (0: none). A learner given ``replay=trace`` does the same without validation: this is how a model is
    refitted on train + validation.

    Args:
        examples: the rows to learn from, not loaded yet; those that the model reads if not given.
        held_out: the validation part, for the diagnostics of the sampler to count by; nothing is learnt from it.
        on_batch: called before every step with its batch, epoch and number (from 0). It may raise, to stop there: :meth:`rehearse` then
            does the step without moving anything.
        on_step: called after every step with (epoch, step, steps, mean loss of the epoch so far, rows so far).
        on_checkpoint: called every ``fit.checkpoint_seconds`` after a step; :meth:`state` is then everything that training needs to go on.
    """

    def __init__(
        self,
        *,
        model: Model,
        batches: Batches,
        sampler: Sampler,
        loss: Loss,
        fit: Fit,
        examples: Examples | None = None,
        seed: int = 0,
        replay: Trace | None = None,
        held_out: Holdout | None = None,
        on_batch: Callable[[Batch, int, int], None] | None = None,
        on_step: Callable[[int, int, int, float, int], None] | None = None,
        on_checkpoint: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(model)
        self.plan, self.seed, self.replay, self.held_out = fit, seed, replay, held_out
        self.on_batch, self.on_step, self.on_checkpoint = on_batch, on_step, on_checkpoint
        self.device = fit.torch_device()
        self.step = Step(model, batches, sampler, loss, fit.penalty, fit.denominator, seed, fit.diagnostics)
        self.examples = model.examples() if examples is None else examples
        self.optimizer: torch.optim.Optimizer
        self.trace: Trace = []
        self.best: State = {"epoch": 0, "value": -math.inf}
        self._snapshots: dict[int, State] = {}
        self._done = {"epoch": 0, "step": 0, "rows": 0, "loss": 0.0, "seconds": 0.0}  # whole epochs, and the share of the next one
        self._factor, self._reload, self._since_best, self._since_change = 1.0, 0, 0, 0
        self._saved, self._saving = time.perf_counter(), 0.0  # when the last checkpoint was written, and how long that took

    # ------------------------------------------------------------------------------------------------ setting up
    def setup(self, train: Log) -> Learner:
        """Make parameters for a training log, from the seed. :meth:`fit` calls it where nobody has."""
        if train.num_items < 2 or not len(train):
            raise RunError(
                f"the training log has {len(train)} events of {train.num_items} items; learning to rank needs at least 1 event and 2 items"
            )
        examples = self.examples
        examples.load(train)
        if not len(examples):
            raise RunError(f"{type(examples).__name__} makes no example of this training log; a sequence needs at least 2 events")
        keep_freed()
        reseed_global(self.seed, "init")
        self.step.setup(Catalog(train, self.device), examples, self.held_out).to(self.device)
        sparse = self.plan.optimizer.wants_rows(self.device)
        for module in self.step.modules():
            if isinstance(module, nn.Embedding):
                module.sparse = sparse
        named = [(name, p) for name, p in self.step.named_parameters() if p.requires_grad]
        self.optimizer = self.plan.optimizer.make(named)
        return self

    @property
    def is_set_up(self) -> bool:
        return hasattr(self.step, "catalog")

    def epochs(self) -> int:
        """The largest number of epochs this learner runs."""
        return self.plan.epochs if self.replay is None else len(self.replay)

    # ------------------------------------------------------------------------------------------------ training
    def fit(self, train: Log) -> Iterator[Epoch]:
        """Train; yields after every epoch. A learner with a loaded :meth:`state` goes on from it."""
        if not self.is_set_up:
            self.setup(train)
        elif train.fingerprint != self.step.catalog.fingerprint:
            raise RunError("this learner was set up for another training log; make a new one")
        self._saved = time.perf_counter()
        while not self.finished():
            if self._done["step"] == 0:
                self._begin_epoch()
            epoch = self._run_epoch()
            yield epoch
            self._end_epoch(epoch)
            self._checkpoint()

    def finished(self) -> bool:
        """Whether the last epoch has been run, or patience is at its end."""
        if self._done["epoch"] >= self.epochs():
            return True
        return self.replay is None and self.plan.patience is not None and self._since_best >= self.plan.patience

    def _begin_epoch(self) -> None:
        epoch = int(self._done["epoch"])
        if self.replay is not None:
            self._factor, self._reload = float(self.replay[epoch]["factor"]), int(self.replay[epoch]["reload"])
            if self._reload:
                self._load_weights(self._snapshots[self._reload])
        self.trace.append({"epoch": epoch + 1, "factor": self._factor, "reload": self._reload})
        self._reload = 0

    def _run_epoch(self) -> Epoch:
        done, step = self._done, self.step
        epoch, started = int(done["epoch"]) + 1, time.perf_counter() - done["seconds"]
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * self._factor
        step.train()
        step.begin_epoch(epoch, resumed=done["step"] > 0)
        steps = len(step.batches.plan)
        while done["step"] < steps:
            at = int(done["step"])
            batch = step.examples.batch(step.batches.plan[at].to(self.device))
            if self.on_batch is not None:
                self.on_batch(batch, epoch, at)
            value, rows = self._one_step(batch, epoch, at)
            done["loss"] += value * (1 if self.plan.denominator == "sum" else rows)
            done["rows"] += rows
            done["step"] += 1
            if self.on_step is not None:
                self.on_step(epoch, at + 1, steps, done["loss"] / max(done["rows"], 1), int(done["rows"]))
            done["seconds"] = time.perf_counter() - started
            self._checkpoint()
        seconds = time.perf_counter() - started
        due = self.replay is None and (epoch % self.plan.validate_every == 0 or epoch == self.epochs())
        found = Epoch(epoch, done["loss"] / max(done["rows"], 1), seconds, int(done["rows"]), validate=due, figures=step.figures())
        for path, part in step.named_modules():
            if isinstance(part, Part):
                found.figures |= {f"{path}.{name}": value for name, value in part.figures().items()}
                found.remarks += part.remarks()
        return found

    def _checkpoint(self) -> None:
        begun, wait = time.perf_counter(), self.plan.checkpoint_seconds
        if self.on_checkpoint is not None and begun - self._saved >= (wait and max(wait, 20 * self._saving)):  # at most 5 % of the time
            self.on_checkpoint()
            self._saved = time.perf_counter()
            self._saving = self._saved - begun

    def _one_step(self, batch: Batch, epoch: int, at: int) -> tuple[float, int]:
        """The loss, and the number of rows learnt from: a sampler may keep some only."""
        reseed_global(self.seed, "step", epoch, at, device=self.device)  # dropout takes no generator
        value = self.step(batch, epoch, at)
        number, rows = float(value.detach()), len(batch) if self.step.scored is None else len(self.step.scored.batch)
        if not math.isfinite(number):
            raise NonFiniteLoss(f"the loss is {number} at epoch {epoch}, step {at + 1}; a smaller learning rate often helps", self._dump())
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        if self.plan.clip is not None:
            self._clip(self.plan.clip)
        self.optimizer.step()
        self.step.end_step()
        return number, rows

    def rehearse(self, batch: Batch, epoch: int, at: int) -> float:
        """Step ``at`` of an epoch as training does it, but for the update; the value that it minimises. What model, sampler and loss made
        of the batch is left in ``step.view`` and ``step.scored``; ``step.scored.negative.grad`` is the slope of the value by each score."""
        self.step.train()
        reseed_global(self.seed, "step", epoch, at, device=self.device)
        value = self.step(batch, epoch, at)
        if self.step.scored is not None and self.step.scored.negative.requires_grad:
            self.step.scored.negative.retain_grad()
        value.backward()
        self.step.zero_grad(set_to_none=True)
        return float(value.detach())

    def _clip(self, largest: float) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        for p in parameters:
            if p.grad is not None and p.grad.is_sparse:
                p.grad = summed(p.grad)  # repeated rows must be one before a norm is taken
        grads = [p.grad._values() if p.grad.is_sparse else p.grad for p in parameters if p.grad is not None]
        norm = torch.stack([g.norm() for g in grads]).norm()
        for g in grads:
            g.mul_((largest / (norm + 1e-6)).clamp(max=1))

    def _end_epoch(self, epoch: Epoch) -> None:
        self._done = {"epoch": epoch.epoch, "step": 0, "rows": 0, "loss": 0.0, "seconds": 0.0}
        if self.replay is not None:
            if epoch.epoch in {int(entry["reload"]) for entry in self.replay}:
                self._snapshots[epoch.epoch] = self._weights()
            return
        if epoch.value is not None:
            if math.isnan(epoch.value):
                raise RunError(f"the validation value of epoch {epoch.epoch} is nan; nothing can be selected by it")
            if epoch.value > self.best["value"]:
                self.best = {"epoch": epoch.epoch, "value": epoch.value, "weights": self._weights()}
                self._since_best = self._since_change = 0
            else:
                self._since_best += 1
                self._since_change += 1
        if self.plan.schedule is not None:
            decision = self.plan.schedule.decide(epoch.epoch, self._factor, self._since_change)
            if decision.factor != self._factor:
                self._factor, self._since_change = decision.factor, 0
            if decision.reload_best and self.best["epoch"] not in (0, epoch.epoch):
                self._reload = int(self.best["epoch"])
                self._load_weights(self.best["weights"])

    def _dump(self) -> dict[str, Tensor]:
        scored = self.step.scored
        if scored is None:
            return {}
        extra = {"positive": scored.positive, "negative": scored.negative, "candidates": scored.draw.ids()}
        return {name: value.detach().cpu() for name, value in {**scored.batch.tensors(), **extra}.items()}

    # ------------------------------------------------------------------------------------------------ state
    def _weights(self) -> State:
        return {part: {k: v.detach().clone() for k, v in getattr(self.step, part).state_dict().items()} for part in ("model", "loss")}

    def _load_weights(self, weights: State) -> None:
        for part in ("model", "loss"):
            getattr(self.step, part).load_state_dict(weights[part])

    def use_best(self) -> None:
        """Load the weights of the best validated epoch, if there is one."""
        if self.best["epoch"]:
            self._load_weights(self.best["weights"])

    def best_trace(self) -> Trace:
        """What the best epoch took: the trace up to it (the whole trace where nothing was validated)."""
        return self.trace[: int(self.best["epoch"]) or len(self.trace)]

    def state(self) -> State:
        """Everything that training needs to go on from here: tensors, numbers and text only."""
        progress = {"factor": self._factor, "reload": self._reload, "since_best": self._since_best, "since_change": self._since_change}
        return {
            "step": self.step.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "trace": self.trace,
            "snapshots": self._snapshots,
            "done": dict(self._done),
            "progress": progress,
        }

    def load_state(self, state: State) -> None:
        """Go on from a :meth:`state`; the learner must be set up for the same training log and configured alike."""
        self.step.load_state_dict(state["step"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best, self.trace, self._snapshots, self._done = state["best"], state["trace"], state["snapshots"], dict(state["done"])
        progress = state["progress"]
        self._factor, self._reload = progress["factor"], progress["reload"]
        self._since_best, self._since_change = progress["since_best"], progress["since_change"]
