"""From a source, cleaning steps and a splitter to encoded, memory-mapped data."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.cleaning.step import Step
from recsys.data import store
from recsys.data.download import cache_root
from recsys.data.log import Prepared
from recsys.data.making import make
from recsys.data.recipe import Recipe
from recsys.data.source import Source
from recsys.errors import DataError
from recsys.part import fingerprint

if TYPE_CHECKING:
    from recsys.splitting.splitter import Splitter

log = logging.getLogger(__name__)


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
        make(recipe, folder)
    except OSError as error:
        if (found := store.load(folder)) is not None:  # another process was faster
            return found
        aside = Path(tempfile.mkdtemp(prefix="recsys-prepared-"))
        atexit.register(shutil.rmtree, aside, ignore_errors=True)
        log.warning("prepared data are not kept: %s cannot be written (%s); set RECSYS_CACHE to a folder that can", folder, error.strerror)
        folder = aside / folder.name
        make(recipe, folder)
    made = store.load(folder)
    if made is None:
        raise DataError(f"{folder} was written and cannot be read again; is the disk in order?")
    return made
