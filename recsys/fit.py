"""How a model is trained: the knobs that belong to no model, sampler or loss."""

from __future__ import annotations

from typing import Literal

import torch

from recsys.errors import ConfigError
from recsys.optimizers import Adam, Optimizer
from recsys.penalties import Penalty
from recsys.schedules import Schedule
from recsys.step import Denominator

Device = Literal["auto", "cpu", "cuda"]


class Fit:
    """The training plan.

    Args:
        epochs: at most so many passes over the batches' plan.
        optimizer: Adam with its defaults if not given.
        schedule: how learning rates change between epochs; constant if not given.
        clip: the largest norm of the whole gradient; None: no clipping.
        denominator: a batch's loss is the sum over rows divided by their number ("rows"), by the sum of their weights ("weights"),
            or as it is ("sum").
        penalty: added to the loss of each step.
        validate_every: epochs between validations; the last epoch is always validated.
        patience: stop after so many validations without a better value; None: never.
        refit: after the number of epochs was chosen on the validation part, train anew on train + validation by replaying the
            recorded trace (epochs, learning-rate changes, reloads), and test that model. False: test the model of the best epoch.
        select_on: "valid", or "test" as several publications did: train on train + validation and choose the epoch by the test set. Such a
            result is optimistic; it is there to be compared with a published one, and says so. There is no refit then.
        device: "auto" takes CUDA where there is one.
        checkpoint_seconds: how often the state of training is written, so that a killed run can go on.
        diagnostics: of how many steps of an epoch (at most one in eight) the candidates are described in its record, as
            ``sampler.hardness`` and the like (:class:`recsys.diagnostics.Diagnostics`); 0: of none. The weights are the same either way.
    """

    def __init__(
        self,
        *,
        epochs: int = 20,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        clip: float | None = None,
        denominator: Denominator = "rows",
        penalty: Penalty | None = None,
        validate_every: int = 1,
        patience: int | None = 5,
        refit: bool = True,
        select_on: Literal["valid", "test"] = "valid",
        device: Device = "auto",
        checkpoint_seconds: float = 30.0,
        diagnostics: int = 16,
    ) -> None:
        for name, value in (("epochs", epochs), ("validate_every", validate_every), ("patience", patience)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it is at least 1")
        for name, part, kind in (("optimizer", optimizer, Optimizer), ("schedule", schedule, Schedule), ("penalty", penalty, Penalty)):
            if part is not None and not isinstance(part, kind):
                raise ValueError(f"{name} is {part!r}, a {type(part).__name__}; it is a {kind.__name__}, for instance from recsys.{name}s")
        if clip is not None and not clip > 0:
            raise ValueError(f"clip is {clip}; the largest norm of a gradient is above 0")
        if denominator not in ("rows", "weights", "sum"):
            raise ValueError(f"denominator is {denominator!r}; allowed are 'rows', 'weights' and 'sum'")
        if select_on not in ("valid", "test"):
            raise ValueError(f"select_on is {select_on!r}; allowed are 'valid' and 'test'")
        if device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device is {device!r}; allowed are 'auto', 'cpu' and 'cuda'")
        if checkpoint_seconds < 0:
            raise ValueError(f"checkpoint_seconds is {checkpoint_seconds}; it is at least 0 (0: after every step)")
        if diagnostics < 0:
            raise ValueError(f"diagnostics is {diagnostics}; it is a number of steps, at least 0 (0: no diagnostics)")
        self.epochs, self.schedule, self.clip, self.penalty = epochs, schedule, clip, penalty
        self.optimizer = optimizer if optimizer is not None else Adam()
        if penalty is not None and penalty.dense and self.optimizer.lazy:
            moves = f"{type(penalty).__name__} moves every row, {type(self.optimizer).__name__} the touched ones only"
            raise ValueError(f"penalty: {moves}; use Adam with it, or the penalty TouchedRows")
        self.denominator: Denominator = denominator
        self.validate_every, self.patience, self.refit = validate_every, patience, refit and select_on == "valid"
        self.select_on: Literal["valid", "test"] = select_on
        self.device: Device = device
        self.checkpoint_seconds, self.diagnostics = checkpoint_seconds, diagnostics

    def torch_device(self) -> torch.device:
        """The device to train on.

        Raises:
            ConfigError: "cuda" was asked for and there is none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("fit.device is 'cuda', but this machine or this torch build has no CUDA device; use 'auto' or 'cpu'")
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")
