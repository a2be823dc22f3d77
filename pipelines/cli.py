"""The console command ``recsys``. Nothing heavy is imported before the command line is understood."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import logging
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from pipelines.commands import COMMANDS, ROLES, Command, UsageError, in_columns


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), by a scheduler for instance."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, 1 (a bug or a crash has a traceback), 2 (the user can mend it), 130 (interrupted),
    143 (terminated)."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        with _messages(), _terminable():
            return _main(given)
    except UsageError as error:
        return fail(str(error))
    except SystemExit as done:  # argparse after --help
        return int(done.code or 0)
    except KeyboardInterrupt as stop:
        print(f"\nrecsys: stopped. {stop}".rstrip(), file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        return 141
    except (ValueError, RuntimeError, OSError, MemoryError) as error:
        if (message := _mendable(error)) is None:
            raise
        return fail(message)


def _mendable(error: Exception) -> str | None:
    """What to tell the user about an error that the user can mend; None for a bug or a crash."""
    from recsys.errors import RecsysError

    if isinstance(error, RecsysError):
        return str(error)
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and ("allocate" in text or "out of memory" in text)):
        size = re.search(r"allocate (\d+) bytes", text)
        what = f" ({int(size[1]) / 2**30:,.1f} GiB are asked for at once)" if size else ""
        return f"there is not enough memory{what}; make the model's dim, the sampler's num, batches.size or evaluation.block smaller"
    if isinstance(error, OSError) and error.errno is not None:
        place = f" {error.filename}" if error.filename is not None else ""
        return f"{error.strerror}:{place or ' a file or the output'} cannot be read or written; a run that was begun goes on with --resume"
    return None


@contextlib.contextmanager
def _messages() -> Iterator[None]:
    """Warnings and log records as single lines on standard error."""
    handler, log = _Lines(), logging.getLogger("recsys")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            for category in (UserWarning, RuntimeWarning):
                warnings.simplefilter("default", category)
            warnings.showwarning = _show_warning
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        kind = "warning" if record.levelno >= logging.WARNING else "note"
        print(f"recsys: {kind}: {record.getMessage()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does: in order, saying how to go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def fail(message: str) -> int:
    """Print an error, a line for each problem, and return the exit code of a mistake that the user can mend."""
    for line in message.splitlines():
        print(f"recsys: error: {line}", file=sys.stderr)
    return 2


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"recsys: warning: {message}", file=sys.stderr)


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        print(f"recsys {version('recsys-axes')}")
        return 0
    name, rest = argv[0], argv[1:]
    groups = {full.split()[0] for full in COMMANDS if " " in full}
    if name in groups:
        inner = [full.split()[1] for full in COMMANDS if full.startswith(f"{name} ")]
        if not rest or rest[0] in ("-h", "--help"):
            print(_overview(name))
            return 0
        if rest[0] not in inner:
            raise UsageError(f"recsys {name}: no command {rest[0]!r}; there are: {', '.join(inner)}{_close(rest[0], inner)}")
        name, rest = f"{name} {rest[0]}", rest[1:]
    if name not in COMMANDS:
        known = sorted({full.split()[0] for full in COMMANDS})
        raise UsageError(f"no command {name!r}; there are: {', '.join(known)}{_close(name, known)}")
    command = COMMANDS[name]
    overrides: list[tuple[str, str]] = []
    if command.overrides:
        rest, overrides = split_overrides(rest, command)
    args = command.parser().parse_args(rest)
    args.overrides, args.command = overrides, name
    module, _, function = command.runs.partition(":")
    return int(getattr(importlib.import_module(module), function)(args))


def split_overrides(argv: Sequence[str], command: Command) -> tuple[list[str], list[tuple[str, str]]]:
    """The command's own arguments, and overrides as pairs of dotted path and YAML text.

    Raises:
        UsageError: an option of neither kind, or one without a value.
    """
    own, rest, found, at = command.own(), [], [], 0
    while at < len(argv):
        token, at = argv[at], at + 1
        option, equals, value = token.partition("=")
        if not token.startswith("--") or option in own:
            rest.append(token)
            continue
        key = option[2:]
        if key.split(".")[0] not in ROLES:
            allowed = [*own, *(f"--{role}" for role in ROLES)]
            head, dot, tail = option.partition(".")
            close = _close(head, allowed, dot + tail)
            takes = f"{', '.join(sorted(own))} and, of the config, {', '.join(ROLES)}"
            raise UsageError(f"recsys {command.name}: no option {option}; it takes {takes}{close}")
        if not equals:
            follows = at < len(argv) and not argv[at].startswith("--")
            if follows:
                value, at = argv[at], at + 1
            elif not key.endswith(".help"):
                raise UsageError(f"recsys {command.name}: {option} needs a value: {option}=VALUE")
        found.append((key, value))
    return rest, found


def _close(given: str, allowed: Sequence[str], rest: str = "") -> str:
    close = difflib.get_close_matches(given, allowed, n=1, cutoff=0.6)
    return f". Did you mean {close[0]}{rest}?" if close else ""


def _overview(group: str = "") -> str:
    rows = [(name, command.help) for name, command in COMMANDS.items() if name.startswith(group)]
    return "\n".join(
        [
            f"usage: recsys {group or 'COMMAND'} ...",
            "",
            "Experiments with recommenders in which data, model, sampler and loss are free axes.",
            "",
            *in_columns(rows),
            "",
            "recsys COMMAND --help says what a command takes.",
        ]
    )
