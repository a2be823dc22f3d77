"""A comparison as a page, and its tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import polars as pl
import torch

from pipelines.compare import cost, entries_of
from pipelines.compare_charts import forest, plane
from pipelines.fact_words import shown, worded
from pipelines.page import figure, grid, page, percent, section, table
from pipelines.tables import duration, number, p_value
from recsys import files
from recsys.comparison import Comparison, Entrant, Row, Slice
from recsys.errors import RunError
from recsys.evaluation import batch_means, mean
from recsys.run import Run
from recsys.run_folder import LISTS

_KINDS = {"popularity": "By the popularity of what is looked for", "history": "By the length of the history"}


def write(folder: Path, found: Comparison, notes: Sequence[str]) -> None:
    """``index.html``, ``comparison.md``, ``comparison.csv``, ``slices.csv``, and ``values.parquet``, the values of every shared query.

    Raises:
        RunError: the folder cannot be made.
        ConfigError: matplotlib is not installed; nothing is written.
    """
    rows, slices = rows_frame(found), slices_frame(found)
    whole = html(found, notes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--output {folder} cannot be made ({error.strerror}); choose another folder") from None
    files.write_text(folder / "index.html", whole)
    files.write_text(folder / "comparison.md", markdown(found, notes))
    files.write_text(folder / "comparison.csv", rows.write_csv())
    files.write_text(folder / "slices.csv", slices.write_csv())
    files.replace(folder / "values.parquet", named_values(found).write_parquet)


def html(found: Comparison, notes: Sequence[str]) -> str:
    """The page."""
    data = _data(found)
    title = f"{data}: {len(found.entrants)} methods"
    head = f"<header><h1>{escape(title)}</h1><p>{found.queries:,} test queries that every method answered; the baseline is "
    head += f"<b>{escape(found.baseline.name)}</b>.</p></header>"
    said = "".join(f"<p>{escape(line)}</p>" for line in notes)
    metrics = "".join(section(metric, _forest(found, metric), _rows_table(found, metric)) for metric in found.metrics)
    return page(
        title,
        head,
        said,
        metrics,
        _slices(found),
        section("What it costs", *_costs(found)),
        _seeds(found),
        section("What the numbers mean", *_meaning(found)),
        '<p class="files">Beside this page: <a href="comparison.md">comparison.md</a>, <a href="comparison.csv">comparison.csv</a>, '
        '<a href="slices.csv">slices.csv</a>, <a href="values.parquet">values.parquet</a> (every query).</p>',
    )


def markdown(found: Comparison, notes: Sequence[str]) -> str:
    """Tables for a document."""
    lines = [f"# {_data(found)}: {len(found.entrants)} methods", ""]
    for metric in found.metrics:
        lines += [f"## {metric}", "", "| method | mean | 95 % interval | against the first | p | time |", "|" + " --- |" * 6]
        for row in _ordered(found, metric):
            within, gap = row.both or row.mean, row.difference
            against = "" if gap is None else f"{gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
            seconds = next(entrant.seconds for entrant in found.entrants if entrant.name == row.entrant)
            cells = [f"`{row.entrant}`", number(within.mean), f"{number(within.low)} to {number(within.high)}", against]
            lines.append("| " + " | ".join([*cells, "" if row.p is None else p_value(row.p), duration(seconds)]) + " |")
        lines.append("")
    return "\n".join([*lines, *(line + "\n" for line in notes)])


def rows_frame(found: Comparison) -> pl.DataFrame:
    """One row a method and metric, all its numbers."""
    return pl.DataFrame([_flat(found, row) for row in found.rows], infer_schema_length=None)


def slices_frame(found: Comparison) -> pl.DataFrame:
    """One row a slice, method and metric."""
    schema = ["kind", "slice", "method", "metric", "queries", "mean", "low", "high", "difference", "difference_low", "difference_high", "p"]
    rows = []
    for part in found.slices:
        gap = part.difference
        told = (None,) * 4 if gap is None else (gap.mean, gap.low, gap.high, gap.p)
        within = part.mean
        rows.append((part.kind, part.value, part.entrant, part.metric, within.queries, within.mean, within.low, within.high, *told))
    return pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)


def named_values(found: Comparison) -> pl.DataFrame:
    """The values of every query, a column for each metric, method and seed."""
    names: dict[str, str] = {}
    for at, entrant in enumerate(found.entrants):
        for number_, run in enumerate(entrant.runs):
            several = f", seed {run.about['spec']['seed']}" if len(entrant.runs) > 1 else ""
            names |= {f"{metric}/{at}/{number_}": f"{metric}, {entrant.name}{several}" for metric in found.metrics}
    return found.values.rename(names)


def _flat(found: Comparison, row: Row) -> dict[str, Any]:
    within, gap, effect = row.both or row.mean, row.difference, row.effect
    entrant = next(entrant for entrant in found.entrants if entrant.name == row.entrant)
    return {
        "method": row.entrant,
        "metric": row.metric,
        "seeds": len(row.seeds),
        "queries": row.mean.queries,
        "mean": within.mean,
        "low": within.low,
        "high": within.high,
        "difference": None if gap is None else gap.mean,
        "difference_low": None if gap is None else gap.low,
        "difference_high": None if gap is None else gap.high,
        "p_holm": row.p,
        "d_z": None if effect is None else effect.d_z,
        "better": None if effect is None else effect.better,
        "worse": None if effect is None else effect.worse,
        "lost": row.lost,
        "gained": row.gained,
        "seconds": entrant.seconds,
        "peak_rss_mb": entrant.peak_rss_mb,
    }


def _data(found: Comparison) -> str:
    source = found.baseline.runs[0].about["data"].get("report", {}).get("source", {})
    return str(source.get("class_path", "Comparison")).rpartition(".")[2]


def _ordered(found: Comparison, metric: str) -> list[Row]:
    return [found.row(found.entrants[at].name, metric) for at in found.groups[metric].order]


def _forest(found: Comparison, metric: str) -> str:
    joined = any(len(group) > 1 for group in found.groups[metric].groups)
    caption = f"Mean and 95 % interval of each method, the baseline ({found.baseline.name}) in another colour."
    caption += " Dots on one line on the right: methods that cannot be told apart." if joined else " Every method differs from the others."
    return figure(forest(found, metric), caption, wide=True)


def _rows_table(found: Comparison, metric: str) -> str:
    head = ["method", "mean", "95 % interval", "against the baseline", "p (Holm)", "effect d", "better / worse", "hits gained / lost"]
    rows = []
    for row in _ordered(found, metric):
        within, gap, effect = row.both or row.mean, row.difference, row.effect
        cells = [escape(row.entrant), number(within.mean), f"{number(within.low)} to {number(within.high)}"]
        if gap is None or effect is None or row.p is None:
            rows.append([*cells, "baseline", "", "", "", ""])
            continue
        hits = "" if row.gained is None or row.lost is None else f"{percent(row.gained)} / {percent(row.lost)}"
        against = f"{gap.mean:+.4f}<small>{gap.low:+.4f} to {gap.high:+.4f}</small>"
        rows.append([*cells, against, p_value(row.p), number(effect.d_z), f"{percent(effect.better)} / {percent(effect.worse)}", hits])
    return table(head, rows, text=1)


def _slices(found: Comparison) -> str:
    if not found.slices:
        return ""
    metric = found.metrics[0]
    parts = [part for part in found.slices if part.metric == metric]
    tables = []
    for kind in dict.fromkeys(part.kind for part in parts):
        inner = [part for part in parts if part.kind == kind]
        tables.append(f"<h3>{escape(_KINDS.get(kind, kind))}</h3>{_slice_table(found, metric, inner)}")
    said = f"{metric} on a part of the queries, with its 95 % interval; in bold the highest of each column. Head, torso and tail are items "
    said += "with a third of the training events each."
    return section("Slices", f"<p>{escape(said)}</p>", *tables)


def _slice_table(found: Comparison, metric: str, parts: Sequence[Slice]) -> str:
    values = list(dict.fromkeys(part.value for part in parts))
    by = {(part.entrant, part.value): part for part in parts}
    best = {value: max((p.mean.mean for p in parts if p.value == value), default=0.0) for value in values}
    first = found.entrants[0].name
    head = ["method", *(f"{escape(value)}<small>{by[first, value].mean.queries:,} queries</small>" for value in values)]
    rows = []
    for row in _ordered(found, metric):
        cells = [escape(row.entrant)]
        for value in values:
            within = by[row.entrant, value].mean
            told = number(within.mean) if within.mean < best[value] else f"<b>{number(within.mean)}</b>"
            cells.append(f"{told}<small>{number(within.low)} to {number(within.high)}</small>")
        rows.append(cells)
    return table(head, rows, text=1)


def _costs(found: Comparison) -> list[str]:
    metric, entries = found.metrics[0], entries_of(found)
    means = {entrant.name: (found.row(entrant.name, metric)).mean.mean for entrant in found.entrants}
    drawn = [
        figure(
            plane(
                f"{metric} over time",
                [(entrant.name, max(entrant.seconds, 0.1), means[entrant.name]) for entrant in found.entrants],
                "seconds of a run, all phases",
                metric,
                logarithmic=True,
            ),
            f"{metric} and the time of a run: choosing on validation, training for the test, ranking.",
        )
    ]
    popular = {entrant.name: value for entrant in found.entrants if (value := mean_popularity(entrant)) is not None}
    if len(popular) == len(found.entrants):
        points = [(name, value, means[name]) for name, value in popular.items()]
        label = "training events of a recommended item, mean"
        caption = f"{metric} and popularity bias: to the left are methods that recommend what few have had."
        drawn.append(figure(plane(f"{metric} and popularity bias", points, label, metric, logarithmic=True), caption))
    rows = []
    for entrant in found.entrants:
        memory = "-" if entrant.peak_rss_mb is None else f"{entrant.peak_rss_mb / 1024:.1f} GiB"
        where = entrant.runs[0].about.get("environment", {})
        machine = f"{where.get('cpu', '-')}, {where.get('threads', '-')} threads"
        rows.append([escape(entrant.name), escape(machine), cost(entrant, entries), duration(entrant.seconds), memory])
    return [grid(*drawn), table(["method", "machine", "tuned on these data with", "a run", "memory"], rows, text=3)]


def mean_popularity(entrant: Entrant) -> float | None:
    """The mean number of training events of the items in the lists; None where the runs did not keep their lists."""
    means = []
    for run in entrant.runs:
        name = next((name for name in run.metrics if name.startswith("test/average_popularity@")), None)
        if name is not None:
            means.append(run.metrics[name])
        elif (run.folder / LISTS).exists():
            events, items = run.train.counts.cpu(), run.lists["items"]
            of_item = pl.Series(events[torch.from_numpy(items.explode().drop_nulls().to_numpy()).long()].double().numpy())
            query = pl.int_range(len(items), eager=True).repeat_by(items.list.len()).explode().drop_nulls()
            means.append(mean(pl.DataFrame({"query": query, "events": of_item}).group_by("query").mean()["events"]))
        else:
            return None
    return mean(means)


def _seeds(found: Comparison) -> str:
    several = [entrant for entrant in found.entrants if len(entrant.runs) > 1]
    if not several:
        return ""
    rows = []
    for entrant in several:
        for metric in found.metrics:
            row = found.row(entrant.name, metric)
            each = ", ".join(f"{run.about['spec']['seed']}: {number(v)}" for run, v in zip(entrant.runs, row.seeds, strict=True))
            both = row.both or row.mean
            cells = [escape(entrant.name), metric, each, number(both.mean)]
            rows.append([*cells, f"{number(row.mean.low)} to {number(row.mean.high)}", f"{number(both.low)} to {number(both.high)}"])
    head = ["method", "metric", "each seed", "mean", "interval over queries", "over queries and seeds"]
    return section("Seeds", table(head, rows, text=3))


def _meaning(found: Comparison) -> list[str]:
    run = found.baseline.runs[0]
    facts = {name: value for name, value in run.about["facts"]["test"].items() if name != "metrics"}
    rows = [[escape(worded(name)), escape(shown(value))] for name, value in facts.items()]
    rows += [["data and split", escape(run.about["data"]["fingerprint"])], ["measured", ", ".join(_dates(found))]]
    defined = run.about["facts"]["test"].get("metrics", {})
    rows += [[escape(metric), escape(defined.get(metric, {}).get("definition", ""))] for metric in found.metrics]
    rows += [
        [f"{escape(name)}, {escape(entrant.name)}", value] for entrant in found.entrants for name, value in _batched(entrant.runs[0], found)
    ]
    return [table(["", ""], rows, text=2, css="facts")]


def _dates(found: Comparison) -> list[str]:
    return sorted({run.about["started"][:10] for entrant in found.entrants for run in entrant.runs})


def _batched(run: Run, found: Comparison) -> list[tuple[str, str]]:
    """What a mean of the means of test batches would have said, for the first metric."""
    keys = [name for name in run.per_query.columns if "@" not in name]
    if run.per_query[keys[0]].n_unique() < 128:
        return []
    metric = found.metrics[0]
    name, value = next(iter(batch_means(run.per_query.select(*keys, metric), 128).items()))
    pooled = number(mean(run.per_query[metric]))
    return [(name, f"{number(value)} (a mean of batch means, as some code reports; pooled over queries: {pooled})")]
