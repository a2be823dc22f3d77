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
    body = "".join(
        (
            _head(title, facts),
            _sizes(facts),
            _section("Popularity of items", *_popularity(facts, tables)),
            _section("Time", *_time(facts, tables)) if "days" in tables else "",
            _section("Histories and events", _grid(*_marks(facts, tables))),
            _section("What cleaning removed", *_cleaning(tables["cleaning"], str(facts["owner"]))) if cleaning else "",
            _section("Leak audit", _audit(audit)) if audit is not None else "",
            _section("All numbers", _facts_table(facts), _downloads(tables)),
        )
    )
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    page += f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_CSS}</style></head>'
    page += f"<body><main>{body}</main></body></html>\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path, path.parent / "facts.json"]
    for name, table in tables.items():
        written.append(path.parent / f"{name}.parquet")
        files.replace(written[-1], table.write_parquet)
    files.replace(written[1], lambda stream: stream.write((json.dumps(dict(facts), indent=1) + "\n").encode()))
    files.replace(path, lambda stream: stream.write(page.encode()))
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
        (f"of all {owner}-item pairs occur", _percent(facts["density"])),
        (f"events a {owner}, median", f"{facts['length_median']:,g}"),
        ("events repeat a pair", _percent(facts["repeats"])),
        ("exact duplicates", f"{facts['duplicates']:,}"),
    ]
    if "consecutive_repeats" in facts:
        tiles.append(("events repeat the item just before", f"{facts['consecutive_repeats']:,}"))
    return '<div class="tiles">' + "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in tiles) + "</div>"


