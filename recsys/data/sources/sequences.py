"""Lines ``user item item ...``, the oldest item first."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.data.download import Remote, existing, locate
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.data.sources.text import lists


class Sequences(Source):
    """One file of lines ``user item item ...``, the oldest item first: an order, no clock.

    Args:
        path: the file.
    """

    owner: OwnerKind = "user"
    ordered = True

    def __init__(self, path: Path | str) -> None:
        self.path = path

    def files(self) -> list[Path]:
        return [existing(self.path)]

    def events(self) -> pl.LazyFrame:
        (path,) = self.files()
        return lists(path, order=True)


class _S3Rec(Sequences):
    """A data set of Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential Recommendation with Mutual Information Maximization",
    CIKM 2020."""

    remote: ClassVar[Remote]

    def __init__(self, *, root: Path | str | None = None) -> None:
        self.root = root

    def files(self) -> list[Path]:
        return [locate(self.remote, self.root)]


_ADDRESS = "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/master/data/"


class Beauty(_S3Rec):
    """Amazon reviews of beauty products, 5-core: 22,363 users, 12,101 items, 198,502 events, as S3-Rec published them.

    Zhou et al., CIKM 2020; the file ``data/Beauty.txt`` of https://github.com/RUCAIBox/CIKM2020-S3Rec, byte for byte. Reviews: McAuley et
    al., "Image-based recommendations on styles and substitutes", SIGIR 2015. Licence: none is stated; research use.

    Args:
        root: folder with ``beauty/sequences.txt``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    published: ClassVar = {"events": 198_502, "owners": 22_363, "items": 12_101}
    remote = Remote(
        "beauty/sequences.txt", _ADDRESS + "Beauty.txt", ("sha256:226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",)
    )


class ToysGames(_S3Rec):
    """Amazon reviews of toys and games, 5-core: 19,412 users, 11,924 items, 167,597 events, as S3-Rec published them.

    Zhou et al., CIKM 2020; the file ``data/Toys_and_Games.txt`` of https://github.com/RUCAIBox/CIKM2020-S3Rec, byte for byte. Reviews:
    McAuley et al., "Image-based recommendations on styles and substitutes", SIGIR 2015. Licence: none is stated; research use.

    Args:
        root: folder with ``toys-games/sequences.txt``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    published: ClassVar = {"events": 167_597, "owners": 19_412, "items": 11_924}
    remote = Remote(
        "toys-games/sequences.txt",
        _ADDRESS + "Toys_and_Games.txt",
        ("sha256:176c680c688d497598c4a89a03b402c0fe78d795e5db335c2e78dd5f2d778a3f",),
    )


class SportsOutdoors(_S3Rec):
    """Amazon reviews of sports and outdoor articles, 5-core: 35,598 users, 18,357 items, 296,337 events, as S3-Rec published them.

    Zhou et al., CIKM 2020; the file ``data/Sports_and_Outdoors.txt`` of https://github.com/RUCAIBox/CIKM2020-S3Rec, byte for byte. Reviews:
    McAuley et al., "Image-based recommendations on styles and substitutes", SIGIR 2015. Licence: none is stated; research use.

    Args:
        root: folder with ``sports-outdoors/sequences.txt``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    published: ClassVar = {"events": 296_337, "owners": 35_598, "items": 18_357}
    remote = Remote(
        "sports-outdoors/sequences.txt",
        _ADDRESS + "Sports_and_Outdoors.txt",
        ("sha256:2a095e0648872beb9982408958290f5d655db5be2911c3756b5446de9f0b8de2",),
    )


class Yelp2019(_S3Rec):
    """Yelp reviews of the year 2019, 5-core: 30,431 users, 20,033 items, 316,354 events, as S3-Rec published them.

    Zhou et al., "S3-Rec: Self-Supervised Learning for Sequential Recommendation with Mutual Information Maximization", CIKM 2020; the file
    ``data/Yelp.txt`` of https://github.com/RUCAIBox/CIKM2020-S3Rec, byte for byte. Not to be confused with :class:`Yelp2018`. Licence: none
    is stated for the file; the reviews are from the Yelp Open Dataset, whose terms allow academic use.

    Args:
        root: folder with ``yelp-2019/sequences.txt``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    published: ClassVar = {"events": 316_354, "owners": 30_431, "items": 20_033}
    remote = Remote(
        "yelp-2019/sequences.txt", _ADDRESS + "Yelp.txt", ("sha256:724b219106b81dd2349027da997334ddb6da9fe2f152ad6e0d97a93170f7caed",)
    )
