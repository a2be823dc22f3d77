"""``recsys data describe`` and ``recsys data download``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines import yaml_text
from pipelines.commands import UsageError
from pipelines.component_help import component_help
from pipelines.config import resolve_option
from pipelines.tables import console, number, plain_table
from recsys.data.source import Source


def source_of(args: argparse.Namespace) -> Source | None:
    """The source that is named, or the one of a config file, with overrides. None after help was printed.

    Raises:
        UsageError: no source is named.
        ConfigError: it cannot be built.
    """
    tree: dict[str, Any] = {}
    if args.source is not None:
        if Path(args.source).suffix.lower() in (".csv", ".tsv", ".parquet", ".gz"):
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


def describe(args: argparse.Namespace) -> int:
    """Print what is in a log."""
    source = source_of(args)
    if source is None:
        return 0
    from recsys.data import describe as facts_of

    facts = facts_of(source.events(), origin=source.origin)
    if args.json:
        print(json.dumps(facts))
    else:
        console().print(_table(type(source).__name__, facts))
    return 0


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


_WORDS = {
    "density": "share of all owner-item pairs that occur",
    "repeats": "share of events that repeat a pair",
    "length_median": "events an owner, median",
    "length_mean": "events an owner, mean",
    "length_max": "events an owner, largest",
    "top_1_percent": "share of events on the top 1 % of items",
    "owner": "owner of an event",
    "parts": "events by part",
}


def _table(title: str, facts: Mapping[str, object]) -> Any:
    table = plain_table(title, "", "")
    table.show_header = False
    for name, value in facts.items():
        table.add_row(_WORDS.get(name, name), _shown(value))
    return table


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(inner)}" for key, inner in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.2g}" if abs(value) < 0.001 else number(value)
    return str(value)
