from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.unpack import unpack
from recsys.errors import DataError

BODY = bytes(range(256)) * 40


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as pack:
        for name, body in members.items():
            pack.writestr(name, body)
    return buffer.getvalue()


def tarred(members: dict[str, bytes | tuple[bytes, str]], mode: str = "w:gz") -> bytes:
    """A member is its bytes, or a kind of link and its goal."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as pack:  # type: ignore[call-overload]
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(body, bytes):
                info.size = len(body)
                pack.addfile(info, io.BytesIO(body))
            else:
                info.type, info.linkname = body
                pack.addfile(info)
    return buffer.getvalue()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


ZEROS = bytes(3_000_000)
FIRST_OF_TWO = zipped({"a": BODY})
ENCRYPTED = FIRST_OF_TWO.replace(b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01").replace(
    b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
)


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (zipped({"a": ZEROS}), "it unpacks to more than the 20,000 bytes that are allowed"),
        (tarred({"a": ZEROS}), "it unpacks to more than the 20,000 bytes that are allowed|more bytes than are allowed"),
        (tarred({"skipped": ZEROS, "a": b"1"}), "it unpacks to more bytes than are allowed"),
        (tarred({"a": (tarfile.SYMTYPE, "/etc/passwd")}), "'a' in it is a link or a folder, not a file"),
        (tarred({"b": b"1", "a": (tarfile.LNKTYPE, "b")}), "'a' in it is a link or a folder"),
        (tarred({"a": (tarfile.DIRTYPE, "")}, "w"), "'a' in it is a link or a folder"),
        (tarred({"a": (tarfile.CHRTYPE, "")}, "w"), "'a' in it is a link or a folder"),
        (tarred({"b" * 80: b"1"}), f"there is no 'a' in it; it has '{'b' * 57}...'"),
        (tarred({f"b{i}": b"" for i in range(11)}), r"it has 'b0', .*'b9', \.\.\."),
        (zipped({}), "there is no 'a' in it; it has nothing"),
        (zipped({"a": BODY}, zipfile.ZIP_LZMA), "encrypted or compressed in a way that is not read"),
        (ENCRYPTED, "encrypted or compressed in a way that is not read"),
        (zipped({"a": BODY})[:-30], "it is damaged"),
        (zipped({"a": BODY}, zipfile.ZIP_STORED).replace(BODY[40:60], b"?" * 20), r"it is damaged \(Bad CRC"),
        (tarred({"a": BODY})[:-40], "it is damaged"),
        (tarred({"a": BODY}, "w")[:3000], "it is damaged"),
        (b"", "there is no 'a' in it; it has nothing|it is damaged"),
        (b"neither of the two", "it is damaged"),
    ],
)
def test_bad_archives(tmp_path: Path, archive: bytes, message: str) -> None:
    (tmp_path / "archive").write_bytes(archive)
    with pytest.raises(DataError, match=message) as caught:
        unpack(tmp_path / "archive", "a", tmp_path / "target", 20_000)
    assert "\n" not in str(caught.value) and files(tmp_path) == ["archive"]


def test_a_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    honest = zipped({"a": BODY})
    size = len(BODY).to_bytes(4, "little")
    (tmp_path / "archive").write_bytes(honest.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(DataError, match="it is damaged"):
        unpack(tmp_path / "archive", "a", tmp_path / "target", 20_000)
    assert files(tmp_path) == ["archive"]


def test_a_bomb_in_a_gz_file(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(gzip.compress(ZEROS))
    with pytest.raises(DataError, match="it unpacks to more than the 2,999,999 bytes"):
        unpack(tmp_path / "archive", None, tmp_path / "target", len(ZEROS) - 1)
    unpack(tmp_path / "archive", None, tmp_path / "target", len(ZEROS))
    assert (tmp_path / "target").read_bytes() == ZEROS


NAMES = st.lists(st.sampled_from(["..", ".", "a", "b", "", "target", "/etc"]), min_size=1, max_size=4).map("/".join).filter(bool)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=5, unique=True), wanted=st.integers(0, 4), tar=st.booleans(), links=st.booleans())
def test_no_name_or_link_leads_out_of_the_target(names: list[str], wanted: int, tar: bool, links: bool) -> None:
    members: dict[str, bytes] = {name: name.encode() for name in names}
    member = names[wanted % len(names)]
    linked = {f"{name}/link": (tarfile.SYMTYPE, "/etc/passwd") for name in names} if links else {}
    with tempfile.TemporaryDirectory() as made:
        inner = Path(made) / "one" / "two"
        inner.mkdir(parents=True)
        (inner / "archive").write_bytes(tarred({**linked, **members}) if tar else zipped(members))
        try:
            unpack(inner / "archive", member, inner / "target", 1 << 20)
        except DataError:  # tar and zip keep some names in another form than given
            assert files(Path(made)) == ["one/two/archive"]
        else:
            assert files(Path(made)) == ["one/two/archive", "one/two/target"]
            assert (inner / "target").read_bytes() in members.values()
