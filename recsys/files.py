"""Files that are there whole or not at all: written under another name, flushed to the disk, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch


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
    replace(path, lambda stream: stream.write((json.dumps(value, indent=1) + "\n").encode()))


def write_tensors(path: Path, value: Any) -> None:
    """Nested dicts and lists of tensors, numbers and text."""
    replace(path, lambda stream: torch.save(value, stream))


def read_tensors(path: Path) -> Any:
    """What :func:`write_tensors` wrote; tensors and plain values only, no class is unpickled."""
    return torch.load(path, map_location="cpu", weights_only=True)
