"""Tracking in a folder, with the standard library alone: one file of JSON lines, readable while the run goes."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from recsys.errors import RunError
from recsys.tracking.protocol import Status, check_status

FILE = "tracking.jsonl"


class FileTracker:
    """Writes ``<folder>/tracking.jsonl``, a record a line, each written through at once so that it survives the process.

    Every record has a ``kind`` and a ``time`` (seconds since 1970): ``open`` (``tags``), ``params`` (``values``), ``metrics``
    (``step``, ``values``; a number that is not finite is written as "nan", "inf" or "-inf"), ``artifact`` (``path``, relative to
    the folder) and ``close`` (``status``). An artifact within the folder stays where it is; any other is copied to
    ``<folder>/artifacts/``. A folder that has a record already is continued: a line that a crash cut short is dropped, and
    metrics that are there are not written again.

    Args:
        folder: made when missing.
        tags: text by name.

    Raises:
        RunError: at the first call of any method, when the folder cannot be written.
    """

    def __init__(self, folder: Path | str, *, tags: Mapping[str, str] | None = None) -> None:
        self.folder = Path(folder)
        self.tags = dict(tags or {})
        self._stream: IO[str] | None = None
        self._logged: set[tuple[str, int | None]] = set()
        self._closed = False

    def params(self, values: Mapping[str, Any]) -> None:
        self._write("params", values=values)

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        self._open()
        new = {name: float(value) for name, value in values.items() if (name, step) not in self._logged}
        if new:
            self._logged.update((name, step) for name in new)
            self._write("metrics", step=step, values={name: v if math.isfinite(v) else str(v) for name, v in new.items()})

    def artifact(self, path: Path) -> None:
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {path} to record as an artifact of the run")
        self._open()
        inside = self.folder.resolve()
        kept = path.resolve()
        if not kept.is_relative_to(inside):
            kept = inside / "artifacts" / path.name
            kept.parent.mkdir(exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, kept, dirs_exist_ok=True)
            else:
                shutil.copyfile(path, kept)
        self._write("artifact", path=str(kept.relative_to(inside)))

    def close(self, status: Status = "finished") -> None:
        check_status(status)
        if self._closed:
            return
        self._write("close", status=status)
        if self._stream is not None:
            self._stream.close()
        self._stream, self._closed = None, True

    def _open(self) -> IO[str]:
        if self._closed:
            raise RunError(f"the record of {self.folder} is closed; make a new FileTracker to continue it")
        if self._stream is None:
            path = self.folder / FILE
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _drop_torn_line(path)
                self._stream = path.open("a", encoding="utf-8")
            except OSError as error:
                raise RunError(f"cannot write the run's record {path}: {error.strerror}; choose another output folder") from None
            for record in read(self.folder):
                if record["kind"] == "metrics":
                    self._logged.update((name, record["step"]) for name in record["values"])
            self._write("open", tags=self.tags)
        return self._stream

    def _write(self, kind: str, **content: Any) -> None:
        stream = self._open()
        stream.write(json.dumps({"kind": kind, "time": round(time.time(), 3), **content}, default=str) + "\n")
        stream.flush()


def read(folder: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a folder in the order they were written, with the numbers of ``metrics`` as floats; none without a file."""
    path = Path(folder) / FILE
    if not path.exists():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if not line.endswith("\n"):
                return
            record = json.loads(line)
            if record["kind"] == "metrics":
                record["values"] = {name: float(value) for name, value in record["values"].items()}
            yield record


def _drop_torn_line(path: Path) -> None:
    """A process that was killed may have left half a line at the end."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as stream:
                stream.truncate(whole)
