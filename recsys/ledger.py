"""Who looked at held-out data, when, and with which configuration: a file for each prepared data set, each line sealed by those before."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.data.download import cache_root
from recsys.errors import RecsysError
from recsys.files import finite

KINDS = ("registered", "selected", "tested", "evaluated")
"""Of entries: a plan was frozen, validation chose, the test part was measured for the first time, and again later."""


@dataclass(frozen=True)
class Entry:
    """One line: ``at`` (UTC, ISO 8601), ``who`` (the user name), what happened (of :data:`KINDS`), its details, and its seal: the SHA-256
    of all that and of the seal before."""

    at: str
    who: str
    kind: str
    details: dict[str, Any]
    seal: str

    @staticmethod
    def sealed(before: str, at: str, who: str, kind: str, details: dict[str, Any]) -> Entry:
        text = json.dumps([before, at, who, kind, details], sort_keys=True, separators=(",", ":"))
        return Entry(at, who, kind, details, hashlib.sha256(text.encode()).hexdigest())

    @staticmethod
    def plain(details: dict[str, Any]) -> dict[str, Any]:
        """Details as they come back from the file."""
        found: dict[str, Any] = finite(json.loads(json.dumps(details)))
        return found

    def follows(self, before: str) -> bool:
        """Whether the seal is right after ``before``."""
        return Entry.sealed(before, self.at, self.who, self.kind, self.details).seal == self.seal


class Ledger:
    """The entries about one prepared data set, oldest first.

    A line that is changed, put in or taken out breaks every seal from there on. Lines cut off at the end do not: hence every run keeps the
    seal of its own line, and :func:`recsys.verification.verify` looks for it.

    Args:
        fingerprint: of the prepared data.
        root: where ledgers are kept. Default: ``$RECSYS_CACHE/ledgers``, else ``~/.cache/recsys/ledgers``.
    """

    def __init__(self, fingerprint: str, root: Path | None = None) -> None:
        self.path = (root or cache_root() / "ledgers") / f"{fingerprint}.jsonl"

    def add(self, kind: str, **details: Any) -> Entry:
        """Append an entry, unless it is of a run's own and there already (a run that was killed in between goes on).

        Raises:
            OSError: the file cannot be written.
            RecsysError: it cannot be read, so that nothing could follow its last line.
        """
        assert kind in KINDS, kind
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            there, details = self.entries(), Entry.plain(details)
            for entry in there:
                if kind != "evaluated" and (entry.kind, entry.details) == (kind, details):
                    return entry
            now = datetime.now(UTC).isoformat(timespec="seconds")
            entry = Entry.sealed(there[-1].seal if there else "", now, _user(), kind, details)
            stream.write(json.dumps(asdict(entry)) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        return entry

    def entries(self) -> list[Entry]:
        """All entries, whether or not their seals are right.

        Raises:
            RecsysError: a line is no entry.
        """
        if not self.path.is_file():
            return []
        found = []
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                found.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                raise RecsysError(f"line {number} of {self.path} is damaged: {line[:60]!r}; restore the file, or move it away") from None
        return found

    def broken(self) -> int | None:
        """The number of the first line whose seal is not right, from 1; None if all are."""
        before = ""
        for number, entry in enumerate(self.entries(), 1):
            if not entry.follows(before):
                return number
            before = entry.seal
        return None


@dataclass(frozen=True)
class Budget:
    """What was spent on a method with these data: different configurations whose validation was looked at, trainings, epochs, seconds."""

    configs: int
    trainings: int
    epochs: int
    seconds: float


def budgets(entries: Iterable[Entry]) -> dict[str, Budget]:
    """By method, from the entries "selected"."""
    by_method: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        if entry.kind == "selected":
            by_method.setdefault(entry.details["method"], []).append(entry.details)
    return {
        method: Budget(len({d["config"] for d in spent}), len(spent), sum(d["epochs"] for d in spent), sum(d["seconds"] for d in spent))
        for method, spent in by_method.items()
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user on this system
        return str(os.getuid())
