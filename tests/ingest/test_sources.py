"""Finding files: folders, links, devices, and ZIPs of every bad intention."""

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from albufera.ingest.found import Found, Refused, SourceFile, display
from albufera.ingest.model import REASONS, Limits
from albufera.ingest.reading import IN_HAND_BYTES, Loaded, Reader
from albufera.ingest.sources import Named, discover

LIMITS = Limits(
    object_bytes=64 * 2**20, archive_bytes=256 * 2**20, archive_ratio=200, archive_members=100
)


def found(path: Path, limits: Limits = LIMITS) -> list[Found]:
    return list(discover([Named(path, path.name)], limits))


def ends(path: Path, limits: Limits = LIMITS) -> dict[str, str]:
    """Each file's display path and its refusal, or `file` for what can be taken in."""
    return {
        item.path: item.code if isinstance(item, Refused) else "file"
        for item in discover([Named(path, path.name)], limits)
    }


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_a_folder_is_walked_in_order(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", "c/d/e"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    assert list(ends(tmp_path / "in")) == ["in/a", "in/b/1", "in/b/2", "in/c/d/e"]


def test_links_and_devices(tmp_path: Path) -> None:
    top = tmp_path / "in"
    top.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    (top / "file").write_text("x")
    (top / "link-to-file").symlink_to(tmp_path / "outside" / "secret")
    (top / "link-to-folder").symlink_to(tmp_path / "outside")
    (top / "link-to-itself").symlink_to(top / "link-to-itself")
    (top / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(top / "pipe")
    assert ends(top) == {
        "in/dangling": "symlink",
        "in/file": "file",
        "in/link-to-file": "symlink",
        "in/link-to-folder": "symlink",
        "in/link-to-itself": "symlink",
        "in/pipe": "special-file",
    }


def test_a_named_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert ends(tmp_path / "link") == {"link/x": "file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "x").write_text("x")
    (tmp_path / "in" / "x").chmod(0)
    (tmp_path / "in" / "closed").chmod(0)
    assert set(ends(tmp_path / "in").values()) == {"no-permission"}
    (tmp_path / "in" / "closed").chmod(0o700)


def test_a_file_over_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(LIMITS.object_bytes + 1)
    assert ends(tmp_path / "big") == {"big": "too-large"}


def test_undecodable_names_can_be_shown(tmp_path: Path) -> None:
    top = tmp_path / "in"
    top.mkdir()
    (Path(os.fsdecode(os.fsencode(top) + b"/\xff\x1b[2J"))).write_text("x")
    (name,) = ends(top)
    assert name.isprintable()
    name.encode("utf-8")


@given(st.text(st.characters(codec="utf-8"), max_size=700))
def test_any_name_can_be_stored(name: str) -> None:
    shown = display(name)
    assert len(shown) <= 500
    assert shown.isprintable()


def test_members_of_a_zip(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {"d/": b"", "d/x": b"one", "y": b"two"})
    content = {}
    for item in discover([Named(made, "a.zip")], LIMITS):
        assert isinstance(item, SourceFile)
        with item.open() as stream:
            content[item.path] = stream.read()
    assert content == {"a.zip!/d/x": b"one", "a.zip!/y": b"two"}


def test_a_zip_is_known_by_content(tmp_path: Path) -> None:
    assert ends(archive(tmp_path / "study.dat", {"x": b"x"})) == {"study.dat!/x": "file"}


def test_a_dicom_file_that_begins_like_a_zip_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "both"
    path.write_bytes(b"PK\x03\x04".ljust(128, b"\0") + b"DICM")
    assert ends(path) == {"both": "file"}


def test_names_that_lead_outside(tmp_path: Path) -> None:
    names = ("../up", "a/../../up", "/etc/passwd", "C:\\x", "..\\up", "C:x", "\\\\host\\x")
    made = archive(tmp_path / "a.zip", {**dict.fromkeys(names, b"x"), "ok": b"x"})
    states = list(ends(made).values())
    assert states == ["unsafe-name"] * 5 + ["file"] + ["unsafe-name"] + ["file"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_links_and_devices_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, mode in (("link", 0o120777), ("pipe", 0o010644), ("plain", 0o100644)):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            file.writestr(info, "/etc/passwd")
    assert list(ends(path).values()) == ["symlink", "special-file", "file"]


def _patched(path: Path, signature: bytes, offset: int, value: bytes) -> Path:
    """Overwrite a field of every header with this signature."""
    data = bytearray(path.read_bytes())
    at = data.find(signature)
    while at >= 0:
        data[at + offset : at + offset + len(value)] = value
        at = data.find(signature, at + 4)
    path.write_bytes(data)
    return path


def test_an_encrypted_member(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {"x": b"x"})
    assert ends(_patched(made, b"PK\x01\x02", 8, b"\1\0")) == {"a.zip!/x": "encrypted"}


def test_a_method_that_needs_much_memory(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {"x": b"x"}, zipfile.ZIP_LZMA)
    assert ends(made) == {"a.zip!/x": "archive-method"}


def test_a_bomb_by_ratio(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {"x": bytes(40 * 2**20)})
    assert ends(made) == {"a.zip!/x": "archive-bomb"}


def test_a_bomb_by_many_members(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {str(n): bytes(10 * 2**20) for n in range(12)})
    assert ends(made) == {"a.zip": "archive-bomb"}


def test_a_blank_image_is_no_bomb(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {"blank": bytes(2**20)})
    assert ends(made) == {"a.zip!/blank": "file"}


def test_a_total_over_the_limit(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {str(n): os.urandom(2**16) for n in range(10)})
    small = Limits(2**20, 2**18, 200, 100)
    assert ends(made, small) == {"a.zip": "archive-too-large"}


def test_too_many_members(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {str(n): b"" for n in range(101)})
    assert ends(made) == {"a.zip": "archive-too-many"}


def test_a_directory_that_lies_about_its_length(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.zip", {"x": b"x"})
    lying = _patched(made, b"PK\x05\x06", 12, struct.pack("<L", 2**31))
    assert ends(lying) == {"a.zip": "archive-too-many"}


def test_a_member_that_gives_more_than_it_declares(tmp_path: Path) -> None:
    """The declared size bounds what is read; the checksum then shows the lie."""
    made = archive(tmp_path / "a.zip", {"x": bytes(8 * 2**20)})
    lying = _patched(made, b"PK\x01\x02", 24, struct.pack("<L", 1000))
    (item,) = found(lying)
    assert isinstance(item, SourceFile)
    reader = Reader(bytes(32), tmp_path, LIMITS)
    for item in discover([Named(lying, "a.zip")], LIMITS):
        assert isinstance(item, SourceFile)
        loaded = reader.load(item)
        assert isinstance(loaded, Refused)
        assert loaded.code == "archive-damaged"


def test_a_nested_zip(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.zip", {"x": b"x"}).read_bytes()
    made = archive(tmp_path / "a.zip", {"inner": inner})
    reader = Reader(bytes(32), tmp_path, LIMITS)
    for item in discover([Named(made, "a.zip")], LIMITS):
        assert isinstance(item, SourceFile)
        loaded = reader.load(item)
        assert isinstance(loaded, Refused)
        assert loaded.code == "nested-archive"


def test_an_office_document_is_one_file(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.xlsx", {"[Content_Types].xml": b"x", "xl/workbook.xml": b"x"})
    assert ends(made) == {"a.xlsx": "not-dicom"}


def test_the_same_name_twice_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("x", b"2")
    assert len({item.identity for item in found(path)}) == 2


@given(st.binary(max_size=400), st.integers(0, 300))
def test_damaged_zips_end_with_a_reason(junk: bytes, at: int) -> None:
    """Whatever is done to an archive's bytes, finding and reading its members ends well."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", b"a" * 300)
        file.writestr("b", b"b" * 300)
    data = bytearray(buffer.getvalue())
    data[at : at + len(junk)] = junk
    path = Path(f"/tmp/albufera-test-{os.getpid()}.zip")
    path.write_bytes(b"PK\x03\x04" + bytes(data[4:]))
    try:
        reader = Reader(bytes(32), path.parent, LIMITS)
        for item in discover([Named(path, "z")], LIMITS):
            end = item if isinstance(item, Refused) else reader.load(item)
            assert isinstance(end, Loaded) or end.code in REASONS
    finally:
        path.unlink()


def test_a_large_member_waits_without_a_name(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    content = os.urandom(IN_HAND_BYTES + 10)
    made = archive(tmp_path / "a.zip", {"x": content}, zipfile.ZIP_STORED)
    reader = Reader(bytes(32), room, LIMITS)
    for item in discover([Named(made, "a.zip")], LIMITS):
        assert isinstance(item, SourceFile)
        loaded = reader.load(item)
        assert isinstance(loaded, Loaded)
        assert loaded.held == 0
        assert loaded.rewound().read() == content
        assert list(room.iterdir()) == []
        loaded.stream.close()


def test_the_digest_is_keyed_and_of_the_whole_file(tmp_path: Path) -> None:
    for name, size in (("small", 10), ("large", IN_HAND_BYTES + 5)):
        (tmp_path / name).write_bytes(bytes(size))
        (item,) = found(tmp_path / name)
        assert isinstance(item, SourceFile)
        ones = [Reader(key * 32, tmp_path, LIMITS).load(item) for key in (b"a", b"a", b"b")]
        digests = []
        for one in ones:
            assert isinstance(one, Loaded)
            assert one.size == size
            digests.append(one.digest)
            one.stream.close()
        assert digests[0] == digests[1] != digests[2]
