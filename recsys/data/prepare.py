"""From a source and a splitter to encoded, memory-mapped data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recsys.data import encode, store
from recsys.data.download import cache_root
from recsys.data.events import PARTS, check, clock_of, owner_of
from recsys.data.log import Fold, Prepared
from recsys.data.source import Source
from recsys.errors import ConfigError, DataError
from recsys.part import fingerprint, spec

if TYPE_CHECKING:
    from recsys.splitting.splitter import Splitter

log = logging.getLogger(__name__)


def prepare(source: Source, splitter: Splitter, *, seed: int = 0, cache: Path | None = None, keep_repeats: bool = False) -> Prepared:
    """Read, check, split and encode a data set, or map it from the cache if that has been done before.

    Events of an owner are sorted by time or order, ties by item id. Codes are in ascending order of id. Vocabularies are fitted on training
    events alone: on ``train`` for ``select``, on train + validation for ``refit``.

    Users: one query for each user with a held-out event; the history is what the user did in earlier parts. Sessions: one query for each
    held-out event but the first of its session; the history is the session so far. Unknown items are left out of histories and counted,
    per query, among what is relevant.

    Args:
        source: where the events come from.
        splitter: which events are for what.
        seed: of the splitter's random choices.
        cache: folder of prepared data. Default: ``$RECSYS_CACHE/prepared``, else ``~/.cache/recsys/prepared``.
        keep_repeats: whether an item that the user's history already holds can be relevant again. By default it cannot, and is counted in
            the report as ``in_history``; sessions always keep repeats.

    Raises:
        ConfigError: the splitter needs what the source does not have.
        DataError: the events cannot be read, or a part of the split is empty.
    """
    refuse(source, splitter)
    settings = {
        "source": source.fingerprint(),
        "splitter": spec(splitter),
        "seed": seed,
        "keep_repeats": keep_repeats,
        "format": store.FORMAT,
    }
    folder = (cache or cache_root() / "prepared") / f"{type(source).__name__.lower()}-{fingerprint(settings)}"
    found = store.load(folder)
    if found is not None:
        return found
    made = _make(source, splitter, seed, keep_repeats)
    try:
        store.save(folder, made)
    except OSError as error:
        if (found := store.load(folder)) is not None:  # another process was faster
            return found
        log.warning("prepared data are not kept: %s cannot be written (%s); set RECSYS_CACHE to a folder that can", folder, error.strerror)
        return made
    return store.load(folder) or made


def refuse(source: Source, splitter: Splitter) -> None:
    """Raises ConfigError if ``splitter`` needs a capability that ``source`` lacks; reads no data."""
    have = source.gives()
    for need, why in splitter.needs().items():
        if need not in have:
            raise ConfigError(
                f"{type(splitter).__name__} needs {need!r} ({why}), but {type(source).__name__} gives only {', '.join(sorted(have))}"
            )


def _make(source: Source, splitter: Splitter, seed: int, keep_repeats: bool) -> Prepared:
    events = check(source.events(), origin=source.origin)
    if "predefined" in splitter.needs() and not (events["part"] == "train").any():
        raise DataError(f"{source.origin}: no event is in part 'train', so there is nothing to learn from; check the column named by part=")
    label = splitter.label(events, seed)
    if len(label) != len(events) or label.dtype != PARTS:
        raise ConfigError(
            f"{type(splitter).__name__}.label gave {len(label)} labels of type {label.dtype} for {len(events)} events; "
            f"it gives one of type {PARTS} each"
        )
    clock = clock_of(events.columns)
    owner = owner_of(events.columns)
    rows = encode.Rows.of(events, label, [owner, *([clock] if clock else []), "item"])
    if not (rows.part == encode.TRAIN).any():
        raise DataError(f"{type(splitter).__name__} left no training event of {len(events):,}; make its shares smaller")
    select, first = encode.fold(rows, [encode.TRAIN], {"valid": encode.VALID, "test": encode.TEST}, keep_repeats=keep_repeats)
    for part, holdout in select.holdouts.items():
        if not len(holdout):
            raise DataError(
                f"{type(splitter).__name__} left no {_PARTS_IN_WORDS[part]} query of {len(events):,} events: {_why(first[part])}; "
                "choose another split or larger shares, or give more data"
            )
    refit, second = encode.fold(rows, [encode.TRAIN, encode.VALID], {"test": encode.TEST}, keep_repeats=keep_repeats)
    report: dict[str, object] = {
        "source": spec(source),
        "splitter": spec(splitter),
        "seed": seed,
        "keep_repeats": keep_repeats,
        "events": len(events),
        "owner": owner,
        "owners": events[owner].n_unique(),
        "items": events["item"].n_unique(),
        "dropped_by_splitter": int(label.null_count()),
        "parts": {part: _part(events.filter(label == part), owner) for part in PARTS.categories},
        "select": {**_log(select), **first},
        "refit": {**_log(refit), **second},
    }
    for what, count in source.published.items():
        if report[what] != count:
            log.warning(
                "%s has %s %s, the published file %s: it may be another release or damaged",
                type(source).__name__,
                report[what],
                what,
                count,
            )
    return Prepared(select, refit, store.content(select, refit), report)


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


def _part(events: pl.DataFrame, owner: str) -> dict[str, int]:
    return {"events": len(events), "owners": events[owner].n_unique(), "items": events["item"].n_unique()}


def _log(fold: Fold) -> dict[str, object]:
    return {"train": {"events": len(fold.train), "owners": fold.train.num_owners, "items": fold.train.num_items}}
