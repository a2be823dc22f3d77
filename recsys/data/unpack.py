"""One file out of an archive that nobody has looked into."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from recsys.errors import DataError

_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError)
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others inflate a whole block at once, whatever its size


def unpack(archive: Path, member: str | None, target: Path, limit: int) -> None:
    """Write one member of a zip, tar or tar.gz archive, or the content of a ``.gz`` file, to ``target`` and nowhere else.

    Names, links and sizes in the archive decide nothing: the member is found by its exact name, must be a plain file, and is copied until
    it ends or exceeds ``limit``. What kind of archive it is its first bytes say.

    Args:
        archive: the file.
        member: name inside; None for a ``.gz`` file that holds one.
        target: the file to write; it is gone after an error.
        limit: most bytes that are unpacked, those of skipped members of a tar included.

    Raises:
        DataError: no such member, not a plain file, larger than ``limit``, or damage.
        OSError: ``target`` cannot be written.
    """
    with archive.open("rb") as stream:
        head = stream.read(4)
    try:
        if member is None:
            with gzip.open(archive) as content:
                _copy(cast(IO[bytes], content), target, limit)
        elif head.startswith(b"PK"):
            _from_zip(archive, member, target, limit)
        else:
            _from_tar(archive, member, target, limit, zipped=head.startswith(b"\x1f\x8b"))
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, _DAMAGE) and not isinstance(error, DataError):
            raise DataError(f"it is damaged ({error})") from None
        raise


def _from_zip(archive: Path, member: str, target: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as pack:
        if member not in pack.NameToInfo:
            raise _missing(member, pack.namelist())
        info = pack.getinfo(member)
        if info.flag_bits & 1 or info.compress_type not in _KINDS:
            raise DataError(f"{member!r} in it is encrypted or compressed in a way that is not read")
        with pack.open(info) as inside:
            _copy(inside, target, limit)


def _from_tar(archive: Path, member: str, target: Path, limit: int, *, zipped: bool) -> None:
    names: list[str] = []
    with gzip.open(archive) if zipped else archive.open("rb") as plain:
        capped = cast(IO[bytes], _Capped(cast(IO[bytes], plain), limit))
        with tarfile.open(fileobj=capped, mode="r|") as pack:
            for info in pack:
                if info.name.removeprefix("./") != member.removeprefix("./"):
                    names.append(info.name)
                    continue
                inside = pack.extractfile(info) if info.isreg() else None
                if inside is None:
                    raise DataError(f"{member!r} in it is a link or a folder, not a file")
                _copy(inside, target, limit)
                return
    raise _missing(member, names)


class _Capped:
    """A stream that refuses to be read further than ``limit`` bytes."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise DataError("it unpacks to more bytes than are allowed")
        return data


def _copy(inside: IO[bytes], target: Path, limit: int) -> None:
    done = 0
    with target.open("wb") as file:
        while chunk := inside.read(_CHUNK):
            done += len(chunk)
            if done > limit:
                raise DataError(f"it unpacks to more than the {limit:,} bytes that are allowed")
            file.write(chunk)


def _missing(member: str, names: list[str]) -> DataError:
    there = ", ".join(repr(name if len(name) <= 60 else name[:57] + "...") for name in names[:10]) or "nothing"
    return DataError(f"there is no {member!r} in it; it has {there}{', ...' if len(names) > 10 else ''}")
