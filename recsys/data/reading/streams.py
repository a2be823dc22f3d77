"""The bytes of a file, decompressed on the way."""

from __future__ import annotations

import gzip
import queue
import threading
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, TypeVar, cast

from recsys.data.events import reason
from recsys.errors import DataError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BOM = b"\xef\xbb\xbf"
COMPRESSED = {".gz": GZIP, ".zst": ZSTD}
_PIECE = 1 << 20
T = TypeVar("T")


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def bare_suffix(path: Path) -> str:
    """The lower-case ending that says the format: that before ``.gz`` or ``.zst``."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    return suffixes[-1] if suffixes else ""


def opening(path: Path, size: int = 4096) -> bytes:
    """The first bytes as they are on disk."""
    with path.open("rb") as file:
        return file.read(size)


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """The bytes of a plain, gzip or zstd file (told by its first bytes, not its name); a byte order mark is left out. A plain file is a
    ``FileIO``, in which one can seek.

    Raises:
        DataError: the file cannot be read, is cut short or damaged, or is text in UTF-16; also from reads inside the context.
    """
    head = opening(path, 4)
    expected = COMPRESSED.get(path.suffix.lower())
    if expected and not head.startswith(expected):
        raise DataError(f"{path} is not a {path.suffix} archive, as its first bytes say; give it the ending of what it is")
    try:
        with path.open("rb", buffering=0) as file:
            stream: Stream = file
            if head.startswith((GZIP, ZSTD)):
                stream = cast(Stream, gzip.GzipFile(fileobj=file)) if head.startswith(GZIP) else _Zstd(file)
            start = full(stream, len(BOM))
            if start.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DataError(f"{path} is text in UTF-16; save it as UTF-8, for instance with iconv -f utf-16 -t utf-8")
            if start != BOM and stream is file:
                file.seek(0)
            yield stream if start == BOM or stream is file else _Behind(stream, start)
    except (EOFError, zlib.error, gzip.BadGzipFile, _ZstdError) as error:
        raise DataError(f"{path} is a damaged or unfinished archive ({reason(error)}); fetch or pack it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); check the file and its permissions") from None


class _Behind:
    """A stream after bytes that were read from it already."""

    def __init__(self, stream: Stream, start: bytes) -> None:
        self.stream, self.start = stream, start

    def read(self, size: int, /) -> bytes:
        if self.start:
            start, self.start = self.start[:size], self.start[size:]
            return start + self.stream.read(size - len(start))
        return self.stream.read(size)


class _ZstdError(Exception):
    pass


class _Zstd:
    """Frames of zstd one after another. (The package's own reader ends without a word where a file was cut.)"""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise DataError("reading .zst needs the package zstandard; install it, or unpack the file") from None
        self.package = zstandard
        self.file, self.held, self.unused = file, bytearray(), b""
        self.frame = self._new()

    def _new(self) -> object:
        return self.package.ZstdDecompressor(max_window_size=1 << 31).decompressobj()

    def read(self, size: int, /) -> bytes:
        while len(self.held) < size:
            piece = self.unused or self.file.read(_PIECE // 8)
            self.unused = b""
            if not piece:
                if self.begun:
                    raise _ZstdError("the last frame is not complete")
                break
            try:
                self.held += self.frame.decompress(piece)  # type: ignore[attr-defined]
            except self.package.ZstdError as error:
                raise _ZstdError(str(error)) from None
            self.begun = True
            if self.frame.eof:  # type: ignore[attr-defined]
                self.unused, self.begun = self.frame.unused_data, False  # type: ignore[attr-defined]
                self.frame = self._new()
        found = bytes(self.held[:size])
        del self.held[:size]
        return found

    begun = False


def refuse_binary(path: Path, text: bytes) -> None:
    """Raises DataError for text that is a table of another format."""
    if text.startswith(b"PAR1"):
        raise DataError(f"{path} is a Parquet file, as its first bytes say; rename it to .parquet")
    if text.startswith(b"ARROW1"):
        raise DataError(f"{path} is an Arrow file, as its first bytes say; rename it to .arrow")


def full(stream: Stream, size: int) -> bytes:
    """``size`` bytes, fewer only at the end."""
    found = stream.read(size)
    if not found or len(found) == size:
        return found
    pieces, have = [found], len(found)
    while have < size and (piece := stream.read(size - have)):
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one being made in a thread while the last is worked on. An error comes where its item would."""
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=1)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put((item, error), timeout=0.05)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item, None)
                if stop.is_set():
                    return
            put(None, None)
        except BaseException as error:
            put(None, error)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=work, name="recsys-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stop.set()
        thread.join()
