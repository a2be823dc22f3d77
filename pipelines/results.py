"""``recsys results``: what the configs reached, kept beside them, and the table that the README shows.

``configs/<dataset>/results.json`` holds, by the name of a config, a fingerprint of the config's content and one record a seed, copied from
finished runs. ``configs/<dataset>/published.yaml`` says what to compare with, and where that was read. A config that was changed since its
result was recorded is named, so that no figure outlives the settings it came from.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import yaml_text
from pipelines.config import load
from pipelines.runs import experiment_of, load_runs
from pipelines.tables import duration
from recsys import files
from recsys.errors import ConfigError, RunError
from recsys.part import fingerprint
from recsys.run import Run

RESULTS, PUBLISHED = "results.json", "published.yaml"
METRICS = ("recall@20", "ndcg@20")
END = "<!-- end of results -->"
PLACE = re.compile(r"<!-- results of (?P<folder>[\w./-]+)(?:: (?P<metrics>[\w@, ]+))? -->\n.*?" + re.escape(END), re.DOTALL)


def add(args: argparse.Namespace) -> int:
    """Record finished runs as what a config reaches."""
    path: Path = args.config
    runs = load_runs(args.run, args.runs)
    for run in runs:
        refuse_other_config(run, path)
    beside = path.parent / RESULTS
    known: dict[str, Any] = json.loads(beside.read_text()) if beside.is_file() else {}
    now = content_fingerprint(path)
    entry = known.get(path.stem)
    if entry is None or entry["config"] != now:
        entry = {"config": now, "runs": []}
    seeds = {run.about["spec"]["seed"] for run in runs}
    kept = [record for record in entry["runs"] if record["seed"] not in seeds]
    entry["runs"] = sorted([*kept, *map(record_of, runs)], key=lambda record: int(record["seed"]))
    files.write_json(beside, dict(sorted({**known, path.stem: entry}.items())))
    print(f"{beside}: {path.stem} has {len(entry['runs'])} {'run' if len(entry['runs']) == 1 else 'runs'}")
    return 0


def table(args: argparse.Namespace) -> int:
    """Print the table of a folder of configs, or write it into a document between its marks."""
    if args.into is None:
        print("\n".join(table_of(args.folder, args.metrics)))
        return 0
    text = args.into.read_text(encoding="utf-8")
    files.write_text(args.into, with_tables(text, args.folder))
    return 0


def refuse_other_config(run: Run, path: Path) -> None:
    """A record must be a run of this config, seeds apart; where both have split_seed equal to seed, that moves along.

    Raises:
        RunError: it is not.
    """
    mine, theirs = load(path), experiment_of(run)
    if mine.split_seed == mine.seed and theirs.split_seed == theirs.seed:
        theirs.split_seed = mine.split_seed
    theirs.seed, theirs.fit.checkpoint_seconds = mine.seed, mine.fit.checkpoint_seconds
    if mine.fingerprint() != theirs.fingerprint():
        raise RunError(f"{run.id} was not made with {path} as it is now; compare recsys config {path} with {run.folder}/config.yaml")


def content_fingerprint(path: Path) -> str:
    """Of what a config says, whatever its comments and layout."""
    return fingerprint(yaml_text.read(path))


def record_of(run: Run) -> dict[str, Any]:
    """What is kept of a run."""
    about = run.about
    chosen = {name: value for name, value in about["metrics"].items() if name.startswith("test/")}
    environment = about["environment"]
    return {
        "seed": about["spec"]["seed"],
        "date": about["started"][:10],
        "epochs": about["selection"]["epochs_run"],
        "chosen_epoch": about["selection"]["epoch"],
        "chosen_on": about["selection"].get("on", "valid"),
        "seconds": round(about["seconds"], 1),
        "peak_rss_mb": about.get("peak_rss_mb"),
        "threads": environment["threads"],
        "cpu": environment["cpu"],
        "metrics": chosen,
        "intervals": about["intervals"],
    }


def table_of(folder: Path, metrics: Sequence[str] | None = None) -> list[str]:
    """The results of a folder of configs as a Markdown table, best first by the first metric.

    Raises:
        ConfigError: there are none, or a config is not what it was when its result was recorded.
    """
    beside = folder / RESULTS
    if not beside.is_file():
        raise ConfigError(f"{folder} has no {RESULTS}; record a finished run with: recsys results add {folder}/NAME.yaml RUN")
    known = json.loads(beside.read_text())
    if stale := [name for name, entry in known.items() if entry["config"] != content_fingerprint(folder / f"{name}.yaml")]:
        raise ConfigError(f"{folder / stale[0]}.yaml was changed after its result was recorded; run it again and record that")
    records = [record for entry in known.values() for record in entry["runs"]]
    measured = [name.removeprefix("test/") for name in records[0]["metrics"] if all(name in record["metrics"] for record in records)]
    metrics = metrics or [name for name in METRICS if name in measured] or measured[:2]
    if not metrics or not set(metrics) <= set(measured):
        asked = ", ".join(metrics) or "a metric of the others"
        raise ConfigError(f"{beside}: not every result has {asked}; all have {', '.join(measured) or 'none in common'}")
    published: dict[str, Any] = yaml_text.read(folder / PUBLISHED) if (folder / PUBLISHED).is_file() else {}
    lines = [f"| config | test {' | test '.join(metrics)} | time | memory | seeds, date | published |", "|" + " --- |" * (len(metrics) + 5)]
    first = f"test/{metrics[0]}"
    for name, entry in sorted(known.items(), key=lambda item: -_mean([r["metrics"][first] for r in item[1]["runs"]])):
        lines.append(_row(name, entry["runs"], metrics, published.get(name, {})))
    if any(record["chosen_on"] == "test" for entry in known.values() for record in entry["runs"]):
        lines += [
            "",
            "† the epoch was chosen on the test set, as in the publication: compare it with the published figure and nothing else.",
        ]
    return lines


def _row(name: str, records: list[dict[str, Any]], metrics: Sequence[str], published: dict[str, Any]) -> str:
    mark = " †" if any(record["chosen_on"] == "test" for record in records) else ""
    cells = [f"`{name}`{mark}"]
    for metric in metrics:
        values = [record["metrics"][f"test/{metric}"] for record in records]
        if len(values) > 1:
            cells.append(f"{_mean(values):.4f} ± {statistics.stdev(values):.4f}")
        else:
            low, high = records[0]["intervals"][f"test/{metric}"]
            cells.append(f"{values[0]:.4f} ({low:.4f} to {high:.4f})")
    cells.append(duration(_mean([record["seconds"] for record in records])))
    memory = max(record["peak_rss_mb"] or 0 for record in records)
    cells.append(f"{memory / 1024:.1f} GiB" if memory else "-")
    cells.append(f"{len(records)}, {max(record['date'] for record in records)}")
    figures = " / ".join(f"{published[metric]:.4f}" for metric in metrics if metric in published)
    cells.append(f"{figures} ({published['source']})" if figures else "")
    return "| " + " | ".join(cells) + " |"


def with_tables(text: str, configs: Path) -> str:
    """A document whose marked parts hold the tables of the folders of ``configs`` that they name: a line
    ``<!-- results of gowalla -->``, or with metrics ``<!-- results of coat: ndcg@5, recall@5 -->``, and a line ``<!-- end of results -->``.

    Raises:
        ConfigError: the document has no mark.
    """
    if not PLACE.search(text):
        raise ConfigError(f"the document has no place for a table; write <!-- results of gowalla --> and {END} on lines of their own")

    def filled(found: re.Match[str]) -> str:
        metrics = found["metrics"].split(", ") if found["metrics"] else None
        return "\n".join([found[0].split("\n", 1)[0], *table_of(configs / found["folder"], metrics), END])

    return PLACE.sub(filled, text)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
