"""JSON files with one list of item ids a user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import polars as pl

from recsys.data.download import Remote, existing, locate_all
from recsys.data.log import OwnerKind
from recsys.data.source import Source
from recsys.errors import DataError

_PARTS = ("train", "test", "valid")


class JsonLists(Source):
    """Two or three JSON files ``[[item, item, ...], [item, ...], ...]``: the list at place ``u`` (from 0) has the items of user ``u``.

    No times, no order. A user without items in a part has an empty list there, so that all files have the same length. Item ids are
    integers.

    Args:
        train: file of the training part.
        test: file of the test part.
        valid: file of the validation part, if there is one.
    """

    owner: OwnerKind = "user"
    predefined = True

    def __init__(self, train: Path | str, test: Path | str, valid: Path | str | None = None) -> None:
        self.train, self.test, self.valid = train, test, valid

    def files(self) -> list[Path]:
        return [existing(path) for path in (self.train, self.test, self.valid) if path is not None]

    def events(self) -> pl.LazyFrame:
        paths = self.files()
        parts = [_read(path) for path in paths]
        for path, part in zip(paths, parts, strict=True):
            if len(part) != len(parts[0]):
                raise DataError(
                    f"{path} has lists of {len(part):,} users, {paths[0]} of {len(parts[0]):,}; the list at a place is the same user's in "
                    "all files: give an empty list where a user has no items"
                )
        frames = [
            pl.DataFrame({"item": part}).with_row_index("user").explode("item").drop_nulls().with_columns(part=pl.lit(name))
            for name, part in zip(_PARTS, parts, strict=False)
        ]
        return pl.concat(frames).lazy().select(pl.col("user").cast(pl.Int64), "item", "part")


def _read(path: Path) -> pl.Series:
    """A list of item ids a user."""
    form = "give a JSON list with one list of item ids (integers) a user"
    try:
        lists = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}); {form}") from None
    except (UnicodeDecodeError, RecursionError):
        raise DataError(f"{path} is not JSON; {form}") from None
    if not isinstance(lists, list):
        raise DataError(f"{path} has a JSON {type(lists).__name__}, not a list; {form}")
    for user, items in enumerate(lists):
        if not isinstance(items, list) or not set(map(type, items)) <= {int}:
            bad = items if not isinstance(items, list) else next(item for item in items if type(item) is not int)
            raise DataError(f"{path}: user {user} (counting from 0) has {json.dumps(bad)[:60]}; {form}")
    try:
        return pl.Series("item", lists, dtype=pl.List(pl.Int64))
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        raise DataError(f"{path} has an item id beyond 64 bits; {form}") from None


class AmazonElectronics(JsonLists):
    """Amazon reviews of electronics, 14-core: 1,435 users, 1,522 items, 31,887 training, 4,044 validation and 4,044 test events.

    The split is NBPO's: for each user a tenth of the items for validation and a tenth for test. Yu and Qin, "Sampler Design for Implicit
    Feedback Data by Noisy-label Robust Learning", SIGIR 2020; the files of ``dataset/amazon`` of https://github.com/Wenhui-Yu/NBPO, byte
    for byte. Reviews: McAuley et al., "Image-based recommendations on styles and substitutes", SIGIR 2015. Licence: none is stated;
    research use.

    Args:
        root: folder with ``amazon-electronics-14core/train.json``, ``validation.json`` and ``test.json``. Default: ``$RECSYS_DATA``, then
            the cache, else a download.
    """

    _address = "https://raw.githubusercontent.com/Wenhui-Yu/NBPO/master/dataset/amazon/"
    published: ClassVar = {"events": 39_975, "owners": 1_435, "items": 1_522}
    remotes = (
        Remote(
            "amazon-electronics-14core/train.json",
            _address + "train_data.json",
            ("sha256:9feb28fdce1eceb15bcb6700a4bbda85ccffef9ef6878d1f908dfd50e4f0de0a",),
        ),
        Remote(
            "amazon-electronics-14core/test.json",
            _address + "test_data.json",
            ("sha256:974a2774ef047aecbde3e5118a7138dac80ebe29a3d034952a7f0a49ed2b0911",),
        ),
        Remote(
            "amazon-electronics-14core/validation.json",
            _address + "validation_data.json",
            ("sha256:550a4128b8c4c761b352c93304c21556f6c247d6ea988e171c3bf11fb4fb65b7",),
        ),
    )

    def __init__(self, *, root: Path | str | None = None) -> None:
        self.root = root

    def files(self) -> list[Path]:
        return locate_all(self.remotes, self.root)
