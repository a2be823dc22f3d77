"""One training step of a stored run, done again: its batch, candidates, scores and losses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl
import torch
from torch import Tensor

from recsys import environment
from recsys.batch import Batch
from recsys.catalog import contains
from recsys.data.log import Fold, Log, Prepared
from recsys.diagnostics import pairs_of
from recsys.errors import RunError
from recsys.experiment import Experiment
from recsys.learner import Learner
from recsys.metrics import metric
from recsys.progress import Progress, Silent
from recsys.randomness import generator
from recsys.run import Run, read_stored
from recsys.run_folder import HISTORY, MODEL, PROGRESS, RunFolder
from recsys.step import Scored

Phase = Literal["select", "refit"]


@dataclass(frozen=True)
class Replayed:
    """A training step.

    Attributes:
        phase, epoch, step: which one; epochs and steps count from 1. ``steps``: of its epoch.
        weights: in words, whose the weights are.
        value: what the step minimises, to the bit that of the run where it was trained again on the same machine and versions.
        held_out: the part whose pairs the table marks: "valid", or "test" where validation is part of the training log.
        notes: what the reader must know.
    """

    phase: Phase
    epoch: int
    step: int
    steps: int
    weights: str
    value: float
    held_out: str
    notes: list[str]
    scored: Scored
    losses: Tensor
    log_count: Tensor | None
    fold: Fold

    def table(self, rows: int | None = None) -> pl.DataFrame:
        """A line for each candidate of the first ``rows`` rows of the batch (all if not given), with the original ids.

        Of the row: ``row`` (its position in the batch), ``user`` or ``session``, ``target``, ``target_popularity`` (training events),
        ``label`` and ``weight`` where rows have them, ``positive`` (the target's score), ``loss``. Of the candidate, null where there is
        none: ``item``, ``popularity``, ``valid``, ``held_out``, ``score``, ``log_count`` and ``share`` where the sampler gives them,
        ``gradient`` (the slope of the step's value by its score).
        """
        number = len(self.losses) if rows is None else min(rows, len(self.losses))
        kept, width = torch.arange(number, device=self.losses.device), self.scored.negative.shape[1]
        batch, draw, train = self.scored.batch.take(kept), self.scored.draw.take(kept), self.fold.train
        position = kept if self.scored.draw.rows is None else self.scored.draw.rows[:number]
        columns: dict[str, Tensor | pl.Series] = {
            "row": position,
            train.owner_kind: self.fold.owners[batch.owner.cpu().numpy()],
            "target": self.fold.items[batch.target.cpu().numpy()],
            "target_popularity": train.counts[batch.target.cpu()],
        }
        weight = _product(batch.weight, draw.weight)
        of_rows = {"label": batch.label, "weight": weight, "positive": self.scored.positive[kept], "loss": self.losses[kept]}
        columns |= {name: value for name, value in of_rows.items() if value is not None}
        lines = {name: _series(name, value) for name, value in columns.items()}
        if width:
            ids = draw.ids().expand(number, -1)
            pair = batch.owner[:, None] * train.num_items + ids
            log_count = None if self.log_count is None else self.log_count if len(self.log_count) == 1 else self.log_count[kept]
            gradient = self.scored.negative.grad if self.scored.negative.retains_grad else None
            of_candidates = {
                "popularity": train.counts[ids.cpu()],
                "valid": torch.ones_like(ids, dtype=torch.bool) if draw.valid is None else draw.valid,
                "held_out": contains(self._wanted.to(pair.device), pair),
                "score": self.scored.negative[kept],
                "log_count": log_count,
                "share": draw.share,
                "gradient": None if gradient is None else gradient[kept],
            }
            repeated = torch.arange(number).repeat_interleave(width).numpy()
            lines = {name: value[repeated] for name, value in lines.items()}
            lines["item"] = self.fold.items[ids.cpu().flatten().numpy()].alias("item")
            lines |= {n: _series(n, x.expand(number, width).flatten()) for n, x in of_candidates.items() if x is not None}
        return pl.DataFrame(list(lines.values()))

    @cached_property
    def _wanted(self) -> Tensor:
        return pairs_of(self.fold.holdouts[self.held_out], self.fold.train.num_items)


def replay(
    run: Run,
    experiment: Experiment,
    *,
    step: int,
    epoch: int | None = None,
    phase: Phase | None = None,
    exact: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Replayed:
    """Do a training step of a stored run again, without moving anything; the run may be finished or not.

    Batches and draws follow from the seed, the epoch and the step. The weights at that step are not kept: those that are kept take their
    place, so a sampler that looks at scores may choose otherwise than it did. With ``exact`` the run is trained again up to the step, by
    its recorded validation values and learning rates, and every number is the run's own.

    Args:
        experiment: that of the run.
        step: from 1.
        epoch: from 1; that of the kept weights if not given.
        phase: that of the kept weights if not given.
        cache: where prepared data are kept.
        progress: told how far training again has come.

    Raises:
        RunError: there is no such step, the data have changed, or no weights are kept.
    """
    if experiment.sampler is None:
        raise RunError(f"{run.id} has no training steps: {type(experiment.model).__name__} is solved in closed form")
    if phase == "refit" and not experiment.fit.refit:
        raise RunError(f"{run.id} was not refitted (fit.refit); its only phase is select")
    stored = _Stored(run, experiment)
    kept = stored.kept()
    if not exact and (kept is None or phase not in (None, kept.phase)):
        there = "no weights yet" if kept is None else f"weights of the phase {kept.phase} only"
        raise RunError(f"{run.id} has kept {there}; add --exact to train again up to the step")
    phase = phase or (kept.phase if kept is not None else "select")
    epoch = epoch or (kept.epoch if kept is not None and phase == kept.phase else 1)
    stored.check(phase, epoch)
    fold, held_out = stored.fold(phase, experiment.prepare(cache=cache))
    learner = experiment.recommender(replay=stored.trace() if phase == "refit" else None)
    assert isinstance(learner, Learner)
    learner.setup(fold.train)
    notes = []
    if exact:
        progress = progress or Silent()
        progress.phase("replay", epoch)
        learner.on_step = progress.step
        batch = _train_to(learner, fold.train, epoch, step, stored.values(phase), progress)
        weights = "trained again up to this step: the run's own"
        if changed := environment.changes(run.about["environment"], environment.facts()):
            notes.append(f"not the same as when it was trained: {', '.join(changed)}; numbers may differ in the last bits")
    else:
        assert kept is not None
        going_on = kept.load(learner) == epoch
        if kept.alone and (fresh := _fresh(learner)):
            notes.append(f"{fresh} as before the first step, since model.pt has the model alone; --exact trains them too")
        learner.step.begin_epoch(epoch, resumed=going_on)
        _check_step(learner, epoch, step)
        batch = learner.step.examples.batch(learner.step.batches.plan[step - 1].to(learner.device))
        weights = f"{kept.words}; the draw is that of epoch {epoch}, step {step}, had the model been this one"
    value = learner.rehearse(batch, epoch, step - 1)
    scored = learner.step.scored
    assert scored is not None
    with torch.no_grad():
        losses = learner.step.loss(scored)
    steps, counts = len(learner.step.batches.plan), _log_count(learner, epoch, step)
    return Replayed(phase, epoch, step, steps, weights, value, held_out, notes, scored, losses, counts, fold)


def _fresh(learner: Learner) -> str:
    """In words, what a step has learnt or remembers besides its model."""
    step = learner.step
    parts = {"the loss's parameters are": bool(list(step.loss.parameters())), "the sampler's memory is": bool(step.sampler.state_dict())}
    return " and ".join(words for words, there in parts.items() if there)


@dataclass(frozen=True)
class _Kept:
    """Weights that a run has left, and the epoch that they belong to. ``load`` puts them into a learner; it returns the epoch that the
    learner is in the middle of, 0 if none. ``alone``: of the model, without what loss and sampler have learnt."""

    phase: Phase
    epoch: int
    words: str
    load: Callable[[Learner], int]
    alone: bool = True


class _Stored:
    """What a run has left of its training."""

    def __init__(self, run: Run, experiment: Experiment) -> None:
        self.run, self.experiment = run, experiment
        path = run.folder / HISTORY
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self.history = [json.loads(line) for line in lines]
        self.progress = RunFolder(run.folder).progress() or {}

    def kept(self) -> _Kept | None:
        """The model that was tested; before there is one, the last checkpoint."""
        if (self.run.folder / MODEL).is_file():
            if self.experiment.fit.refit:
                epoch = len(self.trace())
                return _Kept("refit", epoch, f"as they were tested, after {epoch} epochs on train + validation", self._load_model)
            epoch = int(self.run.about["selection"]["epoch"]) or self._epochs("select")
            return _Kept("select", epoch, f"of the best epoch, {epoch}", self._load_model)
        learner = self.progress.get("learner")
        if learner is None:
            return None
        done = learner["done"]
        whole, steps = int(done["epoch"]), int(done["step"])
        after = f"step {steps} of epoch {whole + 1}" if steps else f"epoch {whole}"
        return _Kept(self.progress["phase"], whole + 1, f"of the last checkpoint, after {after}", self._load_checkpoint, alone=False)

    def _load_model(self, learner: Learner) -> int:
        try:
            learner.step.model.load_state_dict(read_stored(self.run.folder)["state"])
        except RuntimeError:
            raise RunError(f"{self.run.folder / MODEL} does not fit the experiment of {self.run.id}; restore both, or train anew") from None
        return 0

    def _load_checkpoint(self, learner: Learner) -> int:
        try:
            learner.load_state(self.progress["learner"])
        except (RuntimeError, KeyError):
            path = self.run.folder / PROGRESS
            raise RunError(f"{path} does not fit the experiment of {self.run.id}, or is of another version; add --exact") from None
        done = self.progress["learner"]["done"]
        return int(done["epoch"]) + 1 if done["step"] else 0

    def trace(self) -> list[dict[str, float]]:
        """What refitting replays."""
        selection = self.run.about.get("selection")
        if selection is None:
            raise RunError(f"{self.run.id} has not chosen an epoch yet, so it was not refitted; its only phase is select")
        return list(selection["trace"])

    def values(self, phase: Phase) -> dict[int, float]:
        """The validation value of each epoch that had one."""
        name = f"{self.experiment.fit.select_on}/{metric(self.experiment.evaluation.select).name}"
        return {record["epoch"]: record[name] for record in self.history if record["phase"] == phase and name in record}

    def _epochs(self, phase: Phase) -> int:
        return sum(record["phase"] == phase for record in self.history)

    def check(self, phase: Phase, epoch: int) -> None:
        """Refuse an epoch that the run did not come to."""
        begun = self.progress.get("phase", "select") == phase and self.run.about["status"] != "finished"
        came = min(self._epochs(phase) + begun, self.experiment.fit.epochs)
        if not 1 <= epoch <= came:
            raise RunError(f"epoch is {epoch}; the phase {phase} of {self.run.id} came to epoch {came}")

    def fold(self, phase: Phase, data: Prepared) -> tuple[Fold, str]:
        """What the phase trains on, and the part that is held out of it."""
        known = self.run.about.get("data")
        if known is None:
            raise RunError(f"{self.run.id} stopped before its data were ready; continue it with --resume")
        if data.fingerprint != known["fingerprint"]:
            raise RunError(f"the data have changed since {self.run.id} was trained; its steps cannot be made again, train it anew")
        data = self.experiment.with_noise(data)
        on_train = phase == "select" and self.experiment.fit.select_on == "valid"
        return (data.select, "valid") if on_train else (data.refit, "test")


class _Reached(Exception):
    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.batch = batch


def _train_to(learner: Learner, train: Log, epoch: int, step: int, values: Mapping[int, float], progress: Progress) -> Batch:
    """Train up to a step; its batch."""

    def stop(batch: Batch, of_epoch: int, at: int) -> None:
        if of_epoch == epoch:
            if at == 0:
                _check_step(learner, epoch, step)
            if at == step - 1:
                raise _Reached(batch)

    learner.on_batch = stop
    try:
        for done in learner.fit(train):
            if done.validate:
                done.value = values[done.epoch]
            progress.epoch({"phase": "replay", "epoch": done.epoch, "loss": done.loss, "rows": done.rows, "seconds": done.seconds})
    except _Reached as reached:
        return reached.batch
    raise RunError(f"trained again, the run ends before epoch {epoch}: its history is not that of this configuration")


def _check_step(learner: Learner, epoch: int, step: int) -> None:
    steps = len(learner.step.batches.plan)
    if not 1 <= step <= steps:
        raise RunError(f"step is {step}; epoch {epoch} has the steps 1 to {steps}")


def _log_count(learner: Learner, epoch: int, step: int) -> Tensor | None:
    """[R | 1, K]: the expected counts of the step's draw, also where nobody asked for them while training; None where they are unknown."""
    made, view = learner.step, learner.step.view
    assert made.draw is not None and view is not None
    have = made.batches.gives(set()) | made.examples.gives(set())
    if made.draw.log_count is not None or not made.draw.width or "log_count" not in made.sampler.gives(have):
        return made.draw.log_count
    stream = generator(learner.seed, "draw", epoch, step - 1, device=view.batch.target.device)
    with torch.no_grad():
        again = made.sampler(replace(view, counts=True, generator=stream))  # pure: the same draw
    found: Tensor | None = again.log_count
    return found


def _product(one: Tensor | None, two: Tensor | None) -> Tensor | None:
    return two if one is None else one if two is None else one * two


def _series(name: str, value: Tensor | pl.Series) -> pl.Series:
    return value.alias(name) if isinstance(value, pl.Series) else pl.Series(name, value.detach().cpu().numpy())
