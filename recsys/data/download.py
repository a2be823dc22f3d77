"""Finding a named data set: a local folder first, then the cache, else its publisher."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from recsys.errors import DataError

log = logging.getLogger(__name__)
_CHUNK, _TIMEOUT = 1 << 20, 30


@dataclass(frozen=True)
class Remote:
    """A file of a named data set.

    Attributes:
        name: relative path below ``$RECSYS_DATA`` or the cache, for instance ``gowalla/train.txt``.
        url: public address, or None when the publisher has no direct one.
        digests: what the bytes at ``url`` must have: ``sha256:...``, ``md5:...`` or ``git:...`` (git's object id); one match is enough, an
            empty tuple checks nothing.
        member: path of the file inside, when ``url`` is a zip archive.
        advice: what to do by hand when there is no address.
    """

    name: str
    url: str | None
    digests: tuple[str, ...] = ()
    member: str | None = None
    advice: str = ""


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
    if root is not None:
        return existing(Path(root) / remote.name)
    data, cache = os.environ.get("RECSYS_DATA"), cache_root() / "datasets"
    for folder in ([Path(data)] if data else []) + [cache]:
        if (folder / remote.name).is_file():
            return folder / remote.name
    if remote.url is None:
        raise DataError(
            f"{remote.name} is neither in RECSYS_DATA ({data or 'not set'}) nor in {cache}, and has no public address: {remote.advice}"
        )
    return download(remote, cache)


def download(remote: Remote, folder: Path) -> Path:
    """Fetch a file to ``folder / remote.name``: to a ``.part`` file (continued if one is there), checked, then renamed.

    Raises:
        DataError: no network, a refusal of the server, or bytes that are not the published ones.
    """
    assert remote.url is not None
    target = folder / remote.name
    partial = target.with_name(target.name + ".part")
    by_hand = f"set RECSYS_DATA to a folder that holds {remote.name}, or fetch {remote.url} by hand"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        log.info("downloading %s to %s", remote.url, target)
        _fetch(remote.url, partial)
    except urllib.error.HTTPError as error:
        raise DataError(f"{remote.url} answered {error.code} {error.reason}; {by_hand}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise DataError(f"{remote.name} cannot be downloaded ({getattr(error, 'reason', error)}); {by_hand}") from None
    if remote.digests and not any(_digest(partial, known.partition(":")[0]) == known for known in remote.digests):
        found = _digest(partial, "sha256")
        partial.unlink()
        raise DataError(
            f"{remote.url} gave a file with {found}, not the published {' or '.join(remote.digests)}; it was deleted: "
            f"try again, or {by_hand}"
        )
    if remote.member is None:
        partial.replace(target)
    else:
        _unpack(partial, remote.member, target)
        partial.unlink()
    return target


def _fetch(url: str, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing after what is there: complete, or not the same file; the digest tells
            return
        raise
    with answer, partial.open("ab" if answer.status == 206 else "wb") as file:
        shutil.copyfileobj(answer, file, _CHUNK)
        promised = answer.headers.get("Content-Length")
        begun = have if answer.status == 206 else 0
        if promised is not None and file.tell() - begun != int(promised):
            raise OSError(f"the connection ended after {file.tell():,} bytes; call again to continue")


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new({"git": "sha1"}.get(kind, kind))
    if kind == "git":
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"{kind}:{digest.hexdigest()}"


def _unpack(archive: Path, member: str, target: Path) -> None:
    """One member of a zip archive, to ``target`` and nowhere else, whatever paths the archive names."""
    unfinished = target.with_name(target.name + ".unpacked")
    try:
        with zipfile.ZipFile(archive) as pack, pack.open(member) as inside, unfinished.open("wb") as file:
            shutil.copyfileobj(inside, file, _CHUNK)
    except KeyError:
        with zipfile.ZipFile(archive) as pack:
            raise DataError(f"the archive has no {member!r}; it has {', '.join(pack.namelist()[:10])}") from None
    except zipfile.BadZipFile as error:
        archive.unlink()
        raise DataError(f"the downloaded archive for {target.name} is damaged ({error}); it was deleted: try again") from None
    unfinished.replace(target)
