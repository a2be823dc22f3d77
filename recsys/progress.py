"""Who wants to be told what a run is doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Progress(Protocol):
    """A run calls these as it goes; showing them must be cheap (``step`` is called after every step)."""

    def phase(self, name: str, epochs: int) -> None:
        """A phase begins: ``prepare``, ``select`` (training, choosing on validation), ``refit``, ``test``; ``epochs``: at most
        (0 if none)."""
        ...

    def step(self, epoch: int, step: int, steps: int, loss: float, rows: int) -> None:
        """``step`` of ``steps`` of ``epoch`` is done; mean loss and rows of the epoch so far."""
        ...

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch has ended: ``phase``, ``epoch``, ``loss``, ``rows``, ``seconds``, and validation metrics by name (``valid/ndcg@20``)."""
        ...

    def say(self, text: str) -> None:
        """One line for the reader."""
        ...


class Silent:
    """Tells nobody."""

    def phase(self, name: str, epochs: int) -> None: ...

    def step(self, epoch: int, step: int, steps: int, loss: float, rows: int) -> None: ...

    def epoch(self, record: Mapping[str, Any]) -> None: ...

    def say(self, text: str) -> None: ...
