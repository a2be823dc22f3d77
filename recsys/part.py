"""Parts: whatever an experiment is made of.

The constructor is the configuration. A part keeps every constructor argument under its own name, so that its *spec* (class path
and arguments, plain JSON) can be read back from it at any time, and an equal part built from it. There is no registry: a class is
found by its import path.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from recsys.catalog import Catalog
    from recsys.pool import Draw
    from recsys.step import EpochView, View

Spec = dict[str, Any]


class Part(nn.Module):
    """Knobs in the constructor, data in :meth:`setup`, state in registered buffers and parameters.

    A subclass stores each constructor argument as an attribute of the same name and does nothing else in ``__init__``:
    an experiment must be buildable, checkable and printable before any data is read.
    """

    def needs(self) -> dict[str, str]:
        """Capabilities this part cannot do without, each with the reason in words (``{"user": "it has a vector for each user"}``)."""
        return {}

    def gives(self, have: set[str]) -> set[str]:
        """Capabilities this part adds, given those of the parts before it."""
        return set()

    def setup(self, catalog: Catalog) -> None:
        """Called once, when the training data is known and before the first step. Make parameters and buffers here."""

    def begin_epoch(self, view: EpochView) -> None:
        """A hook of examples, batch policies and samplers, also of samplers inside others: called before every epoch."""

    def end_step(self, view: View, draw: Draw) -> None:
        """A hook of samplers, also of those inside others: called after every step (queues take note of it)."""

    def figures(self) -> dict[str, float]:
        """Figures about the epoch that has just ended, by short name: logged with it as ``<path of the part>.<name>``. A hook of every
        part of a step, called once an epoch, which may reset what it has counted."""
        return {}

    def remarks(self) -> list[str]:
        """Sentences to be read before the result is believed, each said once a run. A hook like :meth:`figures`, called after it."""
        return []


def knobs(value: object) -> dict[str, Any]:
    """The constructor arguments of a configured object, read back from the attributes of the same names."""
    found = {}
    for name, parameter in inspect.signature(type(value).__init__).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if not hasattr(value, name):
            raise TypeError(
                f"{type(value).__name__} does not keep its argument {name!r} as an attribute; "
                "a part must, so that its configuration can be saved"
            )
        found[name] = getattr(value, name)
    return found


def spec(value: Any) -> Any:
    """A plain JSON description of a configured object: ``{"class_path": ..., "init_args": {...}}``, nested; scalars as they are."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a number of NumPy or torch
        return spec(value.item())
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple | nn.ModuleList):
        return [spec(v) for v in value]
    if isinstance(value, Mapping | nn.ModuleDict):
        return {str(k): spec(v) for k, v in value.items()}
    custom = getattr(value, "__spec__", None)
    if custom is not None:
        return custom()
    return {"class_path": class_path(type(value)), "init_args": {k: spec(v) for k, v in knobs(value).items()}}


def build(described: Any) -> Any:
    """The object that a :func:`spec` describes. Only classes are imported and called; nothing is evaluated or unpickled."""
    if isinstance(described, Mapping):
        if set(described) <= {"class_path", "init_args"} and "class_path" in described:
            return locate(described["class_path"])(**{k: build(v) for k, v in described.get("init_args", {}).items()})
        return {k: build(v) for k, v in described.items()}
    if isinstance(described, list):
        return [build(v) for v in described]
    return described


def class_path(cls: type) -> str:
    """The import path of a class, by the shortest package that exports it (``recsys.models.MF``, not ``recsys.models.mf.MF``)."""
    parts = cls.__module__.split(".")
    for n in range(1, len(parts)):
        package = ".".join(parts[:n])
        if getattr(importlib.import_module(package), cls.__qualname__, None) is cls:
            return f"{package}.{cls.__qualname__}"
    return f"{cls.__module__}.{cls.__qualname__}"


def locate(path: str) -> type:
    """The class at an import path.

    Raises:
        ValueError: the module cannot be imported, has no such name, or the name is no class.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise ValueError(f"no class at {path!r}: {error}") from None
    if not isinstance(found, type):
        raise ValueError(f"{path!r} is a {type(found).__name__}, not a class")
    return found


def fingerprint(value: Any) -> str:
    """A short stable hash (16 hexadecimal digits) of a configured object or of plain JSON data."""
    text = json.dumps(spec(value), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
