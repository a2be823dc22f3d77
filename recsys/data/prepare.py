"""From a source, cleaning steps and a splitter to encoded, memory-mapped data."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recsys import compatibility
from recsys.cleaning.step import Step
from recsys.data import clean, encode, store
from recsys.data.blocks import ROWS, Blocks
from recsys.data.download import cache_root
from recsys.data.events import PARTS
from recsys.data.ingest import ingest
from recsys.data.labels import ASKED, LABELS, LEARNT, Labels
from recsys.data.log import Prepared
from recsys.data.reading.quarantine import Quarantine
from recsys.data.source import Source
from recsys.errors import ConfigError, DataError
from recsys.part import fingerprint, spec

if TYPE_CHECKING:
    from recsys.splitting.splitter import Splitter

log = logging.getLogger(__name__)
QUARANTINE = "quarantine.parquet"


@dataclass(frozen=True)
class Recipe:
    """All that prepared data depend on; the arguments of :func:`prepare`."""

    source: Source
    splitter: Splitter
    clean: Sequence[Step] = ()
    seed: int = 0
    keep_repeats: bool = False

    @property
    def steps(self) -> list[Step]:
        """The steps that make the data set what it is, then those of the experiment."""
        return [*self.source.steps(), *self.clean]

    def check(self) -> None:
        """Refuse what cannot be; no data is read.

        Raises:
            ConfigError: the splitter or a step needs what the log does not have by then, or a step is listed too late.
        """
        clean.check_order(self.steps)
        compatibility.check({"data": self.source, "clean": self.steps, "split": self.splitter})

    def settings(self) -> dict[str, Any]:
        return {
            "source": self.source.fingerprint(),
            "clean": spec(list(self.clean)),
            "splitter": spec(self.splitter),
            "seed": self.seed,
            "keep_repeats": self.keep_repeats,
            "format": store.FORMAT,
        }


def prepare(
    source: Source,
    splitter: Splitter,
    *,
    clean: Sequence[Step] = (),
    seed: int = 0,
    cache: Path | None = None,
    keep_repeats: bool = False,
    verify: bool = False,
) -> Prepared:
    """Read, check, clean, split and encode a data set, or map it from the cache if that has been done before.

    Events of an owner are sorted by time or order, ties by item id. Codes are in ascending order of id. Vocabularies are fitted on training
    events alone: on ``train`` for ``select``, on train + validation for ``refit``.

    Users: one query for each user with a held-out event; the history is what the user did in earlier parts. Sessions: one query for each
    held-out event but the first of its session; the history is the session so far. Unknown items are left out of histories and counted,
    per query, among what is relevant.

    The log is worked on in blocks: memory holds the ids, one label a row and a few million events, not the log.

    Args:
        source: where the events come from.
        splitter: which events are for what.
        clean: what is removed, in this order.
        seed: of the splitter's random choices.
        cache: folder of prepared data. Default: ``$RECSYS_CACHE/prepared``, else ``~/.cache/recsys/prepared``.
        keep_repeats: whether an item that the user's history already holds can be relevant again. By default it cannot, and is counted in
            the report as ``in_history``; sessions always keep repeats.
        verify: compare what the cache holds with its checksums, every byte, and make it anew if a byte differs.

    Raises:
        ConfigError: the splitter or a step needs what the log does not have.
        DataError: the events cannot be read, or a part of the split is empty.
    """
    recipe = Recipe(source, splitter, clean, seed, keep_repeats)
    recipe.check()
    settings = recipe.settings()
    folder = (cache or cache_root() / "prepared") / f"{type(source).__name__.lower()}-{fingerprint(settings)}"
    found = store.load(folder, verify=verify)
    if found is not None:
        return found
    if verify and folder.exists():
        log.warning("%s is damaged; it is made anew", folder)
    try:
        _make(recipe, folder)
    except OSError as error:
        if (found := store.load(folder)) is not None:  # another process was faster
            return found
        aside = Path(tempfile.mkdtemp(prefix="recsys-prepared-"))
        atexit.register(shutil.rmtree, aside, ignore_errors=True)
        log.warning("prepared data are not kept: %s cannot be written (%s); set RECSYS_CACHE to a folder that can", folder, error.strerror)
        folder = aside / folder.name
        _make(recipe, folder)
    made = store.load(folder)
    if made is None:
        raise DataError(f"{folder} was written and cannot be read again; is the disk in order?")
    return made


def _make(recipe: Recipe, folder: Path) -> None:
    with store.Writer(folder) as out, _workplace(out.made) as work:
        source = recipe.source
        quarantine = Quarantine() if source.on_error == "quarantine" else None
        before = source.fingerprint()
        whole = ingest(source.batches(quarantine), work, rows=ROWS)
        if source.fingerprint() != before:
            raise DataError(f"{source.origin} has changed while it was read; wait until nothing writes to it and start again")
        report: dict[str, Any] = {"cleaning": []}
        report |= {"events": len(whole), "owner": whole.owner_kind, "owners": len(whole.owners), "items": len(whole.items)}
        _against_published(source, report)
        if quarantine is not None:
            report["quarantined"] = quarantine.rows
            if quarantine.rows:
                quarantine.write(out.made / QUARANTINE)
                log.warning("%s: %s rows were set aside; they are in %s", source.origin, f"{quarantine.rows:,}", folder / QUARANTINE)
        early = [step for step in recipe.steps if step.fit != "train"]
        cleaned = clean.cleaned(whole, early, report["cleaning"], source.origin)
        labels = _labels(recipe, cleaned, report)
        late = [step for step in recipe.steps if step.fit == "train"]
        if late:
            folds = {name: _own_fold(name, cleaned, labels, late, recipe, out, report) for name in LEARNT}
        else:
            folds = _folds(cleaned, list(LEARNT), labels, recipe, out, report)
        described = {"source": spec(source), "clean": spec(list(recipe.clean)), "splitter": spec(recipe.splitter)}
        out.describe({**described, "seed": recipe.seed, "keep_repeats": recipe.keep_repeats, **report}, folds)


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder for blocks that goes before the one it is in is renamed."""
    work = folder / "work"
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _against_published(source: Source, report: dict[str, Any]) -> None:
    for what, count in source.published.items():
        if report[what] != count:
            text = "%s has %s %s, the published file %s: it may be another release or damaged"
            log.warning(text, type(source).__name__, report[what], what, count)


