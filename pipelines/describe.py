"""``recsys data describe``: what is in a log, on the terminal and as a page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.data import source_of

if TYPE_CHECKING:
    from recsys.data.describe import Survey


def describe(args: argparse.Namespace) -> int:
    """Print what is in a log; with ``--output``, write a page and tables about it too.

    For a config file that has a split, the page also says what cleaning removed and what the leak audit found.
    """
    source = source_of(args)
    if source is None:
        return 0
    from recsys.data.describe import survey
    from recsys.data.reading.quarantine import Quarantine

    output: Path | None = args.output
    if output is not None:
        from pipelines.charts import library

        library()  # a missing library is told before the data are read
    name = type(source).__name__
    quarantine = Quarantine() if source.on_error == "quarantine" else None
    found = survey(source.batches(quarantine), origin=source.origin)
    if quarantine is not None:
        found.facts["quarantined"] = quarantine.rows
    if args.json:
        print(json.dumps(found.facts))
    else:
        from pipelines.tables import console

        console().print(facts_table(name, found.facts))
    if output is not None:
        cleaning, audit = _prepared_facts(args)
        if quarantine is not None and quarantine.rows:
            output.mkdir(parents=True, exist_ok=True)
            quarantine.write(output / "quarantine.parquet")
        page = save(output, name if args.source == name else f"{name}, {args.source}", found, cleaning, audit)
        print(f"recsys: wrote {page}", file=sys.stderr)
    return 0


def save(
    folder: Path,
    title: str,
    found: Survey,
    cleaning: Sequence[Mapping[str, Any]] | None = None,
    audit: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``index.html``, ``facts.json`` and the tables as Parquet. Returns the page.

    Args:
        folder: made if it is not there.
        title: of the page.
        found: what :func:`recsys.data.describe.survey` gave.
        cleaning: ``report["cleaning"]`` of prepared data.
        audit: what :meth:`recsys.data.audit.Audit.to_json` gives.
    """
    from pipelines.data_page import write_page

    return write_page(folder / "index.html", title, found.facts, found.tables, cleaning, audit)[0]


def facts_table(title: str, facts: Mapping[str, object]) -> Any:
    """The facts in two columns."""
    from pipelines.fact_words import shown, worded
    from pipelines.tables import plain_table

    table = plain_table(title, "", "")
    table.show_header = False
    for name, value in facts.items():
        table.add_row(worded(name), shown(value))
    return table


def _prepared_facts(args: argparse.Namespace) -> tuple[Sequence[Mapping[str, Any]] | None, Mapping[str, Any] | None]:
    """The cleaning steps and the audit of a config file that has a split; nothing for a bare source."""
    from pipelines import yaml_text

    if not args.source.endswith((".yaml", ".yml")) or "split" not in yaml_text.read(Path(args.source)):
        return None, None
    from pipelines.config import load
    from recsys.data.audit import audit

    experiment = load(args.source, args.overrides)
    prepared = experiment.prepare()
    cleaning: Any = prepared.report.get("cleaning")
    return cleaning, audit(prepared, seed=experiment.split_seed).to_json()
