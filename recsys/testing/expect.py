"""How a conformance suite complains."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.part import build, class_path, spec


def expect(holds: bool | Tensor, part: object, what: str) -> None:
    """Raises AssertionError, naming the class and the promise that it breaks."""
    if not bool(holds):
        raise AssertionError(f"{type(part).__module__}.{type(part).__qualname__}: {what}")


def same(a: Tensor | None, b: Tensor | None) -> bool:
    """Equal tensors, or both None."""
    return a is b or (a is not None and b is not None and torch.equal(a, b))


def check_configuration(part: object) -> None:
    """A part is rebuilt from its spec, where its class can be imported."""
    if "<locals>" not in class_path(type(part)):
        expect(spec(build(spec(part))) == spec(part), part, "is not rebuilt from its spec; keep every constructor argument under its name")
