"""What a check says, and the parts of the data that checks look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.data.log import Holdout, Log, Prepared

Status = Literal["green", "amber", "red", "not applicable"]
Ints = NDArray[np.int64]

SEVERITY: dict[Status, int] = {"not applicable": 0, "green": 1, "amber": 2, "red": 3}


@dataclass(frozen=True)
class Check:
    """One finding: ``text`` says it in a sentence, ``details`` holds its numbers as plain JSON.

    ``red``: the number of the test does not mean what the split promises. ``amber``: a caveat. ``green``: nothing found.
    """

    name: str
    status: Status
    text: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The queries of one holdout and the training log that they are answered from."""

    name: str
    words: str
    train: Log
    holdout: Holdout

    @property
    def shown(self) -> str:
        """What its queries are called: ``test`` or ``validation``."""
        return "validation" if self.name.endswith("valid") else "test"


@dataclass(frozen=True)
class Finding:
    """What a check found in one part."""

    status: Status
    text: str
    details: dict[str, Any]


def parts(prepared: Prepared) -> list[Part]:
    """Test after refitting first: it is where the number of record comes from."""
    found = (
        Part("refit/test", "test", prepared.refit.train, prepared.refit.holdouts["test"]),
        Part("select/test", "test without refitting", prepared.select.train, prepared.select.holdouts["test"]),
        Part("select/valid", "validation", prepared.select.train, prepared.select.holdouts["valid"]),
    )
    return [part for part in found if len(part.holdout)]


def merged(name: str, found: Sequence[tuple[Part, Finding]]) -> Check:
    """The worst finding in words, the first one among equals; the numbers of all parts."""
    if not found:
        return Check(name, "not applicable", "There are no queries.", {})
    part, worst = max(found, key=lambda pair: SEVERITY[pair[1].status])  # the first of the largest
    return Check(name, worst.status, f"{part.words.capitalize()}: {worst.text}", {p.name: f.details for p, f in found})


def share(part: float, whole: float) -> float:
    """0 of nothing."""
    return float(part) / float(whole) if whole else 0.0


def percent(value: float) -> str:
    """``0.04 %``, ``3.1 %``, ``57 %``: never 0 for what is not, never 100 for what is not all."""
    if value in (0.0, 1.0):
        return f"{value:.0%}".replace("%", " %")
    if value < 1e-5:
        return "< 0.001 %"
    text = f"{100 * value:.0f}" if 0.1 <= value < 0.995 else f"{100 * value:.2g}" if value < 0.1 else f"{min(99.99, 100 * value):.2f}"
    return f"{text} %"


def amount(count: int, one: str, many: str | None = None) -> str:
    """``1 test pair``, ``1,203 test pairs``, ``no test pair``."""
    return f"no {one}" if count == 0 else f"1 {one}" if count == 1 else f"{count:,} {many or one + 's'}"


def distinct(values: Ints) -> Ints:
    """The values in ascending order, each once; by sorting, which takes little where they are nearly in order."""
    ascending = np.sort(values, kind="stable")
    return np.asarray(ascending[np.concatenate([ascending[:1] == ascending[:1], np.diff(ascending) != 0])], dtype=np.int64)


def blocks(size: int, step: int) -> Iterator[slice]:
    """Slices that cover ``range(size)``."""
    for at in range(0, size, step):
        yield slice(at, min(size, at + step))
