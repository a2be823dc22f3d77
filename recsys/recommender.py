"""What evaluation, comparison and serving know of a model: it can be fitted, and then scores the whole catalogue for a query."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from recsys.data.log import Histories, Log
from recsys.part import Part
from recsys.scorer import DotScorer, Scorer

if TYPE_CHECKING:
    from recsys.models.model import Model


@dataclass
class Epoch:
    """What a fitting recommender yields: it may be used, stopped or dropped at each. A closed form yields once.

    ``epoch`` counts from 1. ``loss`` is the epoch's mean training loss (nan for a closed form). ``seconds`` is the time this
    epoch took and ``rows`` the number of rows it learnt from. ``validate`` says whether the fit plan wants a validation value
    now; the caller answers by setting ``value`` (higher is better) before asking for the next epoch. ``figures`` and ``remarks``: what the
    parts say of the epoch (:meth:`recsys.part.Part.figures`).
    """

    epoch: int
    loss: float
    seconds: float
    rows: int
    validate: bool = False
    value: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


@runtime_checkable
class Recommender(Protocol):
    """Whatever ranks a catalogue: a closed form and a trained network alike.

    There are two ways to score. ``vectors`` returns ``(query [Q, D], items [N, D])`` when the score is their dot product, else
    None: evaluation then screens candidates by one matrix product and computes the score of record in a fixed order. ``scores``
    returns ``[Q, N]`` directly; the caller chunks the queries. Both on the CPU or on the recommender's device.
    """

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None: ...

    def scores(self, histories: Histories) -> Tensor: ...


@runtime_checkable
class Trainable(Recommender, Protocol):
    """A recommender that learns from a training log, and may be used after every yield."""

    def fit(self, train: Log) -> Iterator[Epoch]: ...


class Trained:
    """The recommender that a trained model is, without what it took to train it."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @torch.no_grad()
    def scorer(self, histories: Histories) -> Scorer:
        """The model's scorer for queries, in evaluation mode."""
        with self._evaluating():
            return self.model.queries(histories)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)

    @torch.no_grad()
    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        """(query [Q, D], items [N, D]) where the model scores by dot products, else None."""
        score = self.scorer(histories)
        return score.vectors() if isinstance(score, DotScorer) else None

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """[Q, N]: the score of every item for every query."""
        with self._evaluating():
            return self.model.queries(histories)(None)


class ClosedForm(Part):
    """A recommender without gradient steps. A subclass writes :meth:`solve` (state in buffers), and
    :meth:`vectors` or :meth:`scores`."""

    def solve(self, train: Log) -> None:
        raise NotImplementedError

    def fit(self, train: Log) -> Iterator[Epoch]:
        """Solves and yields once."""
        started = time.perf_counter()
        self.solve(train)
        yield Epoch(epoch=1, loss=float("nan"), seconds=time.perf_counter() - started, rows=len(train))

    def vectors(self, histories: Histories) -> tuple[Tensor, Tensor] | None:
        return None

    def scores(self, histories: Histories) -> Tensor:
        vectors = self.vectors(histories)
        if vectors is None:
            raise NotImplementedError
        return vectors[0] @ vectors[1].T
