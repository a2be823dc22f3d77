from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import recsys.data.sources
from pipelines.cli import main
from recsys.cleaning import OwnerStep
from recsys.data import check, describe, prepare
from recsys.data.download import Remote, _digest
from recsys.data.sources import (
    AmazonElectronics,
    AmazonReviews,
    Beauty,
    Coat,
    Diginetica,
    DigineticaViews,
    Gowalla,
    MovieLens,
    Source,
    ToysGames,
    Yoochoose,
)
from recsys.errors import DataError
from recsys.part import build, spec
from recsys.splitting import Predefined

NAMED = [cls for name in recsys.data.sources.__all__ if "root" in inspect.signature(cls := getattr(recsys.data.sources, name)).parameters]


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


# ---- every named data set


@pytest.mark.parametrize("cls", NAMED)
def test_a_named_data_set_states_citation_and_licence(cls: type[Source]) -> None:
    text = " ".join((inspect.getdoc(cls) or "").split())
    assert re.search(r"\bLicence: \S", text)
    assert re.search(r"(et al\.|[A-Z]\w+ and [A-Z]\w+|[A-Z]\w+), [\"“][A-Z].+?[\"”],.*?(19|20)\d\d", text)
    assert "http" in text


def remotes_of(source: Any) -> list[Remote]:
    found: list[Remote] = []

    def keep(remotes: Any, _: Any = None) -> list[Path]:
        found.extend(remotes if isinstance(remotes, tuple) else (remotes,))
        return []

    module = inspect.getmodule(type(source))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("locate", "locate_all"):
            if hasattr(module, name):
                patch.setattr(module, name, keep)
        source.files()
    return [remote for remote in found if isinstance(remote, Remote)]


EVERY: list[Callable[[Any], Source]] = [
    *(lambda root, cls=cls: cls(root=root) for cls in NAMED if cls not in (AmazonReviews, MovieLens)),
    *(lambda root, v=v: MovieLens(v, root=root) for v in ("latest-small", "100k", "1m", "10m", "20m", "25m", "32m")),
    lambda root: AmazonReviews("Baby", root=root),
    lambda root: AmazonReviews("Baby", five_core=False, root=root),
]


@pytest.mark.parametrize("make", EVERY)
def test_a_named_data_set_says_where_its_files_are(make: Callable[[Any], Source], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file at .*; check the path"):
        make(tmp_path).files()
    assert spec(build(spec(make(None)))) == spec(make(None))
    for remote in remotes_of(make(None)):
        assert not Path(remote.name).is_absolute() and ".." not in remote.name and Path(remote.name).parent != Path(".")
        assert (remote.url is None) == bool(remote.advice), "an address, or what to do without"
        assert remote.url is None or remote.url.startswith("https://")
        lengths = {"sha256": 64, "md5": 32, "git": 40}
        for digest in (*remote.digests, *remote.content):
            kind, _, value = digest.partition(":")
            assert re.fullmatch(rf"[0-9a-f]{{{lengths[kind]}}}", value)


@pytest.mark.parametrize("cls", [Yoochoose, DigineticaViews, Diginetica])
def test_what_cannot_be_downloaded_says_where_to_get_it_and_where_to_put_it(
    cls: type[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"has no public address: (get|fetch) .* a folder '\w+' below RECSYS_DATA"):
        cls().files()


def test_the_command_prints_where_the_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, {"coat/train.ascii": "0 1\n", "coat/test.ascii": "1 0\n"})
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path))
    assert main(["data", "download", "Coat"]) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/coat/train.ascii", f"{tmp_path}/coat/test.ascii"]
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    assert main(["data", "download", "Yoochoose"]) == 2
    assert "yoochoose/yoochoose-clicks.dat is neither in RECSYS_DATA" in capsys.readouterr().err


def test_counts_that_are_not_the_published_ones_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, {"coat/train.ascii": "5 4 3\n1 2 5\n", "coat/test.ascii": "0 0 4\n4 0 0\n"})
    with caplog.at_level(logging.WARNING, "recsys"):
        prepare(Coat(min_rating=None, root=tmp_path), Predefined(validation=0.5), cache=tmp_path / "one", keep_repeats=True)
    assert "Coat has 8 events, the published file 11600" in caplog.text


# ---- the real files


@pytest.mark.data
@pytest.mark.parametrize(
    ("make", "owners", "items", "parts"),
    [
        (Gowalla, 29_858, 40_981, {"train": 810_128, "test": 217_242}),
        (Beauty, 22_363, 12_101, 198_502),
        (ToysGames, 19_412, 11_924, 167_597),
        (Diginetica, 186_670 + 15_963, 43_097, {"train": 906_140, "test": 76_821}),
        (lambda root: MovieLens(min_rating=None, root=root), 671, 9_066, 100_004),
        (lambda root: MovieLens(root=root), 671, 6_170, 51_568),
        (lambda root: Coat(min_rating=None, root=root), 290, 300, {"train": 6_960, "test": 4_640}),
        (lambda root: Coat(root=root), 290, 295, {"train": 1_905, "test": 860}),
        (AmazonElectronics, 1_435, 1_522, {"train": 31_887, "valid": 4_044, "test": 4_044}),
    ],
)
def test_counts_of_the_real_data(
    data_root: Path, make: Callable[..., Source], owners: int, items: int, parts: int | dict[str, int]
) -> None:
    source = make(root=data_root)
    events = check(source.events())
    assert all(describe(events)[what] == count for what, count in source.published.items())
    for step in source.steps():
        assert isinstance(step, OwnerStep)
        events = step.clean(events)
    found = describe(events)
    assert (found["owners"], found["items"]) == (owners, items)
    assert (found["parts"] if isinstance(parts, dict) else found["events"]) == parts


@pytest.mark.data
@pytest.mark.parametrize("cls", [Beauty, ToysGames, AmazonElectronics, Coat, Gowalla])
def test_the_real_files_have_the_digests(data_root: Path, cls: type[Any]) -> None:
    for remote in remotes_of(cls()):
        known = remote.content or remote.digests
        assert any(_digest(data_root / remote.name, one.partition(":")[0]) == one for one in known)


@pytest.mark.data
def test_pairs_and_items_of_coat(data_root: Path) -> None:
    events = Coat(min_rating=None, root=data_root).events().collect()
    train, test = (events.filter(pl.col("part") == part) for part in ("train", "test"))
    both = train.join(test, on=["user", "item"])
    assert len(both) == 366 and (both["weight"] == both["weight_right"]).all()
    assert 300 - train.filter(pl.col("weight") >= 4)["item"].n_unique() == 16
    assert test.group_by("user").len()["len"].unique().to_list() == [16]
    assert 290 - test.filter(pl.col("weight") >= 4)["user"].n_unique() == 53
