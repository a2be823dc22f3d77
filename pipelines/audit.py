"""``recsys data audit``: does the split keep what it promises?"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.data.audit import Audit

_STYLES = {"red": "bold red", "amber": "yellow", "green": "green", "not applicable": "dim"}


def audit(args: argparse.Namespace) -> int:
    """Audit the prepared data of an experiment. Returns 0, or 1 if a check is red."""
    from pipelines.train import experiment_of

    experiment = experiment_of(args)
    if experiment is None:
        return 0
    from recsys.data.audit import audit as audited

    prepared = experiment.prepare()
    found = audited(prepared, seed=experiment.split_seed)
    if args.json:
        print(json.dumps({"fingerprint": prepared.fingerprint, **found.to_json()}))
    else:
        from pipelines.tables import console

        out = console()
        out.print(audit_table(f"Leak audit of {args.config}", found))
        out.print(verdict(found), style=_STYLES[found.status])
    return 1 if found.status == "red" else 0


def audit_table(title: str, found: Audit) -> Any:
    """One row a check: name, status in words (and colour, where there is one), what was found."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("check", "status", "what was found"):
        table.add_column(name, overflow="fold")
    for name, status, text in found.table():
        table.add_row(name, Text(status.upper() if status == "red" else status, style=_STYLES[status]), text)
    return table


def verdict(found: Audit) -> str:
    """What follows, in a sentence."""
    bad = [check.name for check in found.checks if check.status == "red"]
    if bad:
        return f"Red: {', '.join(bad)}. The test of this split does not mean what the split promises; mend this before comparing numbers."
    careful = [check.name for check in found.checks if check.status == "amber"]
    if careful:
        return f"No check is red. Say so where you report the numbers: {', '.join(careful)}."
    return "No check is red or amber."