def _labels(recipe: Recipe, cleaned: Blocks, report: dict[str, Any]) -> Labels:
    """What each event is for; the report gets events, owners and items of each part, and how many events the splitter left out."""
    splitter = recipe.splitter
    name, labels = type(splitter).__name__, []
    tallies = [clean.Tally(len(cleaned.items)) for _ in LABELS.categories]
    labeller = splitter.labeller(cleaned, recipe.seed)
    for block in cleaned:
        label = labeller(block)
        if len(label) != len(block) or label.dtype not in (PARTS, LABELS):
            raise ConfigError(
                f"{name}.label gave {len(label)} labels of type {label.dtype} for {len(block)} events; it gives one of type {PARTS} each"
            )
        labels.append(label.to_physical().cast(pl.Int8).fill_null(-1).to_numpy())
        for part in np.unique(labels[-1][labels[-1] >= 0]):
            tallies[part].add(block.filter(pl.Series(labels[-1] == part)))
    parts = {part: tally.counts() for part, tally in zip(LABELS.categories, tallies, strict=True)}
    if not parts["train"]["events"]:
        if "predefined" in splitter.needs():
            advice = "so there is nothing to learn from; check the column named by part="
            raise DataError(f"{recipe.source.origin}: no event is in part 'train', {advice}")
        raise DataError(f"{name} left no training event of {len(cleaned):,}; make its shares smaller")
    report["dropped_by_splitter"] = sum(int((label < 0).sum()) for label in labels)
    report["parts"] = {part: counts for part, counts in parts.items() if counts["events"] or part in PARTS.categories}
    return labels


def _own_fold(
    name: str, cleaned: Blocks, labels: Labels, steps: list[Step], recipe: Recipe, out: store.Writer, report: dict[str, Any]
) -> Any:
    """As :func:`_folds`, for one fold with steps that are fitted on its training events."""
    blocks = clean.fitted(cleaned, labels, LEARNT[name], steps, report["cleaning"], name)
    own = [block[clean.LABEL].to_numpy() for block in blocks]
    made = _folds(blocks, [name], own, recipe, out, report)
    for path in blocks.files:
        path.unlink()
    return made[name]


def _folds(log: Blocks, names: list[str], labels: Labels, recipe: Recipe, out: store.Writer, report: dict[str, Any]) -> dict[str, Any]:
    """Write folds that are made of the same blocks; what the JSON file says of each."""
    known = encode.known_items(log, labels, {name: LEARNT[name] for name in names}, len(log.items))
    writers = {name: encode.FoldWriter(name, log, known[name], out, keep_repeats=recipe.keep_repeats) for name in names}
    for block, label in zip(log, labels, strict=True):
        for writer in writers.values():
            writer.add(block, label)
    for name, writer in writers.items():
        for part, found in writer.counts.items():
            if not found["queries"]:
                raise DataError(
                    f"{type(recipe.splitter).__name__} left no {_PARTS_IN_WORDS[part]} query of {len(log):,} events: {_why(found)}; "
                    "choose another split or larger shares, or give more data"
                )
        report[name] = {"train": {"events": writer.events, "owners": writer.users, "items": int(known[name].sum())}, **writer.counts}
    return {name: {"num_items": int(known[name].sum()), "owner_kind": log.owner_kind, "holdouts": list(ASKED[name])} for name in names}


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
