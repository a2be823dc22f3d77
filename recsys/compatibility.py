"""Which parts fit together. An impossible experiment is refused, with both class names and the reason, before any data is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsys.errors import ConfigError
from recsys.part import Part

# Who can give a capability: the parts are asked in this order, and a need is met by those before it.
ORDER = ("data", "clean", "split", "noise", "examples", "model", "batches", "sampler", "loss", "penalty", "evaluation")
GIVER = {
    "user": "data",
    "session": "data",
    "time": "data",
    "order": "data",
    "predefined": "data",
    "weight": "data",
    "kind": "data",
    "shown": "data",
    "positives": "examples",
    "labels": "examples",
    "pairs": "examples",
    "sequence": "examples",
    "next": "examples",
    "hidden": "examples",
    "lengths": "examples",
    "history": "examples",
    "groups": "batches",
    "log_prob": "batches",
    "vectors": "model",
    "cosine": "model",
    "negatives": "sampler",
    "alone": "sampler",
    "log_count": "sampler",
}


def check(parts: Mapping[str, object]) -> None:
    """Refuse an impossible combination. ``parts`` maps roles (see ORDER) to objects with ``needs`` and ``gives``; some may be missing.
    ``clean`` is a list of steps, each with ``needs`` and ``leaves``.

    Raises:
        ConfigError: naming the part that needs something, why, and the part that does not give it.
    """
    have: set[str] = set()
    for role in ORDER:
        part = parts.get(role)
        if part is None:
            continue
        for child in _inside(part):
            for what, why in (child.needs() if hasattr(child, "needs") else {}).items():
                if what not in have:
                    giver = GIVER.get(what)
                    other = parts.get(giver) if giver else None
                    after = " after cleaning" if giver == "data" and role not in ("data", "clean") and parts.get("clean") else ""
                    by = f"which {title(other)} does not give{after}" if other is not None else "which nothing in this experiment gives"
                    raise ConfigError(f"{role}: {type(child).__name__} needs {what!r} ({why}), {by}")
            if hasattr(child, "leaves"):  # a cleaning step may take away, too: users become sessions, ratings are forgotten
                have = child.leaves(have)
        if isinstance(part, Part):
            have |= part.gives(have)
        elif hasattr(part, "gives"):  # a source gives what its data are
            have |= part.gives()


def _inside(part: object) -> list[Any]:
    if isinstance(part, Part):
        return [m for m in part.modules() if isinstance(m, Part)]
    return list(part) if isinstance(part, list | tuple) else [part]


def title(part: object) -> str:
    """The class of a part and of those inside it: ``TopK(Mix(Uniform, InBatch))``."""
    if not isinstance(part, Part):
        return type(part).__name__
    inner = [title(child) for child in part.children() if isinstance(child, Part)]
    for holder in part.children():
        if not isinstance(holder, Part):
            inner += [title(child) for child in holder.children() if isinstance(child, Part)]
    return type(part).__name__ + (f"({', '.join(inner)})" if inner else "")
