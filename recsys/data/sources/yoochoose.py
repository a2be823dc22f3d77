"""The clicks of the RecSys Challenge 2015."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.data.download import Remote, locate
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.data.sources.text import INTEGER, ISO, fields


class Yoochoose(Source):
    """Click sessions of an online shop, April to September 2014: 33,003,944 clicks, 9,249,729 sessions, 52,739 items, with time stamps.

    All clicks as they are published. What papers make of them differs; TRON's rule is: drop sessions of one click, then items of fewer than
    5 clicks, then sessions of one click again; a session is in the test part if its last click is later than a day before the latest first
    click.

    Ben-Shimon et al., "RecSys Challenge 2015 and the YOOCHOOSE Dataset", RecSys 2015. Licence: CC BY-NC-ND 4.0, as its README says. The
    publisher gives a 7z archive (https://s3-eu-west-1.amazonaws.com/yc-rdata/yoochoose-data.7z), which Python cannot unpack, and no
    checksum.

    Args:
        root: folder with ``yoochoose/yoochoose-clicks.dat``. Default: ``$RECSYS_DATA``, then the cache; there is no download.
    """

    owner: OwnerKind = "session"
    timed = True
    ordered = True
    published: ClassVar = {"events": 33_003_944, "owners": 9_249_729, "items": 52_739}
    remote = Remote(
        "yoochoose/yoochoose-clicks.dat",
        None,
        advice="fetch https://s3-eu-west-1.amazonaws.com/yc-rdata/yoochoose-data.7z (on Kaggle: chadgostopp/recsys-challenge-2015), "
        "unpack it with 7z x, and put yoochoose-clicks.dat in a folder 'yoochoose' below RECSYS_DATA",
    )

    def __init__(self, *, root: Path | str | None = None) -> None:
        self.root = root

    def files(self) -> list[Path]:
        return [locate(self.remote, self.root)]

    def events(self) -> pl.LazyFrame:
        (path,) = self.files()
        return fields(path, ",", {"session": INTEGER, "time": ISO, "item": INTEGER, "category": None})
