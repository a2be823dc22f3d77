"""Prepared data on disk: raw arrays that are memory-mapped, Arrow files of ids, and one JSON file that says how large each must be.

A folder is written under another name and renamed when complete; one with a missing or cut file is never read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from recsys.data.log import Fold, Histories, Holdout, Log, Prepared

FORMAT = 1  # raised when the files or their meaning change
_DTYPES = {"int32": torch.int32, "int64": torch.int64, "float32": torch.float32}


def save(folder: Path, prepared: Prepared) -> None:
    """Write ``folder`` whole or not at all.

    Raises:
        OSError: the place cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        tensors, frames = _flatten(prepared)
        about: dict[str, Any] = {
            "format": FORMAT,
            "fingerprint": prepared.fingerprint,
            "report": prepared.report,
            "tensors": {},
            "files": {},
        }
        for name, tensor in tensors.items():
            _write(made / f"{name}.bin", tensor.contiguous().numpy().tobytes())
            about["tensors"][name] = [str(tensor.dtype).removeprefix("torch."), len(tensor)]
        for name, frame in frames.items():
            _write(made / f"{name}.arrow", frame.write_ipc(None, compression="uncompressed").getvalue())
        about["logs"] = {name: [f.train.num_items, f.train.owner_kind, list(f.holdouts)] for name, f in _folds(prepared).items()}
        about["files"] = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
        _write(made / "prepared.json", json.dumps(about, indent=1).encode())
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    """Through to the disk: after a power cut a file of the right size would otherwise hold zeros."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def load(folder: Path) -> Prepared | None:
    """Memory-map what :func:`save` wrote; None if it is not there, of another format, or damaged."""
    try:
        about = json.loads((folder / "prepared.json").read_text())
        if about["format"] != FORMAT or any((folder / name).stat().st_size != size for name, size in about["files"].items()):
            return None
        tensors = {name: _mapped(folder / f"{name}.bin", dtype, length) for name, (dtype, length) in about["tensors"].items()}
        frames = {Path(name).stem: pl.read_ipc(folder / name) for name in about["files"] if name.endswith(".arrow")}
        folds = {name: _fold(name, kept, tensors, frames) for name, kept in about["logs"].items()}
        return Prepared(folds["select"], folds["refit"], about["fingerprint"], about["report"])
    except (OSError, ValueError, KeyError, RuntimeError, pl.exceptions.PolarsError):
        return None


def content(select: Fold, refit: Fold) -> str:
    """A hash of everything that training and evaluation read (16 hexadecimal digits)."""
    digest = hashlib.blake2b(digest_size=8)
    tensors, frames = _flatten(Prepared(select, refit, "", {}))
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {len(tensors[name])};".encode())
        digest.update(tensors[name].contiguous().numpy().data)
    for name in sorted(frames):
        for column in frames[name]:
            digest.update(f"{name} {column.name} {column.dtype};".encode())
            digest.update(_bytes(column))
    return digest.hexdigest()


def _bytes(column: pl.Series) -> bytes:
    if column.dtype == pl.String:
        return b"".join((column.str.len_bytes().to_numpy().tobytes(), column.str.join("").item().encode()))
    return column.to_numpy().tobytes()


def _folds(prepared: Prepared) -> dict[str, Fold]:
    return {"select": prepared.select, "refit": prepared.refit}


def _flatten(prepared: Prepared) -> tuple[dict[str, Tensor], dict[str, pl.DataFrame]]:
    tensors: dict[str, Tensor] = {}
    frames: dict[str, pl.DataFrame] = {}
    for name, fold in _folds(prepared).items():
        tensors |= {f"{name}.train.items": fold.train.items, f"{name}.train.offsets": fold.train.offsets}
        if fold.train.weight is not None:
            tensors[f"{name}.train.weight"] = fold.train.weight
        frames |= {f"{name}.items": fold.items.to_frame("id"), f"{name}.owners": fold.owners.to_frame("id")}
        for part, holdout in fold.holdouts.items():
            at, h = f"{name}.{part}", holdout.histories
            tensors |= {f"{at}.items": holdout.items, f"{at}.offsets": holdout.offsets, f"{at}.unknown": holdout.unknown}
            tensors |= {
                f"{at}.history.items": h.items,
                f"{at}.history.start": h.start,
                f"{at}.history.stop": h.stop,
                f"{at}.history.owner": h.owner,
            }
            frames[f"{at}.query"] = holdout.query
    return tensors, frames


def _fold(name: str, kept: list[Any], tensors: dict[str, Tensor], frames: dict[str, pl.DataFrame]) -> Fold:
    num_items, owner_kind, parts = kept
    weight = tensors.get(f"{name}.train.weight")
    for at in ("train", *parts):
        _check_offsets(tensors[f"{name}.{at}.offsets"], len(tensors[f"{name}.{at}.items"]))
    log = Log(tensors[f"{name}.train.items"], tensors[f"{name}.train.offsets"], num_items, owner_kind, weight)
    holdouts = {}
    for part in parts:
        at = f"{name}.{part}"
        histories = Histories(*(tensors[f"{at}.history.{field}"] for field in ("items", "start", "stop", "owner")))
        holdouts[part] = Holdout(
            histories, tensors[f"{at}.items"], tensors[f"{at}.offsets"], tensors[f"{at}.unknown"], frames[f"{at}.query"]
        )
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
