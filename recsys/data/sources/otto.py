"""Sessions of an online shop with clicks, carts and orders, from OTTO."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import polars as pl

from recsys.data.download import Remote, existing, locate
from recsys.data.events import PARTS, Times, no_events
from recsys.data.log import OwnerKind
from recsys.data.reading.blocks import BLOCK, Block, Layout, blocks
from recsys.data.reading.otto import KINDS, Sessions, sessions
from recsys.data.reading.quarantine import Quarantine, listing
from recsys.data.reading.streams import ahead
from recsys.data.source import OnError, Source, streamed
from recsys.errors import ConfigError, DataError

Subset = Literal["train", "test", "all"]
_LAYOUT = Layout(quote=None, lines=True)
_KIND = pl.Enum(KINDS)
_ADVICE = (
    "get it with 'kaggle datasets download -d otto/recsys-dataset' and put otto-recsys-train.jsonl and otto-recsys-test.jsonl "
    "in a folder 'otto' below RECSYS_DATA, or name the file with path="
)
log = logging.getLogger(__name__)


class Otto(Source):
    """Four weeks of sessions of the OTTO shop: 12,899,779 sessions, 216,716,096 events (clicks, carts, orders), 1,855,603 items.

    A line of a file is one session: ``{"session": 1, "events": [{"aid": 2, "ts": 1661200010000, "type": "clicks"}, ...]}``; ``ts`` is in
    milliseconds. Events keep the order of the file; a session without events gives none. The test file holds the sessions of the following
    week, of other users. A malformed session is set aside as a whole.

    Normann, Baumeister and Wilm, "OTTO Recommender Systems Dataset", 2022, https://github.com/otto-de/recsys-dataset. Licence: CC-BY 4.0.
    Kaggle wants an account, so nothing is downloaded; the counts are the publisher's for the training file.

    Args:
        path: a file of this layout, plain, ``.gz`` or ``.zst``. Default: the files of the named data set.
        subset: without ``path``, the ``train`` file, the ``test`` file, or ``all``: both, as parts of a predefined split.
        root: folder with ``otto/otto-recsys-train.jsonl`` and ``otto/otto-recsys-test.jsonl``. Default: ``$RECSYS_DATA``, then the cache.
        on_error: what a malformed session does: ``raise`` ends the reading with its line, ``quarantine`` sets it aside.

    Raises:
        ConfigError: an unknown option, or both ``path`` and another way to say which file.
    """

    owner: OwnerKind = "session"
    timed = True
    kinds = True
    remotes: ClassVar = {part: Remote(f"otto/otto-recsys-{part}.jsonl", None, advice=_ADVICE) for part in ("train", "test")}

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        subset: Subset = "train",
        root: Path | str | None = None,
        on_error: OnError = "raise",
    ) -> None:
        if subset not in get_args(Subset):
            raise ConfigError(f"Otto got subset={subset!r}; allowed are {', '.join(get_args(Subset))}")
        if on_error not in get_args(OnError):
            raise ConfigError(f"Otto got on_error={on_error!r}; allowed are {', '.join(get_args(OnError))}")
        if path is not None and (root is not None or subset != "train"):
            raise ConfigError("Otto got path together with root or subset; give path alone, or root and subset of the named data set")
        self.path, self.subset, self.root, self.on_error = path, subset, root, on_error

    @property
    def published(self) -> Mapping[str, int]:
        """Counts of the training file; none are known for other files."""
        named = self.path is None and self.subset == "train"
        return {"events": 216_716_096, "owners": 12_899_779, "items": 1_855_603} if named else {}

    @property
    def predefined(self) -> bool:
        return self.subset == "all"

    @property
    def origin(self) -> str:
        return "Otto" if self.path is None else str(self.path)

    def files(self) -> list[Path]:
        if self.path is not None:
            return [existing(self.path)]
        return [locate(self.remotes[part], self.root) for part in (("train", "test") if self.subset == "all" else (self.subset,))]

    def events(self) -> pl.LazyFrame:
        schema = {"session": pl.Int64(), "item": pl.Int64(), "time": pl.Datetime("us"), "kind": _KIND}
        return streamed(self._kept, pl.Schema({**schema, **({"part": PARTS} if self.predefined else {})}))

    def _kept(self) -> Iterator[pl.DataFrame]:
        quarantine = Quarantine() if self.on_error == "quarantine" else None
        yield from self._delivered(quarantine, warn=False)
        if quarantine is not None and quarantine.rows:
            log.warning("%s: %s sessions were set aside", self.origin, f"{quarantine.rows:,}")

    def batches(self, quarantine: Quarantine | None = None) -> Iterator[pl.DataFrame]:
        return self._delivered(quarantine, warn=True)

    def _delivered(self, quarantine: Quarantine | None, *, warn: bool) -> Iterator[pl.DataFrame]:
        times, rows = Times(), 0
        for number, path in enumerate(self.files()):
            read = map(_parsed, ahead(blocks(path, _LAYOUT, size=BLOCK)))
            for block, found in ahead(read):
                _set_aside(block, found, quarantine)
                frame = _frame(found)
                if self.predefined:
                    frame = frame.with_columns(part=pl.lit(("train", "test")[number], PARTS))
                times.see(frame)
                rows += len(frame)
                if len(frame):
                    yield frame
        if not rows:
            aside = f"; {quarantine.rows:,} lines were set aside" if quarantine is not None and quarantine.rows else ""
            raise DataError(no_events(self.origin) + aside)
        if warn:
            times.warn(self.origin)


def _parsed(block: Block) -> tuple[Block, Sessions]:
    return block, sessions(block.text)


def _frame(found: Sessions) -> pl.DataFrame:
    """Canonical columns."""
    kinds = pl.Series("kind", KINDS, dtype=_KIND).gather(found.kind.astype(np.uint32))
    time = pl.Series("time", found.time).cast(pl.Datetime("us"))
    return pl.DataFrame([pl.Series("session", found.session), pl.Series("item", found.item), time, kinds])


def _set_aside(block: Block, found: Sessions, quarantine: Quarantine | None) -> None:
    """Lines that could not be used.

    Raises:
        DataError: there is no quarantine.
    """
    bad = block.bad
    if found.bad:
        at, column, value, reason = zip(*found.bad, strict=True)
        lines, texts = block.where(np.array(at, dtype=np.int64))
        bad = pl.concat([bad, listing(block.path, lines, reason, texts, column, value)]).sort("line")
    if not len(bad):
        return
    if quarantine is not None:
        quarantine.add(bad)
        return
    first = bad.row(0, named=True)
    what = f": {first['column']!r} is {first['value']}; " if first["column"] else ": "
    raise DataError(f"{first['file']}, line {first['line']}{what}{first['reason']}")
