"""What a splitter is, and the tools that splitters share."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.events import PARTS, clock_of, owner_of
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator


class Splitter:
    """Says of every event whether it is for training, validation or test; the class name states the guarantee.

    A splitter is configured by its constructor, holds no data, and gives the same labels for the same events and seed, whatever the
    order of the rows.
    """

    def needs(self) -> dict[str, str]:
        """Capabilities of the source that it cannot do without (``user``, ``session``, ``time``, ``order``, ``predefined``), and why."""
        return {}

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        """One of ``train``, ``valid``, ``test`` (type :data:`recsys.data.events.PARTS`) for each row; null leaves the row out.

        Args:
            events: checked events (see :func:`recsys.data.events.check`).
            seed: of every random choice.
        """
        raise NotImplementedError


def check_share(owner: object, name: str, value: float) -> None:
    """Raises ConfigError unless ``0 < value < 1``: there is always something to train, validate and test on."""
    if not 0 < value < 1:
        raise ConfigError(f"{type(owner).__name__} got {name}={value}; a share lies between 0 and 1, both excluded")


def keys(events: pl.DataFrame) -> list[str]:
    """The columns by which events are sorted: owner, then time or order if there is one, then item (the rule for ties)."""
    clock = clock_of(events.columns)
    return [owner_of(events.columns), *([clock] if clock else []), "item"]


def ranked(events: pl.DataFrame) -> pl.DataFrame:
    """The events sorted by :func:`keys`, with ``row`` (where it stood), ``rank`` (0 for the owner's oldest) and ``size`` (of its owner)."""
    owner = owner_of(events.columns)
    rest = [name for name in ("weight", "part") if name in events.columns]
    frame = events.with_row_index("row").sort([*keys(events), *rest], maintain_order=True)
    return frame.with_columns(rank=pl.int_range(pl.len(), dtype=pl.Int64).over(owner), size=pl.len().over(owner).cast(pl.Int64))


def shuffled(events: pl.DataFrame, *key: int | str) -> pl.DataFrame:
    """As :func:`ranked`, but ``rank`` is a random order inside each owner, drawn from the named stream ``key``."""
    owner = owner_of(events.columns)
    frame = ranked(events)
    code = frame[owner].rle_id().to_numpy()
    order = np.argsort(code + numpy_generator(*key).random(len(frame)))  # inside an owner, whose rows stay together, at random
    rank = np.empty(len(frame), dtype=np.int64)
    rank[order] = frame["rank"].to_numpy()
    return frame.with_columns(rank=pl.Series(rank))


def counts(size: pl.Series, owner: pl.Series, share: float, *key: int | str) -> pl.Series:
    """How many of an owner's ``size`` events make up ``share``: rounded down or up at random so that the mean is exact.

    Args:
        size: [E] number of events of each row's owner.
        owner: [E] owner of each row, rows of an owner together.
        share: between 0 and 1.
        key: of the random stream.
    """
    code = owner.rle_id().to_numpy()
    up: NDArray[np.float64] = numpy_generator(*key).random(int(code[-1]) + 1)[code]
    return pl.Series("count", np.floor(size.to_numpy() * share + up).astype(np.int64))


def labels(frame: pl.DataFrame, label: pl.Expr) -> pl.Series:
    """The label of each row in the order that the rows of the original events had (``row`` of :func:`ranked`)."""
    return frame.select("row", label.cast(PARTS).alias("part")).sort("row")["part"]
