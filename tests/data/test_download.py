from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from recsys.data.download import Remote, download, locate
from recsys.errors import DataError

BODY = bytes(range(256)) * 40
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        for name, body in members.items():
            pack.writestr(name, body)
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Serves a few bodies, with ranges; /cut promises more than it sends."""

    bodies: ClassVar = {
        "/good": BODY,
        "/cut": BODY,
        "/good.zip": archive({"set/ratings.csv": BODY, "../../escaped": b"x"}),
        "/escape.zip": archive({"../../escaped": b"x"}),
        "/broken.zip": b"PK not a zip",
    }
    asked: list[str | None]

    def do_GET(self) -> None:
        type(self).asked.append(self.headers.get("Range"))
        body = self.bodies.get(self.path)
        if body is None:
            self.send_error(404)
            return
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if begin >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        self.wfile.write(body[begin : begin + 1000] if self.path == "/cut" else body[begin:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join(5)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_checked_and_kept(server: str, tmp_path: Path) -> None:
    path = download(Remote("set/a.txt", f"{server}/good", (SHA,)), tmp_path)
    assert path.read_bytes() == BODY and files(tmp_path) == ["set/a.txt"]


@pytest.mark.parametrize(
    "digest", [SHA, "md5:" + hashlib.md5(BODY).hexdigest(), "git:" + hashlib.sha1(b"blob %d\0" % len(BODY) + BODY).hexdigest()]
)
def test_any_published_digest_will_do(server: str, tmp_path: Path, digest: str) -> None:
    assert download(Remote("a", f"{server}/good", ("sha256:0", digest)), tmp_path).read_bytes() == BODY


def test_other_bytes_than_the_published_are_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gave a file with sha256:.*not the published sha256:0; it was deleted"):
        download(Remote("a", f"{server}/good", ("sha256:0",)), tmp_path)
    assert files(tmp_path) == []


def test_a_download_goes_on_where_it_stopped(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the connection ended after 1,000 bytes; call again to continue"):
        download(Remote("a", f"{server}/cut", (SHA,)), tmp_path)
    assert files(tmp_path) == ["a.part"]
    assert download(Remote("a", f"{server}/good", (SHA,)), tmp_path).read_bytes() == BODY
    assert Handler.asked == [None, "bytes=1000-"]


def test_a_complete_part_file_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(BODY)
    assert download(Remote("a", f"{server}/good", (SHA,)), tmp_path).read_bytes() == BODY


def test_only_the_named_member_is_unpacked(server: str, tmp_path: Path) -> None:
    inner = tmp_path / "deep" / "er"
    path = download(Remote("set/ratings.csv", f"{server}/good.zip", member="set/ratings.csv"), inner)
    assert path.read_bytes() == BODY and files(tmp_path) == ["deep/er/set/ratings.csv"]


def test_an_archive_cannot_write_elsewhere(server: str, tmp_path: Path) -> None:
    inner = tmp_path / "deep" / "er"
    path = download(Remote("x", f"{server}/escape.zip", member="../../escaped"), inner)
    assert path == inner / "x" and files(tmp_path) == ["deep/er/x"]
    with pytest.raises(DataError, match=r"the archive has no 'ratings.csv'; it has \.\./\.\./escaped"):
        download(Remote("y", f"{server}/escape.zip", member="ratings.csv"), inner)


def test_a_damaged_archive_is_deleted(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is damaged .*; it was deleted: try again"):
        download(Remote("x", f"{server}/broken.zip", member="a"), tmp_path)
    assert files(tmp_path) == []


def test_refusals_and_no_network_say_what_to_do(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"answered 404 .*set RECSYS_DATA to a folder that holds a"):
        download(Remote("a", f"{server}/absent"), tmp_path)
    with pytest.raises(DataError, match=r"cannot be downloaded .*set RECSYS_DATA to a folder that holds a"):
        download(Remote("a", "http://127.0.0.1:1/a"), tmp_path)


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
