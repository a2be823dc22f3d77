"""Cleaning steps that looked at the whole log, test events included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.data.audit.check import Check, amount

NAME = "fitted before the split"


def fitted_before(cleaning: Sequence[Mapping[str, Any]] | None) -> Check:
    """Steps with ``fit: "all"`` that removed something: what they kept depends on the test events.

    Amber: a k-core over all events, for one, keeps an item because of its test events, and leaves out of the test what had too few.
    """
    if cleaning is None:
        return Check(NAME, "not applicable", "The report does not say how the data were cleaned.", {})
    if not cleaning:
        text = "No cleaning step; whether the publisher filtered the log is not known here."
        return Check(NAME, "green", text, {"steps": []})
    everything = [step for step in cleaning if step.get("fit") == "all"]
    removed = {str(step["step"]): _removed(step) for step in everything}
    details = {"steps": [str(step["step"]) for step in cleaning], "fitted_on_all": removed}
    active = {name: count for name, count in removed.items() if any(_changed(step) for step in everything if str(step["step"]) == name)}
    if active:
        named = ", ".join(f"{name} (removed {amount(count, 'event')})" for name, count in active.items())
        text = f"Fitted on all events, test included: {named}. What is in the test was chosen with it in sight."
        return Check(NAME, "amber", text, details)
    if everything:
        return Check(NAME, "green", f"Fitted on all events, but without effect: {', '.join(removed)}.", details)
    return Check(NAME, "green", "No statistic was fitted on test events.", details)


def _removed(step: Mapping[str, Any]) -> int:
    before, after = step["events"]
    return int(before) - int(after)


def _changed(step: Mapping[str, Any]) -> bool:
    return any(step[what][0] != step[what][1] for what in ("events", "owners", "items") if what in step)
