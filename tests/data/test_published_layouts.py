from __future__ import annotations

import gzip
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.cleaning import OwnerStep
from recsys.data import check
from recsys.data.sources import (
    AmazonBook,
    AmazonReviews,
    Beauty,
    Coat,
    DigineticaViews,
    Gowalla,
    JsonLists,
    MovieLens,
    Sequences,
    Source,
    SportsOutdoors,
    ToysGames,
    Yelp2018,
    Yelp2019,
    Yoochoose,
)
from recsys.errors import ConfigError, DataError


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def rows(source: Source, *columns: str) -> list[tuple[Any, ...]]:
    frame = cleaned(source)
    return frame.select(columns or frame.columns).rows()


def cleaned(source: Source) -> pl.DataFrame:
    """What is an event of the data set."""
    frame = check(source.events())
    for step in source.steps():
        assert isinstance(step, OwnerStep)
        frame = step.clean(frame)
    return frame


def refusal(source: Source) -> str:
    with pytest.raises(DataError) as caught:
        check(source.events())
    assert "\n" not in str(caught.value)
    return str(caught.value)


MOVIES = {
    "100k": ("movielens-100k/u.data", "196\t242\t3\t881250949\n186\t302\t4\t891717742\n"),
    "1m": ("movielens-1m/ratings.dat", "196::242::3::881250949\n186::302::4::891717742\n"),
    "10m": ("movielens-10m/ratings.dat", "196::242::3.5::881250949\n186::302::4::891717742\n"),
    "20m": ("movielens-20m/ratings.csv", "userId,movieId,rating,timestamp\n196,242,3.5,881250949\n186,302,4.0,891717742\n"),
    "25m": ("movielens-25m/ratings.csv", "userId,movieId,rating,timestamp\n196,242,3.5,881250949\n186,302,4.0,891717742\n"),
    "32m": ("movielens-32m/ratings.csv", "userId,movieId,rating,timestamp\n196,242,3.5,881250949\n186,302,4.0,891717742\n"),
    "latest-small": ("movielens-small/ratings.csv", "userId,movieId,rating,timestamp\n196,242,3.5,881250949\n186,302,4.0,891717742\n"),
}


@pytest.mark.parametrize("variant", MOVIES)
def test_movielens(tmp_path: Path, variant: Any) -> None:
    name, text = MOVIES[variant]
    write(tmp_path, {name: text})
    low, high = (196, 242, datetime(1997, 12, 4, 15, 55, 49)), (186, 302, datetime(1998, 4, 4, 19, 22, 22))
    assert rows(MovieLens(variant, root=tmp_path), "user", "item", "time") == [high]
    assert rows(MovieLens(variant, min_rating=None, root=tmp_path), "user", "item", "time") == [low, high]
    assert rows(MovieLens(variant, min_rating=3.0, root=tmp_path), "user", "item", "time") == [low, high]
    assert cleaned(MovieLens(variant, root=tmp_path)).columns == ["user", "item", "time"]
    assert MovieLens(variant, root=tmp_path).gives() == {"user", "time", "order", "weight"}
    every = rows(MovieLens(variant, min_rating=None, root=tmp_path), "weight")
    assert every == [(3.0 if variant in ("100k", "1m") else 3.5,), (4.0,)]  # the ratings stay where none is the smallest


def test_movielens_variants_and_counts() -> None:
    with pytest.raises(ConfigError, match=r"variant='2m'; allowed are latest-small, 100k, 1m, 10m, 20m, 25m, 32m"):
        MovieLens("2m")  # type: ignore[arg-type]
    assert dict(MovieLens("1m").published) == {"events": 1_000_209, "owners": 6_040, "items": 3_706}
    assert not MovieLens().published


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1::2::3::4\n1::x::3::4\n", r"ratings.dat, line 2: field 'item' is 'x'; it is an integer"),
        ("1::2::3::4\n\n1::2::bad::4\n", r"line 3: field 'weight' is 'bad'; it is a number"),
        ("1::2::3::1997\n1::2::3::today\n", r"line 2: field 'time' is 'today'; it is a number of seconds since 1970"),
        ("1::2::3::99999999999999\n", r"line 1: field 'time' is '99999999999999'; it is a number of seconds since 1970"),
        ("1::2::3\n", r"line 1: 3 fields in '1::2::3'; a line has 4: user::item::weight::time"),
        ("1::2::3::4\n1::2::3::4::5\n", r"line 2: 5 fields in '1::2::3::4::5'; a line has 4"),
        ("1\t2\t3\t4\n", r"line 1: 1 fields in '1\\t2\\t3\\t4'; a line has 4"),
        (f"{2**63}::2::3::4\n", r"line 1: field 'user' is '9223372036854775808'; it is an integer"),
        ("::2::3::4\n", r"line 1: field 'user' is ''; it is an integer"),
        ("x" * 100, r"line 1: 1 fields in 'x{57}\.\.\.'; a line has 4"),
        ("", r"ratings.dat is empty; it is damaged or not the published file"),
        ("\n\n", r"there are no events"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, {"movielens-1m/ratings.dat": text})
    assert re.search(message, refusal(MovieLens("1m", min_rating=None, root=tmp_path)))