def _popularity(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> list[str]:
    said = (
        f"The most popular hundredth of the items has {_percent(facts['top_1_percent'])} of the events, the most popular fifth "
        f"{_percent(facts['top_20_percent'])} (Gini {facts['gini']:.2f}). {_percent(facts['items_once'])} of the items have one event, "
        f"{_percent(facts['items_below_5'])} fewer than five."
    )
    drawn = [
        _figure(charts.popularity(tables["popularity"]), "Events of each item by its rank; both axes are logarithmic."),
        _figure(charts.concentration(tables["popularity"], facts["items"]), "How much of the log the most popular items make up."),
    ]
    return [f"<p>{said}</p>", _grid(*drawn)]


def _time(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> list[str]:
    days = len(tables["days"])
    said = f"{days:,} calendar days (UTC), each with events. "
    if facts["empty_days"]:
        said = f"{days:,} calendar days (UTC); {facts['empty_days']:,} of them have no event, at most {facts['longest_gap']:,} in a row. "
    if facts["same_moment"]:
        said += f"{_percent(facts['same_moment'])} of the events share their time stamp with another event of the same {facts['owner']}: "
        said += "their order is not in the data."
    else:
        said += f"No two events of a {facts['owner']} share a time stamp."
    busiest = tables["hours"].sort("events", descending=True).row(0, named=True)
    heat = f"Most events are on {WEEKDAYS[busiest['weekday']]}s from {busiest['hour']}:00 to {busiest['hour'] + 1}:00."
    return [
        f"<p>{said}</p>",
        _figure(charts.over_time(tables["days"]), "Events over time; a gap is a stretch without events.", wide=True),
        _figure(charts.week(tables["hours"]), f"Events by weekday and hour, the stronger the more. {heat}", wide=True),
    ]


def _marks(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> list[str]:
    owner = str(facts["owner"])
    lengths = f"{owner.capitalize()}s by their number of events: median {facts['length_median']:,g}, mean {facts['length_mean']:,.1f}, "
    drawn = [_figure(charts.lengths(tables["lengths"], owner), f"{lengths}largest {facts['length_max']:,}.")]
    if "weights" in tables:
        said = f"from {facts['weight_min']:g} to {facts['weight_max']:g}, mean {facts['weight_mean']:.3g}"
        drawn.append(_figure(charts.weights(tables["weights"]), f"Events by weight: {said}."))
    for name in ("kind", "part"):
        if f"{name}s" in tables:
            drawn.append(_figure(charts.named(tables[f"{name}s"], name), f"Events by {name}: {shown(facts[f'{name}s'])}."))
    return drawn


def _cleaning(table: pl.DataFrame, owner: str) -> list[str]:
    head = ["step", "counted in", "events", "removed", f"{owner}s", "removed", "items", "removed"]
    rows = []
    for row in table.iter_rows(named=True):
        cells = [escape(row["step"]), _FOLDS.get(row["fold"], "all events") if row["fit"] else "each owner"]
        for what in ("events", "owners", "items"):
            gone = row[f"{what}_before"] - row[f"{what}_after"]
            part = f" ({_percent(gone / row[f'{what}_before'])})" if gone and row[f"{what}_before"] else ""
            cells += [f"{row[f'{what}_before']:,} → {row[f'{what}_after']:,}", f"{gone:,}{part}"]
        rows.append(cells)
    early, late = table.filter(pl.col("fold").is_null()), table.filter(pl.col("fold") == "refit")
    drawn = [_figure(charts.waterfall(early, owner), "What is left after each step before the split.", wide=True)] if len(early) else []
    if len(late):
        drawn.append(_figure(charts.waterfall(late, owner), "What is left of training + validation after the split.", wide=True))
    return [*drawn, _table(head, rows, text=2)]


def _audit(found: Mapping[str, Any]) -> str:
    rows = [
        [escape(c["name"]), f'<span class="status {c["status"].split()[0]}">{escape(c["status"])}</span>', escape(c["text"])]
        for c in found["checks"]
    ]
    return _table(["check", "status", "what was found"], rows, text=3)


def _facts_table(facts: Mapping[str, Any]) -> str:
    return _table(["", ""], [[escape(worded(name)), escape(shown(value))] for name, value in facts.items()], text=1, css="facts")


def _downloads(tables: Mapping[str, pl.DataFrame]) -> str:
    links = ", ".join(f'<a href="{name}.parquet">{name}.parquet</a> ({len(table):,} rows)' for name, table in tables.items())
    return f'<p class="files">Beside this page: <a href="facts.json">facts.json</a>, {links}.</p>'


def _section(title: str, *inner: str) -> str:
    return f"<section><h2>{title}</h2>{''.join(inner)}</section>"


def _grid(*inner: str) -> str:
    return f'<div class="grid">{"".join(inner)}</div>'


def _figure(drawn: str, caption: str, *, wide: bool = False) -> str:
    return f"<figure{' class=wide' if wide else ''}>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text: int, css: str = "") -> str:
    """``text``: how many columns, from the left, hold words; the others hold numbers. Cells are HTML."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}{'' if at < text else ' class=n'}>{cell}</{tag}>" for at, cell in enumerate(cells))

    top = f"<thead><tr>{line(head, 'th')}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table class="{css}">{top}<tbody>{body}</tbody></table></div>'


def _percent(part: float) -> str:
    """Two digits that count, and never 0 % for what is not nothing."""
    value = 100 * part
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.2g} %" if value >= 0.001 else "< 0.001 %"


_FOLDS = {"select": "training events", "refit": "training + validation events"}
_CSS = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #8a94a3; --accent: #2468b4; --second: #c2711a; --ground: #ffffff;
  --card: #f5f7fa; --line: #dde2e9; --red: #b3261e; --amber: #8a5a00; --green: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --faint: #8490a0; --accent: #6aaeff; --second: #f0a658; --ground: #12161c;
  --card: #1b212a; --line: #313a46; --red: #ff8a80; --amber: #ffc45c; --green: #6fd694; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 24px 48px; }
h1 { font-size: 27px; margin: 0; line-height: 1.2; } h2 { font-size: 19px; margin: 38px 0 8px; }
header p { margin: 6px 0 18px; } p { max-width: 78ch; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(220px, 45%), 1fr)); gap: 10px; }
.tiles > div { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; }
.tiles b { display: block; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; } .tiles span { font-size: 13px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); gap: 18px; }
figure { margin: 0 0 10px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; }
figure svg { display: block; width: 100%; height: auto; max-width: 560px; } figure.wide svg { max-width: none; }
figure svg text { font-family: inherit !important; }
figcaption { font-size: 13.5px; margin-top: 6px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; } th { font-weight: 600; }
.n { text-align: right; white-space: nowrap; } table.facts { width: auto; min-width: 55%; } a { color: var(--accent); }
.status { font-weight: 600; white-space: nowrap; }
.red { color: var(--red); } .amber { color: var(--amber); } .green { color: var(--green); }
.status::before { content: "● "; } .status.not::before { content: "○ "; } .files { font-size: 14px; }
@media print { :root { color-scheme: light; --ink: #000000; --faint: #777777; --accent: #2468b4; --second: #c2711a; --ground: #ffffff;
  --card: #ffffff; --line: #cccccc; --red: #b3261e; --amber: #8a5a00; --green: #1b6e3c; }
  body { font-size: 12px; } main { max-width: none; padding: 0; } h2 { break-after: avoid; margin-top: 22px; }
  figure, tr, .tiles > div { break-inside: avoid; } .grid { grid-template-columns: 1fr 1fr; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .tiles b { font-size: 16px; } table { font-size: 10px; } th, td { padding-right: 8px; } .scroll { overflow: visible; } }
"""
