"""``recsys data generate``: a log file of any size."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from pipelines.commands import UsageError
from recsys.data.simulate import write_log
from recsys.data.simulate.logs import Kind

KINDS: dict[str, Kind] = {".jsonl": "otto", ".csv": "csv"}
EVERY = 5.0
"""Seconds between lines of progress where standard error is not a terminal."""


def generate(args: argparse.Namespace) -> int:
    """Write ``args.file`` with ``args.rows`` events from ``args.seed``; the suffix says the kind. With ``args.force`` a file that is
    there is replaced.

    Raises:
        UsageError: another suffix, no such folder, a folder of this name, fewer than one row, or a file that is there.
    """
    path: Path = args.file
    if (kind := KINDS.get(path.suffix.lower())) is None:
        raise UsageError(f"recsys data generate: {path} ends in {path.suffix!r}; write .jsonl (sessions like OTTO's) or .csv (ratings)")
    if args.rows < 1:
        raise UsageError(f"recsys data generate: --rows={args.rows}; at least 1 is needed")
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a folder" if path.is_dir() else "is in no folder that exists; make it first"
        raise UsageError(f"recsys data generate: {path} {what}")
    if path.exists() and not args.force:
        raise UsageError(f"recsys data generate: {path} is there already; add --force to replace it, or name another file")
    progress = Progress(args.rows)
    write_log(path, rows=args.rows, kind=kind, seed=args.seed, on_progress=progress)
    progress.end()
    print(path)
    return 0


class Progress:
    """Says on standard error how far it is: one line that is written over on a terminal, else a line every few seconds."""

    def __init__(self, rows: int) -> None:
        self.rows, self.start, self.terminal = rows, time.perf_counter(), sys.stderr.isatty()
        self.said, self.done = self.start, 0

    def __call__(self, done: int) -> None:
        self.done, now = done, time.perf_counter()
        if self.terminal:
            print(f"\r{self.line(now)}", end="", file=sys.stderr, flush=True)
        elif now - self.said >= EVERY and done < self.rows:
            self.said = now
            print(self.line(now), file=sys.stderr, flush=True)

    def line(self, now: float) -> str:
        """Events written, of how many, and how fast."""
        speed = self.done / max(now - self.start, 1e-9)
        return f"{self.done:,} of {self.rows:,} events ({self.done / self.rows:.0%}), {speed / 1e6:.1f} M events/s"

    def end(self) -> None:
        """The last line, with the flush to the disk in it."""
        print(f"{chr(13) if self.terminal else ''}{self.line(time.perf_counter())}", file=sys.stderr, flush=True)
