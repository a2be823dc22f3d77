"""Reading, cleaning, splitting and encoding a large log next to the raw bytes and to DuckDB. ``pytest -m benchmark -s``; asserts no speed.

RECSYS_BENCHMARK_ROWS sets the size (default: 20,000,000 events). Each engine runs in a process of its own, so that peak memory is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recsys.data.simulate import write_log

pytestmark = pytest.mark.benchmark
ROWS = int(os.environ.get("RECSYS_BENCHMARK_ROWS", "20000000"))
_TIMED = """
import json, resource, sys, time
from pathlib import Path
begun = time.perf_counter()
{body}
print(json.dumps([time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, left]))
"""
OURS_CSV = """
from recsys.cleaning import Duplicates, KCore
from recsys.data import prepare
from recsys.data.sources import Table
from recsys.splitting import LastN
source = Table(sys.argv[1], user="user", item="item", time="timestamp", time_unit="s")
made = prepare(source, LastN(), clean=[Duplicates(same="event"), KCore(owner=5, item=5, fit="all")], cache=Path(sys.argv[2]))
left = made.report["cleaning"][-1]["events"][1]
"""
OURS_JSONL = """
from recsys.cleaning import Kinds, MinLength, MinSupport
from recsys.data import prepare
from recsys.data.sources import Otto
from recsys.splitting import SessionTime
clean = [Kinds(["clicks"]), MinLength(2, fit="all"), MinSupport(5, fit="all"), MinLength(2, fit="all")]
made = prepare(Otto(sys.argv[1]), SessionTime(test=0.0667, validation=0.0667), clean=clean, cache=Path(sys.argv[2]))
left = made.report["cleaning"][-1]["events"][1]
"""
DUCKDB_CSV = """
import duckdb
c = duckdb.connect()
c.execute("set threads=2; set preserve_insertion_order=false")
c.execute(f"create table t as select distinct on (user, item, timestamp) user, item, timestamp from read_csv('{sys.argv[1]}')")
before = None
while before != (left := c.execute("select count(*) from t").fetchone()[0]):
    before = left
    for column in ("item", "user"):
        c.execute(f"create or replace table t as select * from t where {column} in "
                  f"(select {column} from t group by {column} having count(*) >= 5)")
for column in ("user", "item"):
    c.execute(f"create table {column}s as select {column}, row_number() over (order by {column}) - 1 as code "
              f"from (select distinct {column} from t)")
c.execute("create table s as select users.code as u, items.code as i, timestamp, "
          "row_number() over (partition by users.code order by timestamp desc, items.code desc) as k "
          "from t join users using (user) join items using (item)")
for part, condition in (("train", "k > 2"), ("valid", "k = 2"), ("test", "k = 1")):
    c.execute(f"copy (select u, i, timestamp from s where {condition} order by u, timestamp, i) to '{sys.argv[2]}/{part}.parquet'")
"""


def _run(body: str, log: Path, folder: Path) -> tuple[float, float, int]:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(body=body), str(log), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seconds, megabytes, left = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes, left


@pytest.mark.parametrize(("name", "engines"), [("log.csv", ["ours", "duckdb", "ours"]), ("log.jsonl", ["ours", "ours"])])
def test_preparation(tmp_path: Path, name: str, engines: list[str]) -> None:
    log = tmp_path / name
    write_log(log, rows=ROWS, kind="csv" if name.endswith(".csv") else "otto", seed=0)
    begun = time.perf_counter()
    subprocess.run(["cat", str(log)], stdout=subprocess.DEVNULL, check=True)
    print(f"\n{name}: {ROWS:,} events, {log.stat().st_size / 1e9:.2f} GB; cat {time.perf_counter() - begun:.2f} s")
    bodies = {"ours": OURS_CSV if name.endswith(".csv") else OURS_JSONL, "duckdb": DUCKDB_CSV}
    left = set()
    for at, engine in enumerate(engines):
        seconds, megabytes, kept = _run(bodies[engine], log, tmp_path / f"{at}-{engine}")
        left.add(kept)
        print(f"{engine:>8}: {seconds:.1f} s, {ROWS / seconds / 1e6:.2f} M events/s, peak {megabytes:,.0f} MiB, {kept:,} events left")
    assert len(left) == 1, "the engines do not agree on what is left after cleaning"
