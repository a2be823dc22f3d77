"""Files that are there whole or not at all: written under another name, flushed to the disk, then renamed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from recsys.errors import RunError


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through ``write(stream)``; after a crash at any moment the old or the new content is there, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Plain data as JSON; nan and infinite numbers, which JSON does not know, are written as null."""
    replace(path, lambda stream: stream.write((json.dumps(finite(value), indent=1, allow_nan=False) + "\n").encode()))


def write_text(path: Path, text: str) -> None:
    """Text in UTF-8."""
    replace(path, lambda stream: stream.write(text.encode()))


def finite(value: Any) -> Any:
    """The same data with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_tensors(path: Path, value: Any) -> None:
    """Nested dicts and lists of tensors, numbers and text."""
    replace(path, lambda stream: torch.save(value, stream))


def read_tensors(path: Path) -> Any:
    """What :func:`write_tensors` wrote; tensors and plain values only, no class is unpickled.

    Raises:
        FileNotFoundError: there is none.
        RunError: it is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:  # of the archive, of its pickles, of the disk: torch raises many kinds
        raise RunError(
            f"{path} is damaged and cannot be read ({type(error).__name__}); restore it, or train anew under another name"
        ) from None
