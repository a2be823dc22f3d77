"""A page about a log: one HTML file that needs nothing else, and its tables as Parquet beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from pipelines import charts
from pipelines.fact_words import shown, worded
from pipelines.page import figure, grid, page, percent, section, table
from recsys import files
from recsys.data.describe import WEEKDAYS, cleaning_table


def write_page(
    path: Path | str,
    title: str,
    facts: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    cleaning: Sequence[Mapping[str, Any]] | None = None,
    audit: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write the page and its tables.

    Args:
        path: the HTML file; ``facts.json`` and one ``<table>.parquet`` for each table are written into the same folder.
        title: usually the name of the source.
        facts, tables: what :func:`recsys.data.describe.survey` found.
        cleaning: the steps of ``report["cleaning"]`` of prepared data.
        audit: what :meth:`recsys.data.audit.Audit.to_json` gives.

    Returns:
        the files that were written, the page first.

    Raises:
        ConfigError: matplotlib is not installed; nothing is written.
    """
    path = Path(path)
    tables = dict(tables)
    if cleaning:
        tables["cleaning"] = cleaning_table(cleaning)
    whole = page(
        title,
        _head(title, facts),
        _sizes(facts),
        section("Popularity of items", *_popularity(facts, tables)),
        section("Time", *_time(facts, tables)) if "days" in tables else "",
        section("Histories and events", grid(*_marks(facts, tables))),
        section("What cleaning removed", *_cleaning(tables["cleaning"], str(facts["owner"]))) if cleaning else "",
        section("Leak audit", _audit(audit)) if audit is not None else "",
        section("All numbers", _facts_table(facts), _downloads(tables)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path, path.parent / "facts.json"]
    for name, frame in tables.items():
        written.append(path.parent / f"{name}.parquet")
        files.replace(written[-1], frame.write_parquet)
    files.replace(written[1], lambda stream: stream.write((json.dumps(dict(facts), indent=1) + "\n").encode()))
    files.replace(path, lambda stream: stream.write(whole.encode()))
    return written


def _head(title: str, facts: Mapping[str, Any]) -> str:
    owner = facts["owner"]
    said = f"{facts['events']:,} events of {facts['owners']:,} {owner}s on {facts['items']:,} items"
    if "first" in facts:
        said += f", from {facts['first'][:10]} to {facts['last'][:10]}"
    return f"<header><h1>{escape(title)}</h1><p>{said}.</p></header>"


def _sizes(facts: Mapping[str, Any]) -> str:
    owner = facts["owner"]
    tiles = [
        ("events", f"{facts['events']:,}"),
        (f"{owner}s", f"{facts['owners']:,}"),
        ("items", f"{facts['items']:,}"),
        (f"of all {owner}-item pairs occur", percent(facts["density"])),
        (f"events a {owner}, median", f"{facts['length_median']:,g}"),
        ("events repeat a pair", percent(facts["repeats"])),
        ("exact duplicates", f"{facts['duplicates']:,}"),
    ]
    if "consecutive_repeats" in facts:
        tiles.append(("events repeat the item just before", f"{facts['consecutive_repeats']:,}"))
    return '<div class="tiles">' + "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in tiles) + "</div>"


def _popularity(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> list[str]:
    said = (
        f"The most popular hundredth of the items has {percent(facts['top_1_percent'])} of the events, the most popular fifth "
        f"{percent(facts['top_20_percent'])} (Gini {facts['gini']:.2f}). {percent(facts['items_once'])} of the items have one event, "
        f"{percent(facts['items_below_5'])} fewer than five."
    )
    drawn = [
        figure(charts.popularity(tables["popularity"]), "Events of each item by its rank; both axes are logarithmic."),
        figure(charts.concentration(tables["popularity"], facts["items"]), "How much of the log the most popular items make up."),
    ]
    return [f"<p>{said}</p>", grid(*drawn)]


def _time(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> list[str]:
    days = len(tables["days"])
    said = f"{days:,} calendar days (UTC), each with events. "
    if facts["empty_days"]:
        said = f"{days:,} calendar days (UTC); {facts['empty_days']:,} of them have no event, at most {facts['longest_gap']:,} in a row. "
    if facts["same_moment"]:
        said += f"{percent(facts['same_moment'])} of the events share their time stamp with another event of the same {facts['owner']}: "
        said += "their order is not in the data."
    else:
        said += f"No two events of a {facts['owner']} share a time stamp."
    busiest = tables["hours"].sort("events", descending=True).row(0, named=True)
    heat = f"Most events are on {WEEKDAYS[busiest['weekday']]}s from {busiest['hour']}:00 to {busiest['hour'] + 1}:00."
    return [
        f"<p>{said}</p>",
        figure(charts.over_time(tables["days"]), "Events over time; a gap is a stretch without events.", wide=True),
        figure(charts.week(tables["hours"]), f"Events by weekday and hour, the stronger the more. {heat}", wide=True),
    ]


def _marks(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> list[str]:
    owner = str(facts["owner"])
    lengths = f"{owner.capitalize()}s by their number of events: median {facts['length_median']:,g}, mean {facts['length_mean']:,.1f}, "
    drawn = [figure(charts.lengths(tables["lengths"], owner), f"{lengths}largest {facts['length_max']:,}.")]
    if "weights" in tables:
        said = f"from {facts['weight_min']:g} to {facts['weight_max']:g}, mean {facts['weight_mean']:.3g}"
        drawn.append(figure(charts.weights(tables["weights"]), f"Events by weight: {said}."))
    for name in ("kind", "part"):
        if f"{name}s" in tables:
            drawn.append(figure(charts.named(tables[f"{name}s"], name), f"Events by {name}: {shown(facts[f'{name}s'])}."))
    return drawn


def _cleaning(steps: pl.DataFrame, owner: str) -> list[str]:
    head = ["step", "counted in", "events", "removed", f"{owner}s", "removed", "items", "removed"]
    rows = []
    for row in steps.iter_rows(named=True):
        cells = [escape(row["step"]), _FOLDS.get(row["fold"], "all events") if row["fit"] else "each owner"]
        for what in ("events", "owners", "items"):
            gone = row[f"{what}_before"] - row[f"{what}_after"]
            part = f" ({percent(gone / row[f'{what}_before'])})" if gone and row[f"{what}_before"] else ""
            cells += [f"{row[f'{what}_before']:,} → {row[f'{what}_after']:,}", f"{gone:,}{part}"]
        rows.append(cells)
    early, late = steps.filter(pl.col("fold").is_null()), steps.filter(pl.col("fold") == "refit")
    drawn = [figure(charts.waterfall(early, owner), "What is left after each step before the split.", wide=True)] if len(early) else []
    if len(late):
        drawn.append(figure(charts.waterfall(late, owner), "What is left of training + validation after the split.", wide=True))
    return [*drawn, table(head, rows, text=2)]


def _audit(found: Mapping[str, Any]) -> str:
    rows = [
        [escape(c["name"]), f'<span class="status {c["status"].split()[0]}">{escape(c["status"])}</span>', escape(c["text"])]
        for c in found["checks"]
    ]
    return table(["check", "status", "what was found"], rows, text=3)


def _facts_table(facts: Mapping[str, Any]) -> str:
    return table(["", ""], [[escape(worded(name)), escape(shown(value))] for name, value in facts.items()], text=1, css="facts")


def _downloads(tables: Mapping[str, pl.DataFrame]) -> str:
    links = ", ".join(f'<a href="{name}.parquet">{name}.parquet</a> ({len(table):,} rows)' for name, table in tables.items())
    return f'<p class="files">Beside this page: <a href="facts.json">facts.json</a>, {links}.</p>'


_FOLDS = {"select": "training events", "refit": "training + validation events"}
