"""The leak audit: whether the numbers of a split can mean what the split promises, in words, red, amber or green.

What is audited is what training and evaluation read (:class:`~recsys.data.log.Prepared`), not what a splitter says it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from recsys.data.audit.check import SEVERITY, Check, Status, parts
from recsys.data.audit.duplicates import near_duplicates
from recsys.data.audit.fitted import fitted_before
from recsys.data.audit.order import drift
from recsys.data.audit.pairs import only_in_test, pairs_in_training
from recsys.data.audit.timing import after_the_first, after_their_own
from recsys.data.labels import Promise
from recsys.data.log import Prepared

__all__ = ["Audit", "Check", "Status", "audit"]


@dataclass(frozen=True)
class Audit:
    """All checks, in a fixed order."""

    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst of the checks."""
        return max((check.status for check in self.checks), key=SEVERITY.__getitem__, default="not applicable")

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)

    def table(self) -> list[tuple[str, str, str]]:
        """One row a check: its name, its status, and what it found, in a sentence."""
        return [(check.name, check.status, check.text) for check in self.checks]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: ``{"status": ..., "checks": [{"name", "status", "text", "details"}, ...]}``."""
        return {"status": self.status, "checks": [vars(check) for check in self.checks]}


def audit(prepared: Prepared, *, seed: int = 0) -> Audit:
    """Look for what makes the numbers of a split mean something else.

    Checks of time, pairs and unknown items look at three parts: ``refit/test`` (training on train + validation), ``select/test`` and
    ``select/valid``; each reports its worst part in words and all of them in its details. ``seed`` is of the samples that the near
    duplicates and the drift test take of large logs; every other number is exact.
    """
    found, report = parts(prepared), prepared.report
    promise = cast("Promise", report.get("promise", "none"))
    cleaning = cast("Sequence[Mapping[str, Any]] | None", report.get("cleaning"))
    return Audit(
        (
            after_the_first(found, promise),
            after_their_own(found, promise),
            pairs_in_training(found, keep_repeats=bool(report.get("keep_repeats"))),
            only_in_test(found, promise),
            fitted_before(cleaning),
            near_duplicates(found, seed=seed),
            drift(prepared.refit.train, seed=seed),
        )
    )
