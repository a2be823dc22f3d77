"""Where events come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.data.log import OwnerKind
from recsys.part import fingerprint, spec


class Source:
    """A data set before it is read: the constructor says where it is and how its columns are called.

    What kind of data it is (:attr:`owner`, :attr:`timed`, :attr:`ordered`, :attr:`predefined`) is known without reading, so that
    an experiment that cannot work is refused at once.
    """

    published: ClassVar[Mapping[str, int]] = {}  # counts of a named data set: any of events, owners, items; a difference is warned of

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
    def origin(self) -> str:
        """What messages about the events call it."""
        return type(self).__name__

    def gives(self) -> set[str]:
        """Capabilities for splitters and models: the owner kind, and ``time``, ``order``, ``predefined`` where they hold."""
        held = {"time": self.timed, "order": self.ordered, "predefined": self.predefined}
        return {self.owner} | {name for name, true in held.items() if true}

    def files(self) -> list[Path]:
        """The files that :meth:`events` reads; a named data set is fetched here if need be.

        Raises:
            DataError: a file is missing and cannot be fetched.
        """
        return []

    def events(self) -> pl.LazyFrame:
        """The events in canonical columns, unchecked (see :mod:`recsys.data.events`)."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """A fast key of content and settings: path, size and modification time of every file; nothing is read."""
        states = [(path.absolute(), path.stat()) for path in self.files()]
        return fingerprint({"source": spec(self), "files": [[str(path), state.st_size, state.st_mtime_ns] for path, state in states]})
