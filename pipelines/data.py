"""``recsys data prepare`` and ``recsys data download``, and how a source is named on the command line."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines import yaml_text
from pipelines.commands import UsageError
from pipelines.component_help import component_help
from pipelines.config import resolve_option
from pipelines.tables import console, duration, plain_table
from recsys.data.source import Source

_TABLES = (".csv", ".tsv", ".inter", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc", ".gz", ".zst")


def source_of(args: argparse.Namespace) -> Source | None:
    """The source that is named, or the one of a config file, with overrides. None after help was printed.

    Raises:
        UsageError: no source is named.
        ConfigError: it cannot be built.
    """
    tree: dict[str, Any] = {}
    if args.source is not None:
        if Path(args.source).suffix.lower() in _TABLES:
            columns = "--data.user=COLUMN --data.item=COLUMN"
            write = f"recsys {args.command} Table --data.path={args.source} {columns}"
            raise UsageError(f"{args.source} is a table, not a config; write: {write}")
        is_file = args.source.endswith((".yaml", ".yml")) or Path(args.source).is_file()
        tree = yaml_text.read(Path(args.source)) if is_file else {"data": args.source}
    for key, value in args.overrides:
        if key == "data.help":
            print(component_help(tree, "data", value))
            return None
    others = [key for key, _ in args.overrides if key.split(".")[0] != "data"]
    if others:
        raise UsageError(f"--{others[0]} has no part in this; only options of the data do, such as --data.root=DIR")
    if args.source is None:
        raise UsageError("name a source class (recsys data describe MovieLens) or a config file; --data.help lists the classes")
    found: Source = resolve_option(tree, "data", args.overrides)
    return found


def prepare(args: argparse.Namespace) -> int:
    """Prepare the data of an experiment, or map what is there, and print what became of the rows."""
    from pipelines.train import experiment_of

    experiment = experiment_of(args)
    if experiment is None:
        return 0
    experiment.check()
    begun = time.perf_counter()
    prepared = experiment.prepare(verify=args.verify)
    seconds = time.perf_counter() - begun
    if args.json:
        print(json.dumps({"fingerprint": prepared.fingerprint, "seconds": seconds, **prepared.report}))
    else:
        console().print(rows_table(f"{args.config}: what became of the rows", prepared.report))
        print(f"data {prepared.fingerprint}, ready in {duration(seconds)}")
    return 0


def rows_table(title: str, report: Mapping[str, Any]) -> Any:
    """From the rows that were read, over what each step removed, to the parts."""
    table = plain_table(title, "", "events", f"{report['owner']}s", "items")
    if "quarantined" in report:
        table.add_row("set aside while reading (not in the next line)", f"{report['quarantined']:,}", "", "")
    table.add_row("read", *(f"{report[name]:,}" for name in ("events", "owners", "items")))
    for entry in report["cleaning"]:
        if entry["fold"] is None:
            table.add_row(f"after {entry['step']}", *_changed(entry))
    if report["dropped_by_splitter"]:
        table.add_row("left out by the split", f"{report['dropped_by_splitter']:,}", "", "")
    for part, counts in report["parts"].items():
        table.add_row(f"part {part}", *(f"{counts[name]:,}" for name in ("events", "owners", "items")))
    for fold in ("select", "refit"):
        for entry in report["cleaning"]:
            if entry["fold"] == fold:
                table.add_row(f"trained on in {fold}, after {entry['step']}", *_changed(entry))
    return table


def download(args: argparse.Namespace) -> int:
    """Fetch the files of a named data set and print where they are."""
    source = source_of(args)
    if source is None:
        return 0
    files = source.files()
    for path in files:
        print(path)
    if not files:
        print(f"{type(source).__name__} reads no files; there is nothing to fetch", file=sys.stderr)
    return 0


def _changed(entry: Mapping[str, Any]) -> list[str]:
    """Events, owners and items after a step, and the difference to before it."""
    return [f"{entry[name][1]:,} ({entry[name][1] - entry[name][0]:+,})" for name in ("events", "owners", "items")]