def test_a_bad_line_far_down_is_named(tmp_path: Path) -> None:
    good = "".join(f"{row}::{row % 7}::5::{900_000_000 + row}\n" for row in range(150_000))
    write(tmp_path, {"movielens-1m/ratings.dat": good + "1::2::3::x\n" + good})
    assert "line 150001: field 'time' is 'x'" in refusal(MovieLens("1m", root=tmp_path))


def test_line_ends_of_windows_and_a_last_line_without_end(tmp_path: Path) -> None:
    write(tmp_path, {"movielens-1m/ratings.dat": "1::2::5::10\r\n3::4::5::20"})
    assert rows(MovieLens("1m", root=tmp_path), "user", "item") == [(1, 2), (3, 4)]


RATINGS = st.lists(
    st.tuples(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(1, 10).map(lambda n: n / 2), st.integers(0, 4_000_000_000)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=30, deadline=None)
@given(ratings=RATINGS, smallest=st.sampled_from([None, 0.5, 3.0, 4.5]))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, ratings: list[Any], smallest: float | None) -> None:
    root = tmp_path_factory.mktemp("ratings")
    write(root, {"movielens-10m/ratings.dat": "".join("::".join(map(str, rating)) + "\n" for rating in ratings)})
    kept = [(user, item, time) for user, item, stars, time in ratings if smallest is None or stars >= smallest]
    found = cleaned(MovieLens("10m", min_rating=smallest, root=root)) if kept else check(MovieLens("10m", root=root).events()).head(0)
    assert list(zip(found["user"], found["item"], found["time"].dt.epoch("s"), strict=True)) == kept


def test_yoochoose(tmp_path: Path) -> None:
    text = "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,S\n2,2014-04-07T13:56:37.614Z,214662742,0\n"
    write(tmp_path, {"yoochoose/yoochoose-clicks.dat": text})
    assert rows(Yoochoose(root=tmp_path), "session", "item", "time") == [
        (1, 214536502, datetime(2014, 4, 7, 10, 51, 9, 277_000)),
        (1, 214536500, datetime(2014, 4, 7, 10, 54, 9, 868_000)),
        (2, 214662742, datetime(2014, 4, 7, 13, 56, 37, 614_000)),
    ]
    assert Yoochoose(root=tmp_path).gives() == {"session", "time", "order"}
    write(tmp_path, {"yoochoose/yoochoose-clicks.dat": text + "3,2014-04-07 13:56,5,0\n"})
    assert "line 4: field 'time' is '2014-04-07 13:56'; it is a time such as 2014-" in refusal(Yoochoose(root=tmp_path))


@pytest.mark.parametrize("header", ["sessionId;userId;itemId;timeframe;eventdate", "session_id;user_id;item_id;timeframe;eventdate"])
def test_the_views_of_diginetica(tmp_path: Path, header: str) -> None:
    name = "diginetica/train-item-views.csv"
    write(tmp_path, {name: f"{header}\n1;NA;81766;526309;2016-05-09\n1;NA;31331;1031018;2016-05-09\n2;17;32118;90000000;2016-05-09\n"})
    assert rows(DigineticaViews(root=tmp_path), "session", "item", "time") == [
        (1, 81766, datetime(2016, 5, 9, 0, 8, 46, 309_000)),
        (1, 31331, datetime(2016, 5, 9, 0, 17, 11, 18_000)),
        (2, 32118, datetime(2016, 5, 10, 1, 0, 0)),
    ]
    write(tmp_path, {name: f"{header}\n1;NA;81766;526309;09.05.2016\n"})
    assert "line 2: field 'eventdate' is '09.05.2016'; it is a day such as" in refusal(DigineticaViews(root=tmp_path))
    write(tmp_path, {name: "1;NA;81766;526309;2016-05-09\n"})
    assert "line 1: '1;NA;81766;526309;2016-05-09'; this file begins with the header sessionId;" in refusal(DigineticaViews(root=tmp_path))


REVIEW = {
    "reviewerID": "A1YJEY40YUW4SE",
    "asin": "0007806397051",
    "reviewerName": "Andrea",
    "helpful": [3, 4],
    "reviewText": 'Very oily, "creamy"\n\\ é',
    "overall": 1.0,
    "summary": "Don't waste your money",
    "unixReviewTime": 1391040000,
    "reviewTime": "01 30, 2014",
}


