"""MovieLens, from its publisher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from recsys.cleaning.step import Step
from recsys.cleaning.threshold import Threshold
from recsys.data.download import Remote, locate
from recsys.data.log import OwnerKind
from recsys.data.reading.quarantine import Quarantine
from recsys.data.source import Source
from recsys.data.sources.table import Table
from recsys.data.sources.text import INTEGER, REAL, SECONDS, Kind, fields
from recsys.errors import ConfigError

Variant = Literal["latest-small", "100k", "1m", "10m", "20m", "25m", "32m"]
_ADDRESS = "https://files.grouplens.org/datasets/movielens/"


def _remote(variant: str, digest: str, file: str = "ratings.csv", inside: str | None = None) -> Remote:
    return Remote(f"movielens-{variant}/{file}", f"{_ADDRESS}ml-{variant}.zip", (digest,), f"{inside or f'ml-{variant}'}/{file}")


_FILES = {
    "latest-small": Remote(
        "movielens-small/ratings.csv",
        _ADDRESS + "ml-latest-small.zip",
        ("sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",),
        "ml-latest-small/ratings.csv",
    ),
    "100k": _remote("100k", "md5:0e33842e24a9c977be4e0107933c0723", "u.data"),
    "1m": _remote("1m", "md5:c4d9eecfca2ab87c1945afe126590906", "ratings.dat"),
    "10m": _remote("10m", "md5:ce571fd55effeba0271552578f2648bd", "ratings.dat", "ml-10M100K"),
    "20m": _remote("20m", "md5:cd245b17a1ae2cc31bb14903e1204af3"),
    "25m": _remote("25m", "md5:6b51fb2759a8657d3bfcbfc42b592ada"),
    "32m": _remote("32m", "md5:d472be332d4daa821edc399621853b57"),
}
_COUNTS = {  # ratings, users, films that have a rating
    "100k": (100_000, 943, 1_682),
    "1m": (1_000_209, 6_040, 3_706),
    "10m": (10_000_054, 69_878, 10_677),
    "20m": (20_000_263, 138_493, 26_744),
    "25m": (25_000_095, 162_541, 59_047),
    "32m": (32_000_204, 200_948, 84_432),
}
_SEPARATORS = {"100k": "\t", "1m": "::", "10m": "::"}  # of those without a header; the others are CSV
_COLUMNS: dict[str, Kind | None] = {"user": INTEGER, "item": INTEGER, "weight": REAL, "time": SECONDS}


class MovieLens(Source):
    """Film ratings with time stamps; a rating of at least ``min_rating`` is an event.

    ``latest-small`` is not frozen: the release of October 2016 has 100,004 ratings of 9,066 films by 671 users, that of September 2018
    (at the address now, its checksum pinned) 100,836 ratings of 9,724 films by 610 users. Numbers from one do not compare with the
    other; the fingerprint of the data tells them apart. The others are frozen and verified by the publisher's MD5; ratings, users and rated
    films: ``100k`` 100,000, 943, 1,682; ``1m`` 1,000,209, 6,040, 3,706; ``10m`` 10,000,054, 69,878, 10,677; ``20m`` 20,000,263, 138,493,
    26,744; ``25m`` 25,000,095, 162,541, 59,047; ``32m`` 32,000,204, 200,948, 84,432. Half stars from ``10m`` on.

    Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015. https://grouplens.org/datasets/movielens/.
    Licence: research use with acknowledgement, no commercial use without permission; redistribution under the same conditions (see the
    README in each archive).

    Args:
        variant: ``latest-small``, ``100k``, ``1m``, ``10m``, ``20m``, ``25m`` or ``32m``.
        min_rating: smallest rating (0.5 to 5.0) that counts as an event, all alike; None keeps all, with the rating as weight.
        root: folder with ``movielens-small/ratings.csv`` (``movielens-100k/u.data``, ``movielens-1m/ratings.dat``,
            ``movielens-10m/ratings.dat``, ``movielens-20m/ratings.csv``, and so on). Default: ``$RECSYS_DATA``, then the cache, else a
            download.

    Raises:
        ConfigError: an unknown variant.
    """

    owner: OwnerKind = "user"
    timed = True
    ordered = True
    weighted = True

    def __init__(self, variant: Variant = "latest-small", *, min_rating: float | None = 4.0, root: Path | str | None = None) -> None:
        if variant not in get_args(Variant):
            raise ConfigError(f"MovieLens got variant={variant!r}; allowed are {', '.join(get_args(Variant))}")
        self.variant, self.min_rating, self.root = variant, min_rating, root

    @property
    def published(self) -> Mapping[str, int]:
        """Counts of all ratings of the variant."""
        counts = _COUNTS.get(self.variant)
        return dict(zip(("events", "owners", "items"), counts, strict=True)) if counts else {}

    def files(self) -> list[Path]:
        return [locate(_FILES[self.variant], self.root)]

    def steps(self) -> list[Step]:
        return [] if self.min_rating is None else [Threshold(self.min_rating)]

    def batches(self, quarantine: Quarantine | None = None) -> Iterator[pl.DataFrame]:
        return super().batches(quarantine) if self.variant in _SEPARATORS else self._table().batches(quarantine)

    def events(self) -> pl.LazyFrame:
        if self.variant in _SEPARATORS:
            return fields(self.files()[0], _SEPARATORS[self.variant], _COLUMNS)
        return self._table().events()

    def _table(self) -> Table:
        return Table(self.files()[0], user="userId", item="movieId", time="timestamp", time_unit="s", weight="rating")
