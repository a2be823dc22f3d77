"""Tables of sessions: Parquet files, one for training and one for test, and the raw views of Diginetica."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.data.download import Remote, existing, locate, locate_all
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.data.sources.text import DAY, INTEGER, Kind, fields
from recsys.errors import DataError


class SessionTables(Source):
    """Two Parquet files with columns ``session_id``, ``position`` and ``item_id``; sessions in the order of their ids, no clock.

    Both files may number their sessions from 0: a test session's id is its own plus the largest training id plus one. Session ids are
    integers.

    Args:
        train: file of the training part.
        test: file of the test part; same item ids.
    """

    owner: OwnerKind = "session"
    ordered = True
    predefined = True

    def __init__(self, train: Path | str, test: Path | str) -> None:
        self.train, self.test = train, test

    def files(self) -> list[Path]:
        return [existing(self.train), existing(self.test)]

    def events(self) -> pl.LazyFrame:
        train, test = (
            self._table(path).with_columns(part=pl.lit(part)) for path, part in zip(self.files(), ("train", "test"), strict=True)
        )
        shift = train.select(shift=pl.col("session").max() + 1)
        test = test.join(shift, how="cross").with_columns(pl.col("session") + pl.col("shift")).drop("shift")
        return pl.concat([train, test])

    def _table(self, path: Path) -> pl.LazyFrame:
        try:
            table = pl.scan_parquet(path)
            schema = table.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None
        missing = [name for name in ("session_id", "position", "item_id") if name not in schema]
        if missing:
            raise DataError(
                f"{path}: no column {', '.join(map(repr, missing))} among {schema.names()}; it needs session_id, position and item_id"
            )
        return table.select(
            session=pl.col("session_id").cast(pl.Int64), item=pl.col("item_id").cast(pl.Int64), order=pl.col("position").cast(pl.Int64)
        )


class Diginetica(SessionTables):
    """Click sessions of an online shop, prepared as for SR-GNN: 186,670 training sessions and 15,963 test sessions (the last week), 43,097
    items, 60,858 test queries (every prefix of a test session).

    Items are renumbered, clicks have positions and no time stamps; sessions are in the order of their days. The raw data
    (:class:`DigineticaViews`) are from the CIKM Cup 2016 (https://competitions.codalab.org/competitions/11161, registration needed);
    preprocessing: Wu et al., "Session-based Recommendation with Graph Neural Networks", AAAI 2019, https://github.com/CRIPAC-DIG/SR-GNN.
    Licence: the terms of the competition.

    Args:
        root: folder with ``diginetica/train.parquet`` and ``diginetica/test.parquet``. Default: ``$RECSYS_DATA``, then the cache; there is
            no direct download.
    """

    published: ClassVar = {"events": 982_961, "owners": 202_633, "items": 43_097}
    _advice = (
        "get the clicks from the CIKM Cup 2016 track 2, run SR-GNN's preprocess.py, and save session_id, position, item_id "
        "as train.parquet and test.parquet in a folder 'diginetica' below RECSYS_DATA"
    )
    remotes = (Remote("diginetica/train.parquet", None, advice=_advice), Remote("diginetica/test.parquet", None, advice=_advice))

    def __init__(self, *, root: Path | str | None = None) -> None:
        self.root = root

    def files(self) -> list[Path]:
        return locate_all(self.remotes, self.root)


class DigineticaViews(Source):
    """Item views of an online shop, as published: 1,235,380 views, 310,324 sessions, 122,993 items, with time stamps.

    The time of a view is its day plus the milliseconds of ``timeframe``. Users are unknown for most views and left out. What papers make of
    the views differs; TRON's rule is: drop sessions of one view, then items of fewer than 5 views, then sessions of one view again; a
    session is in the test part if its first view is on the day of the latest first view or on one of the 7 days before. :class:`Diginetica`
    has the data as prepared for SR-GNN.

    DIGINETICA, "Personalized E-Commerce Search Challenge", CIKM Cup 2016, track 2 (https://competitions.codalab.org/competitions/11161,
    registration needed). Licence: the terms of the competition.

    Args:
        root: folder with ``diginetica/train-item-views.csv``. Default: ``$RECSYS_DATA``, then the cache; there is no direct download.
    """

    owner: OwnerKind = "session"
    timed = True
    ordered = True
    published: ClassVar = {"events": 1_235_380, "owners": 310_324, "items": 122_993}
    remote = Remote(
        "diginetica/train-item-views.csv",
        None,
        advice="get dataset-train-diginetica.zip from the CIKM Cup 2016 track 2 and put its train-item-views.csv in a folder 'diginetica' "
        "below RECSYS_DATA",
    )

    def __init__(self, *, root: Path | str | None = None) -> None:
        self.root = root

    def files(self) -> list[Path]:
        return [locate(self.remote, self.root)]

    def events(self) -> pl.LazyFrame:
        (path,) = self.files()
        headers = (
            "sessionId;userId;itemId;timeframe;eventdate",
            "session_id;user_id;item_id;timeframe;eventdate",
        )  # the latter: NARM's copy
        columns: dict[str, Kind | None] = {"session": INTEGER, "user": None, "item": INTEGER, "timeframe": INTEGER, "eventdate": DAY}
        views = fields(path, ";", columns, headers=headers)
        return views.select("session", "item", time=pl.col("eventdate") + pl.duration(milliseconds="timeframe"))