def test_amazon_reviews_of_a_5_core(tmp_path: Path) -> None:
    lines = [REVIEW, {**REVIEW, "reviewerID": "A2", "overall": 5.0, "unixReviewTime": 1391126400}]
    good = "".join(json.dumps(line) + "\n" for line in lines)
    write(tmp_path, {"amazon-2014/reviews_Beauty_5.json.gz": gzip.compress(good.encode())})
    first = ("A1YJEY40YUW4SE", "0007806397051", datetime(2014, 1, 30))
    second = ("A2", "0007806397051", datetime(2014, 1, 31))
    assert rows(AmazonReviews("Beauty", root=tmp_path), "user", "item", "time") == [first, second]
    assert rows(AmazonReviews("Beauty", min_rating=2.0, root=tmp_path), "user", "item", "time") == [second]
    for bad, message in {
        '{"reviewerID": "A1", "asin": "7"': "line 3: not the JSON of a review: '{",
        '{"reviewerID": "A1", "asin": "7", "overall": "x", "unixReviewTime": 1}': "line 3: not the JSON of a review",
        '{"reviewerID": "A1", "overall": 1.0, "unixReviewTime": 1}': "line 3: no 'asin' of type String in '{",
        "[]": "line 3: not the JSON of a review: '[]'",
    }.items():
        write(tmp_path, {"amazon-2014/reviews_Beauty_5.json.gz": gzip.compress((good + bad + "\n" + good).encode())})
        assert message in refusal(AmazonReviews("Beauty", root=tmp_path))


def test_all_ratings_of_a_category(tmp_path: Path) -> None:
    text = "A39HTATAQ9V7YF,0205616461,5.0,1369699200\nA3JM6GV9MNOF9X,0558925278,3.0,1355443200\n"
    write(tmp_path, {"amazon-2014/ratings_Beauty.csv": text})
    source = AmazonReviews("Beauty", five_core=False, root=tmp_path)
    assert rows(source, "user", "item", "time") == [
        ("A39HTATAQ9V7YF", "0205616461", datetime(2013, 5, 28)),
        ("A3JM6GV9MNOF9X", "0558925278", datetime(2012, 12, 14)),
    ]
    assert dict(source.published) == {"events": 2_023_070} and not AmazonReviews("Beauty").published
    assert len(rows(AmazonReviews("Beauty", five_core=False, min_rating=4, root=tmp_path))) == 1
    with pytest.raises(ConfigError, match=r"category='beauty'; allowed are Amazon_Instant_Video, .*Video_Games"):
        AmazonReviews("beauty")  # type: ignore[arg-type]
    write(tmp_path, {"amazon-2014/ratings_Beauty.csv": text + ",1,3.0,1355443200\n"})
    assert "ratings_Beauty.csv, line 3: field 'user' is ''; it is a text that is not empty" in refusal(source)


def test_coat_matrices(tmp_path: Path) -> None:
    write(tmp_path, {"coat/train.ascii": "0 5 0\r\n4 0 1\r\n", "coat/test.ascii": "3 0 0\n0 5 0\n"})
    every = [(0, 1, 5.0, "train"), (1, 0, 4.0, "train"), (1, 2, 1.0, "train"), (0, 0, 3.0, "test"), (1, 1, 5.0, "test")]
    found = sorted(rows(Coat(min_rating=None, root=tmp_path), "user", "item", "weight", "part"))
    assert found == sorted(every)
    liked = [(user, item, part) for user, item, weight, part in every if weight >= 4]
    assert sorted(rows(Coat(root=tmp_path), "user", "item", "part")) == sorted(liked)
    assert "weight" not in cleaned(Coat(root=tmp_path)).columns
    assert Coat().gives() == {"user", "predefined", "weight"}
    write(tmp_path, {"coat/test.ascii": "3 0 0\n0 6 0\n"})
    assert "test.ascii, line 2: field '1' is '6'; it is 0 for none, or a rating from 1 to 5" in refusal(Coat(root=tmp_path))
    write(tmp_path, {"coat/test.ascii": "3 0 0\n"})
    assert "train.ascii has 2 x 3 and " in refusal(Coat(root=tmp_path)) and "test.ascii has 1 x 3" in refusal(Coat(root=tmp_path))
    write(tmp_path, {"coat/test.ascii": "3 0 0\n0 6\n"})
    assert "test.ascii, line 2: 2 fields in '0 6'; a line has 3" in refusal(Coat(root=tmp_path))


