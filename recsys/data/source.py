"""Where events come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl
from polars.io.plugins import register_io_source

from recsys.data.log import OwnerKind
from recsys.data.reading.deliver import checked
from recsys.data.reading.quarantine import Quarantine
from recsys.part import fingerprint, spec

if TYPE_CHECKING:
    from recsys.cleaning.step import Step

OnError = Literal["raise", "quarantine"]


class Source:
    """A data set before it is read: the constructor says where it is and how its columns are called.

    What kind of data it is (:attr:`owner`, :attr:`timed`, :attr:`ordered`, :attr:`predefined`) is known without reading, so that
    an experiment that cannot work is refused at once.
    """

    on_error: OnError = "raise"  # what a bad row does: it ends the reading, or is set aside and listed

    @property
    def published(self) -> Mapping[str, int]:
        """Counts of a named data set, before :meth:`steps`: any of events, owners, items. A difference is warned of."""
        return {}

    @property
    def owner(self) -> OwnerKind:
        """Whether an event belongs to a user or to a session."""
        raise NotImplementedError

    @property
    def timed(self) -> bool:
        """Whether events have a real time stamp (column ``time``)."""
        return False

    @property
    def ordered(self) -> bool:
        """Whether an owner's events have an order, by ``time`` or by ``order``."""
        return self.timed

    @property
    def predefined(self) -> bool:
        """Whether the data come with a split (column ``part``)."""
        return False

    @property
    def weighted(self) -> bool:
        """Whether events have weights (column ``weight``)."""
        return False

    @property
    def kinds(self) -> bool:
        """Whether events say of what kind they are (column ``kind``)."""
        return False

    @property
    def shown(self) -> bool:
        """Whether an event of weight 0 is an item that the user was shown and did not choose: nothing is learnt from it, and it is among
        what an evaluation of the items shown ranks (users only)."""
        return False

    @property
    def origin(self) -> str:
        """What messages about the events call it."""
        return type(self).__name__

    def gives(self) -> set[str]:
        """Capabilities for steps, splitters and models: the owner kind, and ``time``, ``order``, ``predefined``, ``weight``, ``kind``,
        ``shown`` where they hold."""
        held = {"time": self.timed, "order": self.ordered, "predefined": self.predefined, "weight": self.weighted, "kind": self.kinds}
        return {self.owner} | {name for name, true in {**held, "shown": self.shown}.items() if true}

    def files(self) -> list[Path]:
        """The files that :meth:`events` reads; a named data set is fetched here if need be.

        Raises:
            DataError: a file is missing and cannot be fetched.
        """
        return []

    def steps(self) -> list[Step]:
        """Cleaning that makes the data set what its name says (ratings of at least 4 are events); it comes before all other."""
        return []

    def events(self) -> pl.LazyFrame:
        """The events in canonical columns, unchecked and before :meth:`steps` (see :mod:`recsys.data.events`)."""
        raise NotImplementedError

    def batches(self, quarantine: Quarantine | None = None) -> Iterator[pl.DataFrame]:
        """The checked events in chunks of at most 2 M rows, in the order of the files, with the same final types in each.

        Types are those of :func:`recsys.data.events.check`; ``kind`` may be an Enum or Categorical. Memory does not grow with the data
        where :meth:`events` is a lazy scan, or the source reads its files itself.

        Args:
            quarantine: where bad rows go; None: the first one ends the reading.

        Raises:
            DataError: a file that cannot be read, a bad row without a quarantine, or no event at all.
        """
        return checked(self.events(), quarantine, origin=self.origin)

    def fingerprint(self) -> str:
        """A fast key of content and settings: path, size and modification time of every file; nothing is read."""
        states = [(path.absolute(), path.stat()) for path in self.files()]
        return fingerprint({"source": spec(self), "files": [[str(path), state.st_size, state.st_mtime_ns] for path, state in states]})


def streamed(batches: Callable[[], Iterator[pl.DataFrame]], schema: pl.Schema) -> pl.LazyFrame:
    """A lazy frame over chunks that are made anew each time it is collected."""

    def read(columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None) -> Iterator[pl.DataFrame]:
        for frame in batches():
            frame = frame if rows is None else frame.head(rows)
            rows = None if rows is None else rows - len(frame)
            frame = frame if columns is None else frame.select(columns)
            yield frame if predicate is None else frame.filter(predicate)
            if rows == 0:
                return

    return register_io_source(read, schema=schema)
