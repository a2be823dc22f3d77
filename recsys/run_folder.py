"""The folder of one run: who may write it, and what is in it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recsys import files
from recsys.errors import RunError

RUN, PROGRESS, MODEL, HISTORY = "run.json", "progress.pt", "model.pt", "history.jsonl"
LISTS, QUERIES = "test_lists.parquet", "test_queries.parquet"


class RunFolder:
    """Files of a run:

    ``run.json``: configuration, fingerprints, environment, and in the end the results. ``history.jsonl``: a line an epoch.
    ``progress.pt``: the state of unfinished training. ``model.pt``: the model and what it needs of the training log.
    ``items.parquet``, ``owners.parquet``: the original id of each code. ``valid.parquet``, ``test.parquet``: values of every query.
    ``test_lists.parquet``: the item codes that were recommended to each. ``test_queries.parquet``: what kind of query each is.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold it for this process; the lock goes with the process, however it ends.

        Raises:
            RunError: it cannot be written, or another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "w")  # noqa: SIM115 (held until the block ends)
        except OSError as error:
            raise RunError(
                f"the run folder {self.path} cannot be written ({error.strerror}); choose another with --runs or --name"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunError(f"another process is at work in {self.path}; wait for it, or choose another name with --name") from None
            for left in self.path.glob(".*.[0-9]*"):  # what a process killed while it wrote has left
                left.unlink()
            yield

    def about(self) -> dict[str, Any] | None:
        """The content of run.json; None where there is none.

        Raises:
            RunError: it is damaged, or not the record of a run.
        """
        path = self.path / RUN
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read ({error}); restore it, or move the folder away and train anew") from None
        if not isinstance(found, dict) or not found.keys() >= {"status", "spec", "fingerprint"}:
            raise RunError(f"{path} is not the record of a run; move the folder away and train anew")
        return found

    def write_about(self, about: dict[str, Any]) -> None:
        files.write_json(self.path / RUN, about)

    def progress(self) -> dict[str, Any] | None:
        """The state of unfinished training; None where there is none."""
        path = self.path / PROGRESS
        return dict(files.read_tensors(path)) if path.exists() else None

    def write_progress(self, state: dict[str, Any]) -> None:
        files.write_tensors(self.path / PROGRESS, state)

    def drop_progress(self) -> None:
        (self.path / PROGRESS).unlink(missing_ok=True)

    def write_history(self, records: list[dict[str, Any]]) -> None:
        """Write all epochs so far."""
        text = "".join(json.dumps(files.finite(record)) + "\n" for record in records)
        files.replace(self.path / HISTORY, lambda stream: stream.write(text.encode()))

    def append_history(self, record: dict[str, Any]) -> None:
        with open(self.path / HISTORY, "a") as stream:
            stream.write(json.dumps(files.finite(record)) + "\n")


def find(runs: Path, fingerprint: str) -> list[Path]:
    """Folders of runs of a configuration under ``runs``, newest first."""
    found = []
    for path in runs.glob(f"*/{RUN}"):
        try:
            about = RunFolder(path.parent).about()
        except RunError:  # one damaged run does not stand in the way of the others
            continue
        if about is not None and about.get("fingerprint") == fingerprint:
            found.append((about["started"], path.parent))
    return [path for _, path in sorted(found, reverse=True)]


def new_folder(runs: Path, stem: str, fingerprint: str) -> Path:
    """A folder name that is not taken: ``stem-xxxxxx`` with the start of the configuration's fingerprint, numbered from
    the second run on."""
    base = f"{stem}-{fingerprint[:6]}"
    names = {path.name for path in runs.iterdir()} if runs.is_dir() else set()
    number = 1
    while (name := base if number == 1 else f"{base}-{number}") in names:
        number += 1
    return runs / name


def writable(path: Path) -> None:
    """Refuse a place where no run can be written, before long work.

    Raises:
        RunError: neither the folder nor one above it can be written.
    """
    existing = path.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise RunError(f"{existing} is a file, so {path} cannot be a run folder; choose another with --runs")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise RunError(f"{existing} cannot be written, so {path} cannot be a run folder; choose another with --runs")
