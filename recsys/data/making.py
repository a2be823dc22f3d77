"""How prepared data are made: read, clean before the split, label, clean the training logs, encode, write."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.cleaning.step import Step
from recsys.data import clean
from recsys.data.blocks import ROWS, Blocks
from recsys.data.encode import FoldWriter, chosen
from recsys.data.events import PARTS
from recsys.data.ingest import ingest
from recsys.data.kernels import Mask
from recsys.data.labels import ASKED, LABELS, LEARNT, TRAIN, Label, Labels
from recsys.data.reading.quarantine import Quarantine
from recsys.data.recipe import Recipe
from recsys.data.source import Source
from recsys.data.store import Writer
from recsys.errors import ConfigError, DataError
from recsys.part import spec

log = logging.getLogger(__name__)
QUARANTINE = "quarantine.parquet"
_LARGE = 10_000_000  # events that take long enough to say something
Report = dict[str, Any]


def make(recipe: Recipe, folder: Path) -> None:
    """Write prepared data to ``folder``, or nothing.

    Raises:
        ConfigError: the splitter gives no labels.
        DataError: the events cannot be read, or a part of the split is empty.
        OSError: the place cannot be written.
    """
    with Writer(folder) as out, _workplace(out.made) as work:
        report: Report = {"cleaning": []}
        whole = _read(recipe.source, work, out, report)
        early = [step for step in recipe.steps if step.fit != "train"]
        if len(whole) >= _LARGE:
            log.info("read all %s events; cleaning, splitting and encoding them takes about as long again", f"{len(whole):,}")
        labelled = _labelled(recipe, clean.cleaned(whole, early, report["cleaning"], recipe.source.origin), report)
        late = [step for step in recipe.steps if step.fit == "train"]
        if late:
            folds = {name: _own_fold(name, labelled, late, recipe, out, report) for name in LEARNT}
        else:
            folds = _folds(list(LEARNT), labelled, recipe, out, report)
        described = {"source": spec(recipe.source), "clean": spec(list(recipe.clean)), "splitter": spec(recipe.splitter)}
        out.describe({**described, "seed": recipe.seed, "keep_repeats": recipe.keep_repeats, **report}, folds)


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder for blocks, which goes before the one that it is in is renamed."""
    work = folder / "work"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _read(source: Source, work: Path, out: Writer, report: Report) -> Blocks:
    quarantine = Quarantine() if source.on_error == "quarantine" else None
    before = source.fingerprint()
    whole = ingest(source.batches(quarantine), work, rows=ROWS)
    if source.fingerprint() != before:
        raise DataError(f"{source.origin} has changed while it was read; wait until nothing writes to it and start again")
    report |= {"events": len(whole), "owner": whole.owner_kind, "owners": len(whole.owners), "items": len(whole.items)}
    for what, count in source.published.items():
        if report[what] != count:
            text = "%s has %s %s, the published file %s: it may be another release or damaged"
            log.warning(text, type(source).__name__, report[what], what, count)
    if quarantine is not None:
        report["quarantined"] = quarantine.rows
        if quarantine.rows:
            quarantine.write(out.made / QUARANTINE)
            log.warning("%s: %s rows were set aside; they are in %s", source.origin, f"{quarantine.rows:,}", out.folder / QUARANTINE)
    return whole


@dataclass(frozen=True)
class Labelled:
    """A log and what each of its events is for. ``there`` has for each label bool [N]: the items that have it."""

    log: Blocks
    labels: Labels
    there: list[Mask]

    def known(self, fold: str) -> Mask:
        """bool [N]: items with a training event of this fold."""
        return np.asarray(np.logical_or.reduce([self.there[label] for label in LEARNT[fold]]))


