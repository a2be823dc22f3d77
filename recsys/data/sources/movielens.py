"""MovieLens, from its publisher."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import polars as pl

from recsys.data.download import Remote, locate
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.data.sources.table import Table
from recsys.errors import ConfigError

Variant = Literal["latest-small", "25m", "32m"]
_ADDRESS = "https://files.grouplens.org/datasets/movielens/"
_FILES = {
    "latest-small": Remote(
        "movielens-small/ratings.csv",
        _ADDRESS + "ml-latest-small.zip",
        ("sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",),
        "ml-latest-small/ratings.csv",
    ),
    "25m": Remote("movielens-25m/ratings.csv", _ADDRESS + "ml-25m.zip", ("md5:6b51fb2759a8657d3bfcbfc42b592ada",), "ml-25m/ratings.csv"),
    "32m": Remote("movielens-32m/ratings.csv", _ADDRESS + "ml-32m.zip", member="ml-32m/ratings.csv"),
}


class MovieLens(Source):
    """Film ratings with time stamps; a rating of at least ``min_rating`` is an event.

    ``latest-small`` is not frozen: the release of October 2016 has 100,004 ratings of 9,066 films by 671 users, that of September 2018
    (at the address now, its checksum pinned) 100,836 ratings of 9,724 films by 610 users. Numbers from one do not compare with the
    other; the fingerprint of the data tells them apart. ``25m`` and ``32m`` are frozen; the publisher's checksum of ``25m`` is pinned.

    Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015. Licence: research use with acknowledgement, no
    commercial use without permission; redistribution under the same conditions (see the README in each archive).

    Args:
        variant: ``latest-small``, ``25m`` or ``32m``.
        min_rating: smallest rating (0.5 to 5.0) that counts as an event; None keeps all.
        root: folder with ``movielens-small/ratings.csv`` (or ``movielens-25m``, ``movielens-32m``). Default: ``$RECSYS_DATA``, then the
            cache, else a download.

    Raises:
        ConfigError: an unknown variant.
    """

    owner: OwnerKind = "user"
    timed = True
    ordered = True

    def __init__(self, variant: Variant = "latest-small", *, min_rating: float | None = 4.0, root: Path | str | None = None) -> None:
        if variant not in get_args(Variant):
            raise ConfigError(f"MovieLens got variant={variant!r}; allowed are {', '.join(get_args(Variant))}")
        self.variant, self.min_rating, self.root = variant, min_rating, root

    def files(self) -> list[Path]:
        return [locate(_FILES[self.variant], self.root)]

    def events(self) -> pl.LazyFrame:
        (path,) = self.files()
        ratings = Table(path, user="userId", item="movieId", time="timestamp", time_unit="s", weight="rating", min_weight=self.min_rating)
        return ratings.events().drop("weight")
