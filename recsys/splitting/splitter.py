"""What a splitter is, and the tools that splitters share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.data.blocks import Blocks, offsets_of
from recsys.data.events import PARTS, clock_of, owner_of
from recsys.data.kernels import Ints
from recsys.data.labels import Promise
from recsys.data.log import OwnerKind
from recsys.errors import ConfigError
from recsys.randomness import numpy_generator

Labeller = Callable[[pl.DataFrame], pl.Series]


class Splitter:
    """Says of every event whether it is for training, validation or test; the class name states the guarantee.

    A splitter is configured by its constructor, holds no data, and gives the same labels for the same events and seed, whatever the
    order of the rows. One of your own overrides :meth:`label`, which sees the whole log at once; a :class:`Blockwise` one never does.
    """

    def needs(self) -> dict[str, str]:
        """Capabilities of the log that it cannot do without (``user``, ``session``, ``time``, ``order``, ``predefined``), and why."""
        return {}

    def promise(self, owner_kind: OwnerKind) -> Promise:
        """What it promises about time, which the leak audit holds it to; see :data:`recsys.data.labels.Promise`."""
        return "none"

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        """One of ``train``, ``valid``, ``test`` (type :data:`recsys.data.events.PARTS`) for each row; null leaves the row out.

        Users whom training shall not see may have events labelled ``valid_given`` or ``test_given`` as well (type
        :data:`recsys.data.labels.LABELS`): what is known of them when they are asked.

        Args:
            events: checked events (see :func:`recsys.data.events.check`).
            seed: of every random choice.
        """
        raise NotImplementedError

    def labeller(self, log: Log, seed: int) -> Labeller:
        """A function that labels the blocks of a log, called once for each in their order.

        Args:
            log: the blocks (see :mod:`recsys.data.blocks`); it can be iterated over again and again.
            seed: of every random choice.
        """
        label = self.label(_whole(log), seed)
        done = 0

        def of(block: pl.DataFrame) -> pl.Series:
            nonlocal done
            done += len(block)
            return label.slice(done - len(block), len(block))

        return of


Log = Iterable[pl.DataFrame]


def _whole(log: Log) -> pl.DataFrame:
    """All events, with their ids where the log knows them."""
    return log.frame() if isinstance(log, Blocks) else pl.concat(log)


class Blockwise(Splitter):
    """A splitter for logs of any size: it overrides :meth:`labeller` and sees one block of whole owners at a time.

    Random choices are drawn block after block from named streams, so that the size of the blocks does not matter.
    """

    def label(self, events: pl.DataFrame, seed: int) -> pl.Series:
        owner, clock = owner_of(events.columns), clock_of(events.columns)
        rest = [name for name in ("weight", "kind", "part") if name in events.columns]
        keys = [owner, *([clock] if clock else []), "item", *rest]
        frame = events.with_row_index("row").sort(keys, maintain_order=True)
        coded = frame.drop("row").with_columns((pl.col(owner).rank("dense") - 1).cast(pl.UInt32))
        found = self.labeller([coded], seed)(coded)
        return frame.select("row", found.alias("part")).sort("row")["part"]

    def labeller(self, log: Log, seed: int) -> Labeller:
        raise NotImplementedError


def check_share(owner: object, name: str, value: float) -> None:
    """Raises ConfigError unless ``0 < value < 1``: there is always something to train, validate and test on."""
    if not 0 < value < 1:
        raise ConfigError(f"{type(owner).__name__} got {name}={value}; a share lies between 0 and 1, both excluded")


def place(block: pl.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Of each event of a block, int64 [E]: its place among its owner's (0 is the oldest), how many those are, and which owner of the block
    it is of (0 is the first)."""
    offsets, _ = offsets_of(block[owner_of(block.columns)])
    size = np.diff(offsets)
    owner = np.repeat(np.arange(len(size)), size)
    return np.arange(len(block)) - offsets[:-1][owner], size[owner], owner


class Shuffle:
    """A random order inside each owner, from a named stream: call it with the blocks in their order."""

    def __init__(self, *key: int | str) -> None:
        self._stream = numpy_generator(*key)

    def __call__(self, owner: Ints) -> Ints:
        """int64 [E]: the place of each event in the random order of its owner's; ``owner`` as :func:`place` gives it."""
        order = np.argsort(owner + self._stream.random(len(owner)))
        rank = np.empty(len(owner), dtype=np.int64)
        begin = np.searchsorted(owner, owner)
        rank[order] = np.arange(len(owner)) - begin
        return rank


class Rounded:
    """How many of an owner's events make up a share: rounded down or up at random, from a named stream, so that the mean is exact."""

    def __init__(self, share: float, *key: int | str) -> None:
        self._share, self._stream = share, numpy_generator(*key)

    def __call__(self, size: Ints, owner: Ints) -> Ints:
        """int64 [E]; ``size`` and ``owner`` as :func:`place` gives them."""
        up: NDArray[np.float64] = self._stream.random(int(owner[-1]) + 1 if len(owner) else 0)[owner]
        return np.floor(size * self._share + up).astype(np.int64)


def series(code: NDArray[np.int8], kind: pl.Enum = PARTS) -> pl.Series:
    """Labels from their numbers in ``kind`` (0 train, 1 valid, 2 test), -1 for null."""
    names = pl.Series("part", [*kind.categories, None], dtype=kind)
    return names.gather(pl.Series(code.astype(np.int64) % len(names)))