def _labelled(recipe: Recipe, cleaned: Blocks, report: Report) -> Labelled:
    """Ask the splitter; the report gets events, owners and items of each part, and how many events were left out."""
    splitter = recipe.splitter
    name, labels = type(splitter).__name__, []
    tallies = _tallies(cleaned)
    labeller = splitter.labeller(cleaned, recipe.seed)
    for block in cleaned:
        label = labeller(block)
        if len(label) != len(block) or label.dtype not in (PARTS, LABELS):
            raise ConfigError(
                f"{name}.label gave {len(label)} labels of type {label.dtype} for {len(block)} events; it gives one of type {PARTS} each"
            )
        labels.append(label.to_physical().cast(pl.Int8).fill_null(-1).to_numpy())
        counted = chosen(block, labels[-1]) if recipe.source.shown else labels[-1]
        if recipe.source.shown:
            labels[-1] = np.where(labels[-1] == TRAIN, counted, labels[-1])
        _count(tallies, block, counted)
    parts = {part: tally.counts() for part, tally in zip(LABELS.categories, tallies, strict=True)}
    if not parts["train"]["events"]:
        if "predefined" in splitter.needs():
            advice = "so there is nothing to learn from; check the column named by part="
            raise DataError(f"{recipe.source.origin}: no event is in part 'train', {advice}")
        raise DataError(f"{name} left no training event of {len(cleaned):,}; make its shares smaller")
    report["promise"] = splitter.promise(cleaned.owner_kind)
    report["dropped_by_splitter"] = sum(int((label < 0).sum()) for label in labels)
    report["parts"] = {part: counts for part, counts in parts.items() if counts["events"] or part in PARTS.categories}
    return Labelled(cleaned, labels, [tally.items for tally in tallies])


def _tallies(log: Blocks) -> list[clean.Tally]:
    """One for each label."""
    return [clean.Tally(len(log.items)) for _ in LABELS.categories]


def _count(tallies: Sequence[clean.Tally], block: pl.DataFrame, label: Label) -> None:
    found = np.bincount(label + 1, minlength=len(tallies) + 1)[1:]
    for part in np.flatnonzero(found).tolist():
        tallies[part].add(block, label == part)


def _own_fold(name: str, labelled: Labelled, steps: list[Step], recipe: Recipe, out: Writer, report: Report) -> Any:
    """As :func:`_folds`, for one fold with steps that are fitted on its training events."""
    blocks = clean.fitted(labelled.log, labelled.labels, LEARNT[name], steps, report["cleaning"], name)
    labels, tallies = [], _tallies(blocks)
    for block in blocks:
        labels.append(block[clean.LABEL].to_numpy())
        _count(tallies, block, labels[-1])
    made = _folds([name], Labelled(blocks, labels, [tally.items for tally in tallies]), recipe, out, report)
    for path in blocks.files:
        path.unlink()
    return made[name]


def _folds(names: list[str], labelled: Labelled, recipe: Recipe, out: Writer, report: Report) -> dict[str, Any]:
    """Write folds that are made of the same events; what the JSON file says of each."""
    blocks = labelled.log
    repeats, shown = recipe.keep_repeats, recipe.source.shown
    writers = [FoldWriter(name, blocks, labelled.known(name), out, keep_repeats=repeats, shown=shown) for name in names]
    with ThreadPoolExecutor(len(writers)) as pool:
        for block, label in zip(blocks, labelled.labels, strict=True):
            list(pool.map(FoldWriter.add, writers, [block] * len(writers), [label] * len(writers)))
    folds = {}
    for writer in writers:
        for part, found in writer.counts.items():
            if not found["queries"]:
                raise DataError(
                    f"{type(recipe.splitter).__name__} left no {_PARTS_IN_WORDS[part]} query of {len(blocks):,} events: {_why(found)}; "
                    "choose another split or larger shares, or give more data"
                )
        train = {"events": writer.events, "owners": writer.users, "items": writer.items}
        report[writer.name] = {"train": train, **writer.counts}
        folds[writer.name] = {"num_items": writer.items, "owner_kind": blocks.owner_kind, "holdouts": list(ASKED[writer.name])}
    return folds


_PARTS_IN_WORDS = {"valid": "validation", "test": "test"}
_LOST = {
    "duplicates": "repeat another one",
    "in_history": "repeat what the user did before",
    "first_of_session": "are the first of their session",
}


def _why(counts: dict[str, int]) -> str:
    """What became of the events that were held out for a part that has no query."""
    if not counts["events"]:
        return "it holds none of them out"
    lost = [f"{counts[name]:,} {text}" for name, text in _LOST.items() if counts.get(name)]
    return f"of the {counts['events']:,} it holds out {' and '.join(lost)}"
