"""Lines ``user item item ...``, one file for training and one for test."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.data.download import Remote, existing, locate
from recsys.data.log import OwnerKind
from recsys.data.source import Source


def lines(path: Path, *, order: bool = False) -> pl.LazyFrame:
    """``user item item ...`` lines as columns ``user``, ``item`` and, if asked for, ``order`` (0 for the first item). Ids are integers.

    A user without items has no rows.
    """
    text = pl.scan_csv(path, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String})
    cells = text.select(pl.col("line").str.strip_chars().str.split(" "))
    frame = cells.select(user=pl.col("line").list.first(), item=pl.col("line").list.slice(1)).filter(pl.col("item").list.len() > 0)
    if order:
        frame = frame.with_columns(order=pl.int_ranges(0, pl.col("item").list.len()))
    return (
        frame.explode(["item", "order"] if order else ["item"])
        .filter(pl.col("item") != "")
        .with_columns(pl.col("user", "item").cast(pl.Int64))
    )


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
        parts = {"train": train, "test": test}
        return pl.concat([lines(path).with_columns(part=pl.lit(part)) for part, path in parts.items()])


class Gowalla(AdjacencyLists):
    """Check-ins in the LightGCN split: 29,858 users, 40,981 items, 810,128 training and 217,242 test events.

    10-core but for one user of 9 items; a random 80/20 split of every user's items, made by the publisher. It has no validation
    part: :class:`recsys.splitting.Predefined` carves one from the training part.

    Source: He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020; files from
    https://github.com/gusye1234/LightGCN-PyTorch. The raw check-ins are from Cho et al., "Friendship and mobility", KDD 2011 (SNAP);
    the publisher states no licence for the files. The counts are those of a copy whose test file is byte-equal to the publisher's; its
    training file is not (the publisher's is known by its git object id), so a download is held against the counts.

    Args:
        root: folder with ``gowalla/train.txt`` and ``gowalla/test.txt``. Default: ``$RECSYS_DATA``, then the cache, else a download.
    """

    _address = "https://raw.githubusercontent.com/gusye1234/LightGCN-PyTorch/master/data/gowalla/"
    published: ClassVar = {"events": 1_027_370, "owners": 29_858, "items": 40_981}
    remotes = (
        Remote(
            "gowalla/train.txt",
            _address + "train.txt",
            ("sha256:0f086326b28a56c2e6dcb81d86ee72d4ccb7eed3a8d26788392356d8f51111cc", "git:a27782bd7a1d4d0744148dc0460ea94da74763f2"),
        ),
        Remote("gowalla/test.txt", _address + "test.txt", ("sha256:099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",)),
    )

    def __init__(self, *, root: Path | str | None = None) -> None:
        self.root = root

    def files(self) -> list[Path]:
        return [locate(remote, self.root) for remote in self.remotes]
