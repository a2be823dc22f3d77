"""What a cleaning step is.

A step is either *causal*: whether an event stays depends on this event and on earlier ones of its owner; then it may run before the split.
Or it looks ahead: at later events, or at those of others. Run on the whole log, such a step lets test events decide what is trained on.
It therefore has an option ``fit``:

``train``
    (the default) It runs after the split, for each training log anew. Of an owner with training events it sees those alone; its held-out
    events stay, unless the step removed all its training events: then nothing is asked about it. An owner without training events (a
    test session) is cleaned by itself. Items that a step removes from training are unknown to the model: held-out events with them stay,
    and count as relevant items that cannot be recommended.
``all``
    It runs before the split, on the whole log, as many publications did ("filter first"). The leak audit names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from recsys.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from recsys.data.kernels import Codes, Ints, Mask

Fit = Literal["train", "all"]


class Step:
    """A rule for which events stay; configured by its constructor, and holds no data. Derive from one of the two classes below."""

    fit: Fit | None = None  # None: a causal step, which has no such option

    def needs(self) -> dict[str, str]:
        """Capabilities of the log that it cannot do without (``time``, ``order``, ``kind``, ``weight``, ``user``), and why."""
        return {}

    def leaves(self, have: set[str]) -> set[str]:
        """The capabilities of the log afterwards."""
        return have


class OwnerStep(Step):
    """A step that looks at one owner at a time."""

    def clean(self, events: pl.DataFrame) -> pl.DataFrame:
        """The events that stay, in the order they are in.

        Args:
            events: all events of some owners in the columns of :mod:`recsys.data.blocks`, sorted by owner, then time or order, then item.
        """
        raise NotImplementedError


class LogStep(Step):
    """A step that counts over all owners."""

    def keep(self, offsets: Ints, item: Codes, items: int) -> Mask:
        """bool [E]: the events that stay.

        Args:
            offsets: int64 [U + 1], where each owner's events begin.
            item: int32 [E], codes of the items.
            items: N, the number of codes.
        """
        raise NotImplementedError


def check_fit(step: object, fit: str) -> None:
    """Raises ConfigError for a ``fit`` that does not exist."""
    if fit not in get_args(Fit):
        raise ConfigError(
            f"{type(step).__name__} got fit={fit!r}; allowed are 'train' (training events alone) and 'all' (before the split)"
        )


def check_at_least(step: object, least: int, **given: int) -> None:
    """Raises ConfigError for a number below ``least``."""
    for name, value in given.items():
        if value < least:
            raise ConfigError(f"{type(step).__name__} got {name}={value}; it is at least {least}")
