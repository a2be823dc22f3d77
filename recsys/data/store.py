"""Prepared data on disk: raw arrays that are memory-mapped, Arrow files of ids, and one JSON file with the size and the checksums of each.

A folder is written under another name and renamed when complete. One with a missing or cut file is never read; ``verify`` compares every
block of every file with its checksum.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.data.log import Fold, Histories, Holdout, Log, Prepared

FORMAT = 2  # raised when the files or their meaning change
BLOCK = 1 << 22  # bytes that have one checksum
_WAITING = 8  # pieces that may wait to be written
_DTYPES = {"int32": torch.int32, "int64": torch.int64, "float32": torch.float32}


class Writer:
    """Writes arrays and frames piece by piece, with checksums. A context: on success the folder appears, else nothing does.

    Args:
        folder: the folder to write.

    Raises:
        OSError: the place cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent, folder.name)
        self.made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-{os.getpid()}-", dir=folder.parent))
        self._arrays: dict[str, _Summed] = {}
        self._dtypes: dict[str, str] = {}
        self._frames: dict[str, list[pl.DataFrame]] = {}
        self._about: dict[str, Any] = {}
        self._hand = ThreadPoolExecutor(1)  # writes and sums while the next piece is made
        self._waiting: deque[Future[None]] = deque()

    def append(self, name: str, values: NDArray[Any]) -> None:
        """More entries of an array; all pieces have one type (int32, int64 or float32)."""
        if name not in self._arrays:
            self._arrays[name] = _Summed(self.made / f"{name}.bin")
            self._dtypes[name] = values.dtype.name
        assert values.dtype.name == self._dtypes[name], f"{name} is {self._dtypes[name]}, not {values.dtype.name}"
        if len(values):
            self._waiting.append(self._hand.submit(self._arrays[name].write, np.ascontiguousarray(values).data.cast("B")))
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def frame(self, name: str, frame: pl.DataFrame) -> None:
        """A table."""
        self._frames[name] = [frame]

    def rows(self, name: str, frame: pl.DataFrame) -> None:
        """More rows of a table."""
        self._frames.setdefault(name, []).append(frame)

    def describe(self, report: Mapping[str, object], folds: Mapping[str, object]) -> None:
        """What goes into the JSON file: the report, and of each fold ``num_items``, ``owner_kind`` and the holdouts."""
        self._about = {"report": report, "logs": folds}

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            self._hand.shutdown(cancel_futures=True)
            for array in self._arrays.values():
                array.stream.close()
            shutil.rmtree(self.made, ignore_errors=True)

    def _finish(self) -> None:
        while self._waiting:
            self._waiting.popleft().result()
        tensors, files = {}, {}
        for name, array in self._arrays.items():
            size, sums = array.finish()
            files[f"{name}.bin"] = {"size": size, "sums": sums}
            tensors[name] = [self._dtypes[name], size // np.dtype(self._dtypes[name]).itemsize]
        for name, frames in self._frames.items():
            arrow = _Summed(self.made / f"{name}.arrow")
            arrow.write(pl.concat(frames).rechunk().write_ipc(None, compression="uncompressed").getvalue())
            size, sums = arrow.finish()
            files[f"{name}.arrow"] = {"size": size, "sums": sums}
        about = {"format": FORMAT, "fingerprint": _content(tensors, files), "tensors": tensors, "files": files, **self._about}
        last = _Summed(self.made / "prepared.json")
        last.write(json.dumps(about).encode())
        last.finish()
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.made.rename(self.folder)


class _Summed:
    """A file under way, with a checksum of each block of it."""

    def __init__(self, path: Path) -> None:
        self.stream: BinaryIO = path.open("wb")
        self._sums: list[str] = []
        self._digest, self._room, self._size = hashlib.blake2b(digest_size=8), BLOCK, 0

    def write(self, content: memoryview | bytes) -> None:
        self.stream.write(content)
        self._size += len(content)
        at = 0
        while at < len(content):
            piece = content[at : at + self._room]
            self._digest.update(piece)
            at, self._room = at + len(piece), self._room - len(piece)
            if not self._room:
                self._close_block()

    def _close_block(self) -> None:
        self._sums.append(self._digest.hexdigest())
        self._digest, self._room = hashlib.blake2b(digest_size=8), BLOCK

    def finish(self) -> tuple[int, list[str]]:
        """Through to the disk (after a power cut a file of the right size would otherwise hold zeros). Returns size and checksums."""
        if self._room < BLOCK:
            self._close_block()
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        return self._size, self._sums


def sweep(parent: Path, name: str) -> None:
    """Remove what a killed process has left half written under another name of this folder."""
    for left in parent.glob(f".{glob.escape(name)}-*"):
        process = left.name.removeprefix(f".{name}-").partition("-")[0]
        if process.isdigit() and not _alive(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, and not ours
        return True
    return True


def _content(tensors: Mapping[str, list[Any]], files: Mapping[str, Mapping[str, Any]]) -> str:
    """A hash of everything that training and evaluation read (16 hexadecimal digits)."""
    text = json.dumps([sorted(tensors.items()), sorted((name, kept["sums"]) for name, kept in files.items())])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def load(folder: Path, *, verify: bool = False) -> Prepared | None:
    """Memory-map what a :class:`Writer` wrote; None if it is not there, of another format, or damaged.

    Args:
        folder: the folder.
        verify: compare every block of every file with its checksum; else only the sizes and the offsets are looked at.
    """
    try:
        about = json.loads((folder / "prepared.json").read_text())
        if about["format"] != FORMAT:
            return None
        for name, kept in about["files"].items():
            if (folder / name).stat().st_size != kept["size"] or (verify and _sums(folder / name) != kept["sums"]):
                return None
        if verify and _content(about["tensors"], about["files"]) != about["fingerprint"]:
            return None
        tensors = {name: _mapped(folder / f"{name}.bin", dtype, length) for name, (dtype, length) in about["tensors"].items()}
        frames = {Path(name).stem: pl.read_ipc(folder / name) for name in about["files"] if name.endswith(".arrow")}
        folds = {name: _fold(name, kept, tensors, frames) for name, kept in about["logs"].items()}
        return Prepared(folds["select"], folds["refit"], about["fingerprint"], about["report"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, pl.exceptions.PolarsError):
        return None


def _sums(path: Path) -> list[str]:
    with path.open("rb") as stream:
        return [hashlib.blake2b(block, digest_size=8).hexdigest() for block in iter(lambda: stream.read(BLOCK), b"")]


def _fold(name: str, kept: Mapping[str, Any], tensors: dict[str, Tensor], frames: dict[str, pl.DataFrame]) -> Fold:
    for at in ("train", *kept["holdouts"]):
        _check_offsets(tensors[f"{name}.{at}.offsets"], len(tensors[f"{name}.{at}.items"]))
    items = tensors[f"{name}.train.items"]
    weight, time = (tensors.get(f"{name}.train.{field}") for field in ("weight", "time"))
    log = Log(items, tensors[f"{name}.train.offsets"], kept["num_items"], kept["owner_kind"], weight, time)
    holdouts = {}
    for part in kept["holdouts"]:
        at = f"{name}.{part}"
        known = tensors.get(f"{at}.history.items", items)  # without an array of their own, histories are rows of the training log
        histories = Histories(known, *(tensors[f"{at}.history.{field}"] for field in ("start", "stop", "owner")))
        asked, offsets, unknown = (tensors[f"{at}.{field}"] for field in ("items", "offsets", "unknown"))
        time, shown = tensors.get(f"{at}.time"), None
        if f"{at}.shown.offsets" in tensors:
            shown = tensors[f"{at}.shown.items"], tensors[f"{at}.shown.offsets"]
            _check_offsets(shown[1], len(shown[0]))
        holdouts[part] = Holdout(histories, asked, offsets, unknown, frames[f"{at}.query"], time, shown)
    return Fold(log, holdouts, frames[f"{name}.items"]["id"], frames[f"{name}.owners"]["id"])


def _check_offsets(offsets: Tensor, rows: int) -> None:
    """Raises ValueError for offsets that do not span the rows in ascending order."""
    if int(offsets[0]) != 0 or int(offsets[-1]) != rows or bool((offsets.diff() < 0).any()):
        raise ValueError("offsets are damaged")


def _mapped(path: Path, dtype: str, length: int) -> Tensor:
    """A private mapping: writing to the tensor does not change the file."""
    if not length:
        return torch.empty(0, dtype=_DTYPES[dtype])
    return torch.from_file(str(path), shared=False, size=length, dtype=_DTYPES[dtype])
