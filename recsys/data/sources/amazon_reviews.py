"""Amazon reviews of 1996 to 2014, by category."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from recsys.cleaning.step import Step
from recsys.cleaning.threshold import Threshold
from recsys.data.download import Remote, locate
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.data.sources.text import REAL, SECONDS, TEXT, fields, line_of, numbered, short
from recsys.errors import ConfigError, DataError

Category = Literal[
    "Amazon_Instant_Video",
    "Apps_for_Android",
    "Automotive",
    "Baby",
    "Beauty",
    "Books",
    "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories",
    "Clothing_Shoes_and_Jewelry",
    "Digital_Music",
    "Electronics",
    "Grocery_and_Gourmet_Food",
    "Health_and_Personal_Care",
    "Home_and_Kitchen",
    "Kindle_Store",
    "Movies_and_TV",
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Pet_Supplies",
    "Sports_and_Outdoors",
    "Tools_and_Home_Improvement",
    "Toys_and_Games",
    "Video_Games",
]
_ADDRESS = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
_RATINGS = {  # events of ratings_*.csv, as the publisher's page lists them
    "Amazon_Instant_Video": 583_933,
    "Apps_for_Android": 2_638_172,
    "Automotive": 1_373_768,
    "Baby": 915_446,
    "Beauty": 2_023_070,
    "Books": 22_507_155,
    "CDs_and_Vinyl": 3_749_004,
    "Cell_Phones_and_Accessories": 3_447_249,
    "Clothing_Shoes_and_Jewelry": 5_748_920,
    "Digital_Music": 836_006,
    "Electronics": 7_824_482,
    "Grocery_and_Gourmet_Food": 1_297_156,
    "Health_and_Personal_Care": 2_982_326,
    "Home_and_Kitchen": 4_253_926,
    "Kindle_Store": 3_205_467,
    "Movies_and_TV": 4_607_047,
    "Musical_Instruments": 500_176,
    "Office_Products": 1_243_186,
    "Patio_Lawn_and_Garden": 993_490,
    "Pet_Supplies": 1_235_316,
    "Sports_and_Outdoors": 3_268_695,
    "Tools_and_Home_Improvement": 1_926_047,
    "Toys_and_Games": 2_252_771,
    "Video_Games": 1_324_753,
}
_REVIEW: dict[str, type[pl.DataType]] = {"reviewerID": pl.String, "asin": pl.String, "overall": pl.Float32, "unixReviewTime": pl.Int64}


class AmazonReviews(Source):
    """Amazon reviews of one category, May 1996 to July 2014, with time stamps; a review of at least ``min_rating`` stars is an event.

    With ``five_core`` the file ``reviews_<category>_5.json.gz`` (users and items with at least 5 reviews each), else
    ``ratings_<category>.csv`` (all). Ids are texts. Times are days. :class:`Beauty`, :class:`SportsOutdoors` and :class:`ToysGames` are
    5-cores as sequences, in the order and with the ids of S3-Rec.

    McAuley et al., "Image-based recommendations on styles and substitutes", SIGIR 2015, and He and McAuley, "Ups and downs: Modeling the
    visual evolution of fashion trends with one-class collaborative filtering", WWW 2016; https://jmcauley.ucsd.edu/data/amazon/. Licence:
    none is stated; research use with citation. The publisher gives no checksums: the number of ratings of a whole category is compared with
    the one on its page.

    Args:
        category: name as in the file, such as ``Beauty`` or ``Home_and_Kitchen``.
        five_core: whether to take the 5-core.
        min_rating: smallest rating (1 to 5) that counts as an event, all alike; None keeps all, with the stars as weight.
        root: folder with ``amazon-2014/reviews_<category>_5.json.gz`` or ``amazon-2014/ratings_<category>.csv``. Default: ``$RECSYS_DATA``,
            then the cache, else a download.

    Raises:
        ConfigError: an unknown category.
    """

    owner: OwnerKind = "user"
    timed = True
    ordered = True
    weighted = True

    def __init__(
        self, category: Category, *, five_core: bool = True, min_rating: float | None = None, root: Path | str | None = None
    ) -> None:
        if category not in get_args(Category):
            raise ConfigError(f"AmazonReviews got category={category!r}; allowed are {', '.join(get_args(Category))}")
        self.category, self.five_core, self.min_rating, self.root = category, five_core, min_rating, root

    @property
    def published(self) -> Mapping[str, int]:
        """The number of ratings of a whole category; nothing for its 5-core."""
        return {} if self.five_core else {"events": _RATINGS[self.category]}

    def steps(self) -> list[Step]:
        return [] if self.min_rating is None else [Threshold(self.min_rating)]

    def files(self) -> list[Path]:
        name = f"reviews_{self.category}_5.json.gz" if self.five_core else f"ratings_{self.category}.csv"
        return [locate(Remote(f"amazon-2014/{name}", _ADDRESS + name), self.root)]

    def events(self) -> pl.LazyFrame:
        (path,) = self.files()
        return _reviews(path) if self.five_core else fields(path, ",", {"user": TEXT, "item": TEXT, "weight": REAL, "time": SECONDS})


def _reviews(path: Path) -> pl.LazyFrame:
    """``user``, ``item``, ``weight`` and ``time`` of lines of JSON."""

    def decoded(lines: pl.DataFrame) -> pl.DataFrame:
        try:
            found = lines["text"].str.json_decode(pl.Struct(_REVIEW)).struct.unnest()
        except pl.exceptions.PolarsError:
            raise _damaged(lines, path) from None
        for name, dtype in _REVIEW.items():
            if found[name].null_count():
                number = lines["line"][int(found[name].is_null().arg_max() or 0)]
                raise DataError(
                    f"{path}, line {number}: no {name!r} of type {dtype} in {short(line_of(path, number))}; fetch the file anew"
                )
        return found.select(
            user="reviewerID", item="asin", weight="overall", time=(pl.col("unixReviewTime") * 1_000_000).cast(pl.Datetime("us"))
        )

    schema = pl.Schema([("user", pl.String()), ("item", pl.String()), ("weight", pl.Float32()), ("time", pl.Datetime("us"))])
    return numbered(path).filter(pl.col("text") != "").map_batches(decoded, schema=schema, streamable=True)


def _damaged(lines: pl.DataFrame, path: Path) -> DataError:
    """The first line that cannot be decoded: halve until it is found."""
    while len(lines) > 1:
        half = lines.head(len(lines) // 2)
        try:
            half["text"].str.json_decode(pl.Struct(_REVIEW))
            lines = lines.tail(len(lines) - len(half))
        except pl.exceptions.PolarsError:
            lines = half
    return DataError(f"{path}, line {lines['line'][0]}: not the JSON of a review: {short(lines['text'][0])}; fetch the file anew")
