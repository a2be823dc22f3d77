"""Coat: ratings that users chose to give, and ratings of random items."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.cleaning.step import Step
from recsys.cleaning.threshold import Threshold
from recsys.data.download import Remote, locate_all
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.data.sources.text import INTEGER, Kind, fields, line_of
from recsys.errors import ConfigError, DataError

_ADDRESS = "https://www.cs.cornell.edu/~schnabts/mnar/coat.zip"


class Coat(Source):
    """Ratings of coats in a web shop, 1 to 5: 290 users, 300 items, 6,960 training and 4,640 test ratings.

    Users chose the items of the training part; those of the test part are 16 random ones for each user, which makes unbiased tests
    possible. A rating of at least ``min_rating`` is an event: at least 4 are 1,905 of the training and 860
    of the test ratings. 366 pairs are in both parts; 16 items have no training rating of 4 or more. Users and items are rows and columns of
    the published matrices, counted from 0; no times, no order.

    Schnabel et al., "Recommendations as Treatments: Debiasing Learning and Evaluation", ICML 2016;
    https://www.cs.cornell.edu/~schnabts/mnar/. Licence: none is stated; research use. The publisher gives no checksum: the two files are
    verified after unpacking, with either kind of line ends.

    Args:
        min_rating: smallest rating (1 to 5) that counts as an event, all alike; None keeps all, with the rating as weight.
        keep_shown: keep lower ratings as items that were shown and not chosen (events of weight 0), so that an evaluation may rank, for
            each user, the items of the test part alone (``evaluation: {among: shown}``).
        root: folder with ``coat/train.ascii`` and ``coat/test.ascii``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    owner: OwnerKind = "user"
    predefined = True
    weighted = True
    published: ClassVar = {"events": 11_600, "owners": 290, "items": 300}
    remotes = (
        Remote(
            "coat/train.ascii",
            _ADDRESS,
            member="coat/train.ascii",
            content=(
                "sha256:a87bd9e7eaf3b89f976df3f25d4aa5d5d871be8a00b58947df9e6e015559bd37",
                "sha256:f9088c6e95fa9a42e8be6a92fc77252b95b969e34ed1299c611420da68680873",
            ),
        ),
        Remote(
            "coat/test.ascii",
            _ADDRESS,
            member="coat/test.ascii",
            content=(
                "sha256:de6714ab105a5e0be8166be7fd313901b29f9a09c3bea307901457d1d71847e6",
                "sha256:51fa28550f5bedebc6959d0e7b5e242b173c3c8d16317c7e49b89441304504ce",
            ),
        ),
    )

    def __init__(self, *, min_rating: float | None = 4.0, keep_shown: bool = False, root: Path | str | None = None) -> None:
        if keep_shown and min_rating is None:
            raise ConfigError("Coat got keep_shown without min_rating, which says what was chosen; give it, for instance 4")
        self.min_rating, self.keep_shown, self.root = min_rating, keep_shown, root

    @property
    def shown(self) -> bool:
        return self.keep_shown

    def steps(self) -> list[Step]:
        return [] if self.min_rating is None or self.keep_shown else [Threshold(self.min_rating)]

    def files(self) -> list[Path]:
        return locate_all(self.remotes, self.root)

    def events(self) -> pl.LazyFrame:
        paths = self.files()
        train, test = (_matrix(path) for path in paths)
        if train.shape != test.shape:
            sizes = " and ".join(f"{path} has {one.height} x {one.width}" for path, one in zip(paths, (train, test), strict=True))
            raise DataError(f"{sizes} ratings; rows are the same users in both files, columns the same items: fetch them anew")
        both = pl.concat([_ratings(train).with_columns(part=pl.lit("train")), _ratings(test).with_columns(part=pl.lit("test"))])
        if self.keep_shown:
            both = both.with_columns((pl.col("weight") >= self.min_rating).cast(pl.Float32))
        return both.lazy()


def _rating(text: pl.Expr) -> pl.Expr:
    value = INTEGER.read(text)
    return pl.when(value.is_between(0, 5)).then(value)


_RATING = Kind("0 for none, or a rating from 1 to 5", _rating)


def _matrix(path: Path) -> pl.DataFrame:
    """[users, items] ratings, 0 for none; columns are named by their places."""
    columns: dict[str, Kind | None] = {str(place): _RATING for place in range(len(line_of(path, 1).split(" ")))}
    return fields(path, " ", columns).collect()


def _ratings(matrix: pl.DataFrame) -> pl.DataFrame:
    long = matrix.with_row_index("user").unpivot(index="user", variable_name="item", value_name="weight").filter(pl.col("weight") > 0)
    return long.select(pl.col("user", "item").cast(pl.Int64), pl.col("weight").cast(pl.Float32))
