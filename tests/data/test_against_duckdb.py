"""A whole preparation against the same one in SQL, on a log that is large enough for the compiled loops and several blocks."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from recsys.cleaning import Duplicates, KCore, Kinds, MinLength, MinSupport
from recsys.data import prepare
from recsys.data.log import Fold, Holdout
from recsys.data.simulate import write_log
from recsys.data.sources import Otto, Table
from recsys.splitting import LastN, SessionTime


def trained(fold: Fold, owner: str) -> pl.DataFrame:
    """Owner, item and time of each training event, in order."""
    log = fold.train
    assert log.time is not None
    return pl.DataFrame(
        {owner: fold.owners.gather(log.owners.numpy()), "item": fold.items.gather(log.items.numpy()), "t": log.time.numpy()}
    )


def asked(fold: Fold, holdout: Holdout, owner: str) -> pl.DataFrame:
    """Owner and item of each known relevant item."""
    query = holdout.query.select(owner).with_columns(count=pl.Series(holdout.offsets.diff().numpy()))
    return pl.DataFrame(
        {
            owner: query.select(pl.col(owner).repeat_by("count")).explode(owner)[owner].drop_nulls(),
            "item": fold.items.gather(holdout.items.numpy()),
        }
    )


def table(connection: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    found = connection.execute(query)
    names = [column[0] for column in found.description]
    return pl.DataFrame(found.fetchall(), schema=dict.fromkeys(names, pl.Int64), orient="row")


def test_a_5_core_of_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "log.csv", rows=400_000, kind="csv", seed=1)
    monkeypatch.setattr(sys.modules["recsys.data.making"], "ROWS", 90_000)
    source = Table(tmp_path / "log.csv", user="user", time="timestamp", time_unit="s")
    steps = [Duplicates(same="event"), KCore(owner=20, item=30, fit="all")]
    fold = prepare(source, LastN(), clean=steps, cache=tmp_path / "cache").select
    c = duckdb.connect()
    c.execute(f"create table t as select distinct user, item, timestamp from read_csv('{tmp_path}/log.csv')")
    before, left = None, -1
    while before != left:
        before = left
        c.execute("delete from t where item in (select item from t group by item having count(*) < 30)")
        c.execute("delete from t where user in (select user from t group by user having count(*) < 20)")
        left = c.execute("select count(*) from t").fetchone()[0]
    c.execute("create table s as select *, row_number() over (partition by user order by timestamp desc, item desc) as k from t")
    train = table(c, "select user, item, timestamp * 1000000 as t from s where k > 2 order by user, timestamp, item")
    assert 0 < left < 390_000 and trained(fold, "user").equals(train)
    history = "select 1 from s as h where h.user = s.user and h.item = s.item and h.k > s.k"
    known = "item in (select item from s where k > 2)"
    test = table(c, f"select user, item from s where k = 1 and not exists ({history}) and {known} order by user")
    assert asked(fold, fold.holdouts["test"], "user").equals(test)


def test_clicks_in_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "log.jsonl", rows=400_000, kind="otto", seed=2)
    monkeypatch.setattr(sys.modules["recsys.data.making"], "ROWS", 90_000)
    steps = [Kinds(["clicks"]), MinLength(2, fit="all"), MinSupport(5, fit="all"), MinLength(2, fit="all")]
    fold = prepare(Otto(tmp_path / "log.jsonl"), SessionTime(test=0.1, validation=0.1), clean=steps, cache=tmp_path / "cache").refit
    c = duckdb.connect()
    columns = "{session: 'BIGINT', events: 'STRUCT(aid BIGINT, ts BIGINT, type VARCHAR)[]'}"
    lines = f"read_json('{tmp_path}/log.jsonl', format='newline_delimited', columns={columns})"
    c.execute(f"create table t as select session, e.aid as item, e.ts * 1000 as t from (select session, unnest(events) as e from {lines}) "
              "where e.type = 'clicks'")  # fmt: skip
    short = "delete from t where session in (select session from t group by session having count(*) < 2)"
    for query in (short, "delete from t where item in (select item from t group by item having count(*) < 5)", short):
        c.execute(query)
    c.execute("create table s as select session, min(t) as start from t group by session")
    rank = "select start from s order by start offset (select round(count(*) * 0.9) from s) limit 1"
    train = table(c, f"select t.* from t join s using (session) where start < ({rank}) order by session, t, item")
    assert trained(fold, "session").equals(train)
    queries = c.execute(f"select count(*) - count(distinct session) from t join s using (session) where start >= ({rank})").fetchone()[0]
    assert len(fold.holdouts["test"]) == queries > 0
