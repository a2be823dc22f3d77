"""Lines ``user item item ...``, one file for training and one for test."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.data.download import Remote, existing, locate_all
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.data.sources.text import lists


class AdjacencyLists(Source):
    """Two files of lines ``user item item ...``: the events of the training part and those of the test part. No times, no order.

    Args:
        train: file of the training part.
        test: file of the test part; same ids.
    """

    owner: OwnerKind = "user"
    predefined = True

    def __init__(self, train: Path | str, test: Path | str) -> None:
        self.train, self.test = train, test

    def files(self) -> list[Path]:
        return [existing(self.train), existing(self.test)]

    def events(self) -> pl.LazyFrame:
        train, test = self.files()
        return pl.concat([lists(path).with_columns(part=pl.lit(part)) for part, path in {"train": train, "test": test}.items()])


class _LightGCN(AdjacencyLists):
    """A data set of He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020."""

    remotes: ClassVar[tuple[Remote, Remote]]

    def __init__(self, *, root: Path | str | None = None) -> None:
        self.root = root

    def files(self) -> list[Path]:
        return locate_all(self.remotes, self.root)


_ADDRESS = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data/"


class Gowalla(_LightGCN):
    """Check-ins in the LightGCN split: 29,858 users, 40,981 items, 810,128 training and 217,242 test events.

    10-core but for one user of 9 items; a random 80/20 split of every user's items, made by the publisher. It has no validation
    part: :class:`recsys.splitting.Predefined` carves one from the training part.

    Source: He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020; files from
    https://github.com/gusye1234/LightGCN-PyTorch. The raw check-ins are from Cho et al., "Friendship and mobility", KDD 2011 (SNAP).
    Licence: none is stated for the files; research use. The counts are those of a copy whose test file is byte-equal to the publisher's;
    its training file is not (the publisher's is known by its git object id), so a download is held against the counts.

    Args:
        root: folder with ``gowalla/train.txt`` and ``gowalla/test.txt``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    published: ClassVar = {"events": 1_027_370, "owners": 29_858, "items": 40_981}
    remotes = (
        Remote(
            "gowalla/train.txt",
            _ADDRESS + "gowalla/train.txt",
            ("sha256:0f086326b28a56c2e6dcb81d86ee72d4ccb7eed3a8d26788392356d8f51111cc", "git:a27782bd7a1d4d0744148dc0460ea94da74763f2"),
        ),
        Remote(
            "gowalla/test.txt",
            _ADDRESS + "gowalla/test.txt",
            ("sha256:099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",),
        ),
    )


class Yelp2018(_LightGCN):
    """Reviews of local businesses in the LightGCN split: 31,668 users, 38,048 items, 1,237,259 training and 324,147 test events.

    10-core; a random 80/20 split of every user's items, made by Wang et al., "Neural Graph Collaborative Filtering", SIGIR 2019, and
    revised by He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020; files from
    https://github.com/gusye1234/LightGCN-PyTorch, known by their git object ids; counts as printed by the authors' code. Not to be confused
    with :class:`Yelp2019`. Licence: none is stated for the files; the reviews are from the Yelp Dataset Challenge 2018, whose terms allow
    academic use.

    Args:
        root: folder with ``yelp2018/train.txt`` and ``yelp2018/test.txt``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    published: ClassVar = {"events": 1_561_406, "owners": 31_668, "items": 38_048}
    remotes = (
        Remote("yelp2018/train.txt", _ADDRESS + "yelp2018/train.txt", ("git:cda12361055ba448ae4bd1070f6000c16dea8f22",)),
        Remote("yelp2018/test.txt", _ADDRESS + "yelp2018/test.txt", ("git:30dfbc3437b27b74cb2970b435a5ec93ad9f2468",)),
    )


class AmazonBook(_LightGCN):
    """Reviews of books in the LightGCN split: 52,643 users, 91,599 items, 2,380,730 training and 603,378 test events.

    10-core; a random 80/20 split of every user's items, made by Wang et al., "Neural Graph Collaborative Filtering", SIGIR 2019, and used
    by He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020; files from
    https://github.com/gusye1234/LightGCN-PyTorch, known by their git object ids; counts as printed by the authors' code. Four users have no
    test item. The reviews are from McAuley et al., "Image-based recommendations on styles and substitutes", SIGIR 2015. Licence: none is
    stated for the files; research use.

    Args:
        root: folder with ``amazon-book/train.txt`` and ``amazon-book/test.txt``. Default: ``$RECSYS_DATA``, then the cache, else a
            download.
    """

    published: ClassVar = {"events": 2_984_108, "owners": 52_643, "items": 91_599}
    remotes = (
        Remote("amazon-book/train.txt", _ADDRESS + "amazon-book/train.txt", ("git:6ef55159c5f1fd7f6d86eb9ff290d0cc2854ac99",)),
        Remote("amazon-book/test.txt", _ADDRESS + "amazon-book/test.txt", ("git:09e5da4e0bf46c751c4ba0f4375e414fd13512cd",)),
    )