@settings(max_examples=30, deadline=None)
@given(
    matrices=st.integers(1, 6).flatmap(
        lambda width: st.lists(st.lists(st.integers(0, 5), min_size=width, max_size=width), min_size=2, max_size=8).map(
            lambda m: m[: len(m) // 2 * 2]
        )
    )
)
def test_coat_events_rebuild_the_matrices(tmp_path_factory: pytest.TempPathFactory, matrices: list[list[int]]) -> None:
    root, half = tmp_path_factory.mktemp("coat"), len(matrices) // 2
    given_parts = {"train": matrices[:half], "test": matrices[half:]}
    write(root, {f"coat/{part}.ascii": "".join(" ".join(map(str, row)) + "\n" for row in m) for part, m in given_parts.items()})
    found = Coat(min_rating=None, root=root).events().collect()
    rebuilt = {part: [[0] * len(matrices[0]) for _ in range(half)] for part in given_parts}
    for user, item, weight, part in found.select("user", "item", "weight", "part").iter_rows():
        rebuilt[part][user][item] = int(weight)
    assert rebuilt == given_parts


def test_json_lists(tmp_path: Path) -> None:
    write(tmp_path, {"a.json": "[[3, 1], [], [2]]", "b.json": "[[2], [5], []]", "c.json": "[[], [], [7]]"})
    a, b, c = (tmp_path / f"{name}.json" for name in "abc")
    assert rows(JsonLists(a, b), "user", "item", "part") == [
        (0, 3, "train"),
        (0, 1, "train"),
        (2, 2, "train"),
        (0, 2, "test"),
        (1, 5, "test"),
    ]
    assert rows(JsonLists(a, b, c), "user", "item", "part")[-1] == (2, 7, "valid")
    assert JsonLists(a, b).gives() == {"user", "predefined"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1], [2]", r"a.json, line 1, column 10: not JSON \(.*\); give a JSON list with one list of item ids"),
        ("[[1],\n[2] 3]", r"a.json, line 2, column 5: not JSON"),
        ("", r"a.json, line 1, column 1: not JSON"),
        ("[" * 100_000, r"a.json is not JSON"),
        ('{"0": [1]}', r"a.json has a JSON dict, not a list"),
        ("[[1], 2]", r"a.json: user 1 \(counting from 0\) has 2; give"),
        ('[[1], [2, "x"]]', r'a.json: user 1 \(counting from 0\) has "x"; give'),
        ("[[1], [2, 3.0]]", r"user 1 \(counting from 0\) has 3.0"),
        ("[[1], [true]]", r"user 1 \(counting from 0\) has true"),
        ("[[1], [null]]", r"user 1 \(counting from 0\) has null"),
        (f"[[1], [{2**63}]]", r"a.json has an item id beyond 64 bits"),
        ("[[1]]", r"b.json has lists of 2 users, .*a.json of 1; .*: give an empty list"),
    ],
)
def test_bad_json_lists(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, {"a.json": text, "b.json": "[[1], [2]]"})
    assert re.search(message, refusal(JsonLists(tmp_path / "a.json", tmp_path / "b.json")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3 x\n", r"s.txt, line 2: 'x' is not an integer; a line is a user's id and ids of items, with spaces"),
        ("a 2\n", r"line 1: 'a' is not an integer"),
        ("1\t2 3\n", r"line 1: '1\\t2' is not an integer"),
        (f"1 {2**63}\n", r"line 1: '9223372036854775808' is not an integer"),
        ("1\n2\n", r"there are no events"),
    ],
)
def test_bad_lists_of_items(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, {"s.txt": text})
    assert re.search(message, refusal(Sequences(tmp_path / "s.txt")))


def test_users_without_items_double_spaces_and_blank_lines(tmp_path: Path) -> None:
    write(tmp_path, {"s.txt": "7 \n\n8 1  2 \r\n9\n10 3"})
    assert rows(Sequences(tmp_path / "s.txt")) == [(8, 1, 0), (8, 2, 1), (10, 3, 0)]


@pytest.mark.parametrize(
    ("cls", "name"), [(Beauty, "beauty"), (ToysGames, "toys-games"), (SportsOutdoors, "sports-outdoors"), (Yelp2019, "yelp-2019")]
)
def test_the_family_of_s3rec(tmp_path: Path, cls: type[Source], name: str) -> None:
    write(tmp_path, {f"{name}/sequences.txt": "1 5 3\n2 4\n"})
    assert rows(cls(root=tmp_path)) == [(1, 5, 0), (1, 3, 1), (2, 4, 0)]  # type: ignore[call-arg]


@pytest.mark.parametrize(("cls", "name"), [(Gowalla, "gowalla"), (Yelp2018, "yelp2018"), (AmazonBook, "amazon-book")])
def test_the_family_of_lightgcn(tmp_path: Path, cls: type[Source], name: str) -> None:
    write(tmp_path, {f"{name}/train.txt": "0 5 3\n1 4\n", f"{name}/test.txt": "0 6\n1 \n"})
    assert rows(cls(root=tmp_path)) == [(0, 5, "train"), (0, 3, "train"), (1, 4, "train"), (0, 6, "test")]  # type: ignore[call-arg]
