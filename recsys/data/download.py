"""Finding a named data set: a local folder first, then the cache, else its publisher."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from recsys.data.unpack import unpack
from recsys.errors import DataError

log = logging.getLogger(__name__)
_CHUNK, _TIMEOUT = 1 << 20, 30
_EVERY = 3.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Remote:
    """A file of a named data set.

    Attributes:
        name: relative path below ``$RECSYS_DATA`` or the cache, for instance ``gowalla/train.txt``.
        url: public address, or None when the publisher has no direct one.
        digests: what the bytes at ``url`` must have: ``sha256:...``, ``md5:...`` or ``git:...`` (git's object id); one match is enough, an
            empty tuple checks nothing.
        member: path of the file inside, when ``url`` is a zip, tar or tar.gz archive. A ``.gz`` file at ``url`` is unpacked when ``name``
            has no such ending.
        content: digests of the unpacked file, as in ``digests``.
        limit: most bytes that are fetched, and most that are unpacked.
        advice: what to do by hand when there is no address.
    """

    name: str
    url: str | None
    digests: tuple[str, ...] = ()
    member: str | None = None
    content: tuple[str, ...] = ()
    limit: int = 16 << 30
    advice: str = ""

    @property
    def packed(self) -> bool:
        """Whether what is at ``url`` has to be unpacked."""
        return self.member is not None or ((self.url or "").endswith(".gz") and not self.name.endswith(".gz"))


def cache_root() -> Path:
    """``$RECSYS_CACHE``, else ``~/.cache/recsys``."""
    return Path(os.environ.get("RECSYS_CACHE") or Path.home() / ".cache" / "recsys")


def existing(path: Path | str) -> Path:
    """The path, if a file is there.

    Raises:
        DataError: there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no file at {path}; check the path (the current folder is {Path.cwd()})")
    return path


def locate(remote: Remote, root: Path | str | None = None) -> Path:
    """The file of a named data set: below ``root`` if given, else below ``$RECSYS_DATA``, else in the cache, else downloaded there.

    Raises:
        DataError: it is nowhere and cannot be fetched.
    """
    return locate_all((remote,), root)[0]


def locate_all(remotes: Sequence[Remote], root: Path | str | None = None) -> list[Path]:
    """The files of a named data set, each as :func:`locate` finds it; what lies at one address is fetched once.

    Raises:
        DataError: one is nowhere and cannot be fetched.
    """
    if root is not None:
        return [existing(Path(root) / remote.name) for remote in remotes]
    data, cache = os.environ.get("RECSYS_DATA"), cache_root() / "datasets"
    folders = ([Path(data)] if data else []) + [cache]
    found = {
        remote: next((path for folder in folders if (path := folder / remote.name).is_file()), cache / remote.name) for remote in remotes
    }
    missing = [remote for remote, path in found.items() if not path.is_file()]
    for remote in missing:
        if remote.url is None:
            raise DataError(
                f"{remote.name} is neither in RECSYS_DATA ({data or 'not set'}) nor in {cache}, and has no public address: {remote.advice}"
            )
    for url in dict.fromkeys(remote.url for remote in missing):
        download([remote for remote in missing if remote.url == url], cache)
    return [found[remote] for remote in remotes]


def download(remotes: Sequence[Remote], folder: Path) -> list[Path]:
    """Fetch what is at one address, once, and put each file of it at ``folder / name``.

    It goes to a ``.part`` file, which is continued if one is there, is checked, unpacked if need be, and renamed. Progress is logged every
    few seconds.

    Args:
        remotes: files with the same ``url``: one, or several members of an archive.
        folder: where they go.

    Raises:
        DataError: no network, a refusal of the server, bytes that are not the published ones, an archive without the file, or another
            process that fetches the same.
    """
    first = remotes[0]
    assert first.url is not None
    names = " and ".join(remote.name for remote in remotes)
    by_hand = f"set RECSYS_DATA to a folder that holds {names}, or fetch {first.url} by hand"
    targets = [folder / remote.name for remote in remotes]
    partial = targets[0].with_name(targets[0].name + ".part")
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as file:
            _lock(file, partial)
            log.info("downloading %s to %s", first.url, targets[0].parent)
            try:
                _fetch(first, file, partial)
                file.flush()
                _check(first, partial, by_hand)
                _finish(remotes, partial, targets, by_hand)
            finally:
                file.flush()
                if not os.fstat(file.fileno()).st_size:
                    _discard(partial)
    except DataError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(f"{first.url} answered {error.code} {error.reason}; {by_hand}") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise DataError(f"{names} cannot be downloaded ({getattr(error, 'reason', None) or _words(error)}); {by_hand}") from None
    return targets


def _lock(file: IO[bytes], partial: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"another process is downloading to {partial}; wait until it is done and call again") from None


def _fetch(remote: Remote, file: IO[bytes], partial: Path) -> None:
    """Append to ``file`` (opened to append) what it lacks of ``remote.url``, or write it anew where it cannot be continued."""
    assert remote.url is not None
    have, tag = os.fstat(file.fileno()).st_size, _tag(partial)
    if have and not (remote.digests or tag.is_file()):  # nothing would tell whether both halves are of one file
        have = file.truncate(0)
    headers = {"User-Agent": "recsys", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": tag.read_text()} if tag.is_file() else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(remote.url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        total = error.headers.get("Content-Range", "").rpartition("/")[2]
        if total == str(have) or (not total.isdigit() and remote.digests):
            return  # complete; the digest tells whether it is the right one
        file.truncate(0)
        return _fetch(remote, file, partial)
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise OSError("the server gave a web page in place of the file")
        if answer.status != 206:
            have = file.truncate(0)
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            file.truncate(0)
            raise OSError("the server gave another part of the file than asked for; call again to start from its beginning")
        validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if validator and not validator.startswith("W/"):
            tag.write_text(validator)
        else:
            tag.unlink(missing_ok=True)
        _receive(answer, file, have, remote)


def _receive(answer: Any, file: IO[bytes], done: int, remote: Remote) -> None:
    """Copy the body to ``file``, which has ``done`` bytes already."""
    promised = answer.headers.get("Content-Length")
    total = done + int(promised) if promised and promised.isdigit() else None
    said = time.monotonic()
    while chunk := _piece(answer, file, done):
        file.write(chunk)
        done += len(chunk)
        if done > remote.limit:
            file.truncate(0)
            raise OSError(f"it is larger than the {remote.limit:,} bytes that are allowed")
        if done == total or time.monotonic() - said >= _EVERY:
            log.info("%s: %s of %s bytes", remote.name, f"{done:,}", "unknown" if total is None else f"{total:,}")
            said = time.monotonic()
    if total is not None and done != total:
        raise OSError(f"the connection ended after {done:,} of {total:,} bytes; call again to continue")


def _piece(answer: Any, file: IO[bytes], done: int) -> bytes:
    try:
        return bytes(answer.read(_CHUNK))
    except http.client.IncompleteRead as error:
        file.write(error.partial)
        raise OSError(f"the connection ended after {done + len(error.partial):,} bytes; call again to continue") from None


def _check(remote: Remote, partial: Path, by_hand: str) -> None:
    if not _matches(partial, remote.digests):
        found = _digest(partial, "sha256")
        _discard(partial)
        raise DataError(
            f"{remote.url} gave a file with {found}, not the published {' or '.join(remote.digests)}; it was deleted: "
            f"try again, or {by_hand}"
        )


def _finish(remotes: Sequence[Remote], partial: Path, targets: list[Path], by_hand: str) -> None:
    if remotes[0].packed:
        for remote, target in zip(remotes, targets, strict=True):
            _place(remote, partial, target, by_hand)
        _discard(partial)
    else:
        partial.replace(targets[0])
        _tag(partial).unlink(missing_ok=True)


def _place(remote: Remote, archive: Path, target: Path, by_hand: str) -> None:
    """Unpack one file to ``target``. The archive is deleted if it is not good for that."""
    unfinished = target.with_name(target.name + ".unpacked")
    try:
        unpack(archive, remote.member, unfinished, remote.limit)
        if not _matches(unfinished, remote.content):
            raise DataError(f"{remote.member} in it has {_digest(unfinished, 'sha256')}, not {' or '.join(remote.content)}")
        unfinished.replace(target)
    except DataError as error:
        _discard(archive)
        raise DataError(f"{remote.url} cannot be used: {error}; it was deleted: try again, or {by_hand}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _tag(partial: Path) -> Path:
    """Where the server's name for the version that ``partial`` is of is kept: its ETag or date."""
    return partial.with_name(partial.name + ".tag")


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    _tag(partial).unlink(missing_ok=True)


def _matches(path: Path, digests: tuple[str, ...]) -> bool:
    return not digests or any(_digest(path, known.partition(":")[0]) == known for known in digests)


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new({"git": "sha1"}.get(kind, kind))
    if kind == "git":
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"{kind}:{digest.hexdigest()}"


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
