"""The compiled parser of OTTO's layout equals the standard library's, or leaves the line to it."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import check
from recsys.data.reading.otto import KINDS, LATEST, sessions
from recsys.data.reading.quarantine import Quarantine
from recsys.data.sources import Otto
from recsys.errors import ConfigError, DataError

LINE = '{"session":12899779,"events":[{"aid":59625,"ts":1661724000278,"type":"clicks"},{"aid":0,"ts":0,"type":"orders"}]}'
EVENT = st.fixed_dictionaries(
    {"aid": st.integers(0, 2**63 - 1) | st.integers(-5, 10**6), "ts": st.integers(0, LATEST), "type": st.sampled_from(KINDS)},
    optional={"note": st.sampled_from(["", "}]", '"', "\\", "é"])},
)
SESSION = st.fixed_dictionaries({"session": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 99), "events": st.lists(EVENT, max_size=4)})


def reference(lines: list[str]) -> list[tuple[int, int, int, str]]:
    found = [json.loads(line) for line in lines]
    return [(one["session"], event["aid"], event["ts"] * 1000, event["type"]) for one in found for event in one["events"]]


def ours(text: bytes) -> list[tuple[int, int, int, str]]:
    found = sessions(text)
    assert not found.bad
    return list(
        zip(found.session.tolist(), found.item.tolist(), found.time.tolist(), [KINDS[kind] for kind in found.kind.tolist()], strict=True)
    )


def shuffled(value: Any, order: Any) -> Any:
    """The same JSON with keys in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], order) for key in order.draw(st.permutations(sorted(value)))}
    return [shuffled(one, order) for one in value] if isinstance(value, list) else value


@settings(max_examples=150, deadline=None)
@given(data=st.data(), found=st.lists(SESSION, min_size=1, max_size=6), style=st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "  : ")]))
def test_equal_to_the_standard_library(data: st.DataObject, found: list[dict[str, Any]], style: tuple[str, str]) -> None:
    lines = [json.dumps(shuffled(one, data), separators=style, ensure_ascii=data.draw(st.booleans())) for one in found]
    ending = data.draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    assert ours(ending.join(lines).encode() + data.draw(st.sampled_from([b"", b"\n"]))) == reference(lines)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(LINE) - 1), byte=st.integers(0, 255), keep=st.booleans())
def test_one_wrong_byte_is_never_a_wrong_number(at: int, byte: int, keep: bool) -> None:
    """A line with a byte changed or put in means what JSON says it means, or is refused."""
    raw = LINE.encode()
    line = raw[:at] + bytes([byte]) + raw[at + (not keep) :]
    if b"\n" in line:
        return
    found = sessions(LINE.encode() + b"\n" + line + b"\n" + LINE.encode())
    good = reference([LINE])
    got = list(zip(found.session.tolist(), found.item.tolist(), found.time.tolist(), [KINDS[k] for k in found.kind.tolist()], strict=True))
    assert got[:2] == good and got[-2:] == good
    if found.bad:
        assert len(got) == 4 and found.bad[0][0] == 1 and found.bad[0][3]
    else:
        assert got[2:-2] == (reference([line.decode()]) if line.strip() else [])


def test_lines_that_are_left_to_the_slow_parser_keep_their_place() -> None:
    odd = '{"session":3,"events":[{"aid":1,"ts":2,"type":"carts","x":[1]},{"aid":2,"ts":2,"type":"c\\u006cicks"}]}'
    lines = [LINE, odd, '{"session":4,"events":[]}', LINE, odd, odd]
    assert ours("\n".join(lines).encode()) == reference(lines)


def test_the_source(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(f"{LINE}\n".encode()))
    source = Otto(path)
    found = pl.concat(list(source.batches()))
    assert found.schema == {"session": pl.Int64, "item": pl.Int64, "time": pl.Datetime("us"), "kind": pl.Enum(KINDS)}
    assert found.rows() == [
        (12899779, 59625, datetime(2022, 8, 28, 22, 0, 0, 278_000), "clicks"),
        (12899779, 0, datetime(1970, 1, 1), "orders"),
    ]
    assert source.events().collect().equals(found) and check(source.events()).equals(found)
    assert source.gives() == {"session", "time", "order", "kind"} and source.published == {}


def test_the_named_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECSYS_DATA", raising=False)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"otto/otto-recsys-train.jsonl is neither .*kaggle datasets download -d otto/recsys-dataset"):
        Otto().files()
    (tmp_path / "otto").mkdir()
    for part in ("train", "test"):
        (tmp_path / "otto" / f"otto-recsys-{part}.jsonl").write_text(LINE.replace("12899779", "1" if part == "train" else "2"))
    both = pl.concat(list(Otto(subset="all", root=tmp_path).batches()))
    assert both.select("session", "part").rows() == [(1, "train"), (1, "train"), (2, "test"), (2, "test")]
    assert Otto(subset="all").predefined and not Otto().predefined
    assert Otto().published == {"events": 216_716_096, "owners": 12_899_779, "items": 1_855_603} and Otto(subset="test").published == {}


def test_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f"{LINE}\n\n" + LINE.replace("clicks", "views") + f"\n{LINE}\nx\n")
    message = r"log.jsonl, line 3: 'type' is 'views'; types are clicks, carts, orders: mend the line"
    with pytest.raises(DataError, match=message):
        list(Otto(path).batches())
    quarantine = Quarantine()
    assert len(pl.concat(list(Otto(path, on_error="quarantine").batches(quarantine)))) == 4
    assert quarantine.frame().select("line", "column", "value").rows() == [(3, "type", "'views'"), (5, None, None)]
    path.write_text('{"session":4,"events":[]}\n')
    with pytest.raises(DataError, match=r"log.jsonl: there are no events \(0 rows\)"):
        list(Otto(path).batches())


def test_options_are_checked() -> None:
    for options, message in [
        ({"subset": "valid"}, "subset='valid'; allowed are train, test, all"),
        ({"on_error": "skip"}, "on_error='skip'; allowed are raise, quarantine"),
        ({"path": "x", "root": "y"}, "path together with root or subset"),
    ]:
        with pytest.raises(ConfigError, match=message):
            Otto(**options)
