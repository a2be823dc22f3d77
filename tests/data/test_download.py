from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import logging
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from recsys.data.download import Remote, download, locate, locate_all
from recsys.errors import DataError

BODY = bytes(range(256)) * 40
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, body in members.items():
            pack.writestr(name, body)
    return buffer.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as pack:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            pack.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Serves a few bodies, with ranges, and misbehaves at some addresses."""

    bodies: ClassVar = {
        "/good": BODY,
        "/cut": BODY,  # promises more than it sends
        "/chunks": BODY,  # no length, and ends inside a piece
        "/deaf": BODY,  # ignores ranges
        "/confused": BODY,  # gives another range than asked for
        "/web": b"<html>log in first</html>",
        "/tagged": BODY,
        "/good.zip": zipped({"set/ratings.csv": BODY, "set/more.csv": b"more", "../../escaped": b"x"}),
        "/good.tar.gz": tarred({"./set/ratings.csv": BODY, "set/more.csv": b"more"}),
        "/good.gz": gzip.compress(BODY),
        "/bad.gz": gzip.compress(BODY)[:-9],
        "/escape.zip": zipped({"../../escaped": b"x"}),
        "/broken.zip": b"PK not a zip",
    }
    asked: list[tuple[str | None, str | None]]
    tag = '"one"'

    def do_GET(self) -> None:
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        type(self).asked.append((wanted, condition))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
            return
        body = self.bodies.get(self.path)
        if body is None:
            self.send_error(503 if self.path == "/busy" else 404)
            return
        if self.path == "/deaf" or (condition is not None and condition != self.tag):
            wanted = None
        begin = int((wanted or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if begin >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.answer(body, begin)

    def answer(self, body: bytes, begin: int) -> None:
        self.send_response(206 if begin else 200)
        if begin:
            shown = begin + 1 if self.path == "/confused" else begin
            self.send_header("Content-Range", f"bytes {shown}-{len(body) - 1}/{len(body)}")
        if self.path == "/tagged":
            self.send_header("ETag", self.tag)
        if self.path == "/web":
            self.send_header("Content-Type", "text/html; charset=utf-8")
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3e8\r\n" + body[:1000] + b"\r\n3e8\r\n" + body[:10])
            return
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        self.wfile.write(body[begin : begin + 1000] if self.path == "/cut" else body[begin:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked, Handler.tag = [], '"one"'
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join(5)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def fetch(remote: Remote, folder: Path) -> bytes:
    (path,) = download([remote], folder)
    assert path == folder / remote.name
    return path.read_bytes()


def refusal(remote: Remote, folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        download([remote], folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_checked_and_kept(server: str, tmp_path: Path) -> None:
    assert fetch(Remote("set/a.txt", f"{server}/good", (SHA,)), tmp_path) == BODY and files(tmp_path) == ["set/a.txt"]
    assert fetch(Remote("b", f"{server}/away", (SHA,)), tmp_path) == BODY


@pytest.mark.parametrize(
    "digest", [SHA, "md5:" + hashlib.md5(BODY).hexdigest(), "git:" + hashlib.sha1(b"blob %d\0" % len(BODY) + BODY).hexdigest()]
)
def test_any_published_digest_will_do(server: str, tmp_path: Path, digest: str) -> None:
    assert fetch(Remote("a", f"{server}/good", ("sha256:0", digest)), tmp_path) == BODY


def test_other_bytes_than_the_published_are_refused(server: str, tmp_path: Path) -> None:
    message = refusal(Remote("a", f"{server}/good", ("sha256:0",)), tmp_path)
    assert f"/good gave a file with {SHA}, not the published sha256:0; it was deleted: try again, or set RECSYS_DATA" in message
    assert files(tmp_path) == []


def test_a_download_goes_on_where_it_stopped(server: str, tmp_path: Path) -> None:
    message = refusal(Remote("a", f"{server}/cut", (SHA,)), tmp_path)
    assert "the connection ended after 1,000 of 10,240 bytes; call again to continue" in message
    assert files(tmp_path) == ["a.part"]
    assert fetch(Remote("a", f"{server}/good", (SHA,)), tmp_path) == BODY
    assert [asked for asked, _ in Handler.asked] == [None, "bytes=1000-"]


def test_a_download_that_breaks_again_and_again_ends_whole(server: str, tmp_path: Path) -> None:
    remote = Remote("a", f"{server}/cut", (SHA,))
    for _ in range(10):
        refusal(remote, tmp_path)
    assert fetch(remote, tmp_path) == BODY and len(Handler.asked) == 11


def test_a_break_without_a_promised_length(server: str, tmp_path: Path) -> None:
    message = refusal(Remote("a", f"{server}/chunks", (SHA,)), tmp_path)
    assert "cannot be downloaded (the connection ended after 1,000 bytes; call again to continue)" in message
    assert (tmp_path / "a.part").read_bytes() == BODY[:1000]
    assert fetch(Remote("a", f"{server}/good", (SHA,)), tmp_path) == BODY


def test_a_server_that_ignores_ranges(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY[:77])
    assert fetch(Remote("a", f"{server}/deaf", (SHA,)), tmp_path) == BODY
    assert Handler.asked == [("bytes=77-", None)]


def test_a_server_that_gives_another_range(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY[:77])
    assert "another part of the file than asked for; call again to start" in refusal(Remote("a", f"{server}/confused", (SHA,)), tmp_path)
    assert fetch(Remote("a", f"{server}/confused", (SHA,)), tmp_path) == BODY


def test_halves_of_two_files_are_never_joined(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(b"of an older file")  # nothing says of which
    assert fetch(Remote("a", f"{server}/good"), tmp_path) == BODY
    assert Handler.asked == [(None, None)]


def test_the_version_decides_without_a_digest(server: str, tmp_path: Path) -> None:
    for tag, asked in (('"one"', ("bytes=500-", '"one"')), ('"two"', ("bytes=500-", '"one"'))):
        Handler.asked, Handler.tag = [], tag
        (tmp_path / "a.part").write_bytes(BODY[:500] if tag == '"one"' else b"\0" * 500)
        (tmp_path / "a.part.tag").write_text('"one"')
        assert fetch(Remote("a", f"{server}/tagged"), tmp_path) == BODY
        assert Handler.asked == [asked] and files(tmp_path) == ["a"]


def test_a_break_keeps_the_version(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote("a", f"{server}/tagged")
    monkeypatch.setitem(Handler.bodies, "/tagged", BODY)
    monkeypatch.setattr(Handler, "answer", lambda self, body, begin: answer_short(self, body))
    refusal(remote, tmp_path)
    monkeypatch.undo()
    assert files(tmp_path) == ["a.part", "a.part.tag"]
    assert fetch(remote, tmp_path) == BODY and Handler.asked[-1] == ("bytes=300-", '"one"')


def answer_short(handler: Handler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("ETag", handler.tag)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:300])


def test_a_complete_part_file_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY)
    assert fetch(Remote("a", f"{server}/good", (SHA,)), tmp_path) == BODY and len(Handler.asked) == 1


def test_a_part_file_that_is_too_long_is_fetched_anew(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY + b"more")
    assert fetch(Remote("a", f"{server}/good", (SHA,)), tmp_path) == BODY
    assert [asked for asked, _ in Handler.asked] == ["bytes=10244-", None]


def test_what_the_server_says_is_told(server: str, tmp_path: Path) -> None:
    assert "/absent answered 404 Not Found; set RECSYS_DATA to a folder that holds a, or fetch" in refusal(
        Remote("a", f"{server}/absent"), tmp_path
    )
    assert "/busy answered 503 " in refusal(Remote("a", f"{server}/busy"), tmp_path)
    assert "a cannot be downloaded (the server gave a web page in place of the file); set" in refusal(
        Remote("a", f"{server}/web"), tmp_path
    )
    assert "a cannot be downloaded (it is larger than the 999 bytes that are allowed)" in refusal(
        Remote("a", f"{server}/good", limit=999), tmp_path
    )
    assert "a cannot be downloaded (" in refusal(Remote("a", "http://127.0.0.1:1/a"), tmp_path)
    assert "a cannot be downloaded (unknown url type" in refusal(Remote("a", "nonsense"), tmp_path)
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_written(server: str, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file")
    assert "cannot be downloaded (" in refusal(Remote("set/a", f"{server}/good"), tmp_path)
    assert Handler.asked == []


@pytest.mark.parametrize("begun", [b"", b"half"])
def test_two_processes_do_not_write_the_same_file(server: str, tmp_path: Path, begun: bytes) -> None:
    with (tmp_path / "a.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        other.write(begun)
        other.flush()
        assert "another process is downloading to" in refusal(Remote("a", f"{server}/good", (SHA,)), tmp_path)
        assert Handler.asked == [] and (tmp_path / "a.part").read_bytes() == begun


def test_an_old_version_is_forgotten(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY[:5])
    (tmp_path / "a.part.tag").write_text('"zero"')
    refusal(Remote("a", f"{server}/cut"), tmp_path)  # the whole file again, of a version without a name
    assert files(tmp_path) == ["a.part"] and (tmp_path / "a.part").stat().st_size == 1000


def test_progress_is_told(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("recsys.data.download._CHUNK", 4096)
    monkeypatch.setattr("recsys.data.download._EVERY", 0)
    with caplog.at_level(logging.INFO, "recsys"):
        fetch(Remote("set/a", f"{server}/good"), tmp_path)
    assert caplog.messages == [
        f"downloading {server}/good to {tmp_path / 'set'}",
        "set/a: 4,096 of 10,240 bytes",
        "set/a: 8,192 of 10,240 bytes",
        "set/a: 10,240 of 10,240 bytes",
    ]


@pytest.mark.parametrize("archive", ["good.zip", "good.tar.gz"])
def test_only_the_named_member_is_unpacked(server: str, tmp_path: Path, archive: str) -> None:
    inner = tmp_path / "deep" / "er"
    assert fetch(Remote("set/ratings.csv", f"{server}/{archive}", member="set/ratings.csv"), inner) == BODY
    assert files(tmp_path) == ["deep/er/set/ratings.csv"]


@pytest.mark.parametrize("archive", ["good.zip", "good.tar.gz"])
def test_files_of_one_archive_are_fetched_at_once(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: str) -> None:
    monkeypatch.delenv("RECSYS_DATA", raising=False)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path))
    remotes = [Remote(name, f"{server}/{archive}", member=f"set/{name}.csv") for name in ("ratings", "more")]
    assert [path.read_bytes() for path in locate_all(remotes)] == [BODY, b"more"] and len(Handler.asked) == 1
    assert locate_all(remotes[::-1])[1] == tmp_path / "datasets" / "ratings" and len(Handler.asked) == 1
    (tmp_path / "datasets" / "more").unlink()
    locate_all(remotes)
    assert files(tmp_path / "datasets") == ["more", "ratings"] and len(Handler.asked) == 2


def test_a_gz_file_is_unpacked_unless_its_name_says_gz(server: str, tmp_path: Path) -> None:
    assert fetch(Remote("a.json", f"{server}/good.gz"), tmp_path) == BODY
    assert fetch(Remote("a.json.gz", f"{server}/good.gz"), tmp_path) == Handler.bodies["/good.gz"]
    assert "it is damaged" in refusal(Remote("b.json", f"{server}/bad.gz"), tmp_path)
    assert files(tmp_path) == ["a.json", "a.json.gz"]


def test_an_archive_cannot_write_elsewhere(server: str, tmp_path: Path) -> None:
    inner = tmp_path / "deep" / "er"
    fetch(Remote("x", f"{server}/escape.zip", member="../../escaped"), inner)
    assert files(tmp_path) == ["deep/er/x"]
    message = refusal(Remote("y", f"{server}/escape.zip", member="ratings.csv"), inner)
    assert "escape.zip cannot be used: there is no 'ratings.csv' in it; it has '../../escaped'; it was deleted: try again, or" in message
    assert files(tmp_path) == ["deep/er/x"]


def test_a_damaged_archive_is_deleted(server: str, tmp_path: Path) -> None:
    assert "it is damaged (" in refusal(Remote("x", f"{server}/broken.zip", member="a"), tmp_path)
    assert files(tmp_path) == []


def test_the_unpacked_file_has_digests_of_its_own(server: str, tmp_path: Path) -> None:
    remote = Remote("x", f"{server}/good.zip", member="set/ratings.csv", content=("md5:0", SHA))
    assert fetch(remote, tmp_path) == BODY
    other = Remote("y", f"{server}/good.zip", member="set/more.csv", content=(SHA,))
    assert f"set/more.csv in it has sha256:{hashlib.sha256(b'more').hexdigest()}, not {SHA}" in refusal(other, tmp_path)
    assert files(tmp_path) == ["x"]


def test_where_a_named_file_is_looked_for(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Remote("set/a", f"{server}/good", (SHA,))
    data, cache = tmp_path / "data", tmp_path / "cache"
    monkeypatch.setenv("RECSYS_DATA", str(data))
    monkeypatch.setenv("RECSYS_CACHE", str(cache))
    assert locate(remote) == cache / "datasets" / "set" / "a"
    assert locate(remote) == cache / "datasets" / "set" / "a" and len(Handler.asked) == 1
    (data / "set").mkdir(parents=True)
    (data / "set" / "a").write_bytes(b"mine")
    assert locate(remote) == data / "set" / "a"
    with pytest.raises(DataError, match=r"no file at"):
        locate(remote, tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"b is neither in RECSYS_DATA .* nor in .*, and has no public address: ask for it"):
        locate(Remote("b", None, advice="ask for it"))
    with pytest.raises(DataError, match=r"c is neither in RECSYS_DATA .*: ask for it"):  # refused before anything is fetched
        locate_all([Remote("d", f"{server}/good"), Remote("c", None, advice="ask for it")])
    assert len(Handler.asked) == 1
