"""What is noticed in files before a person looks, and that looking is bounded."""

import base64
import bz2
import gzip
import json
import pickle
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albufera.compute.airlock.inspection import CHUNK, MARK, MAX_DEPTH, Inspector
from albufera.compute.airlock.kinds import HEAD, kind_of
from tests.compute.airlock.samples import (
    BARE_EXPLICIT,
    BARE_IMPLICIT,
    DICOM,
    PNG,
    bomb,
    encrypted,
    tarred,
    with_64_bit_end,
    zipped,
)


def look(
    tmp_path: Path, content: bytes, inspector: Inspector | None = None
) -> tuple[str, set[str]]:
    path = tmp_path / "frozen"
    path.write_bytes(content)
    kind, findings = (inspector or Inspector()).inspect(path)
    assert list(tmp_path.iterdir()) == [path]
    return kind, {finding.code for finding in findings}


@pytest.mark.parametrize(
    "content", [DICOM, BARE_EXPLICIT, BARE_IMPLICIT], ids=["preamble", "explicit", "implicit"]
)
def test_a_dicom_object_is_known_by_its_content(tmp_path: Path, content: bytes) -> None:
    assert look(tmp_path, content) == ("dicom", {"is-dicom"})


@pytest.mark.realdata
def test_real_images_are_known(tmp_path: Path, real_images: Path) -> None:
    found = [path for path in real_images.rglob("*") if path.is_file()]
    named = [path for path in found if path.read_bytes()[128:132] == b"DICM"][:40]
    assert named
    for path in named:
        content = path.read_bytes()
        assert "is-dicom" in look(tmp_path, content)[1]
        assert "contains-dicom" in look(tmp_path, b"x" * 1000 + content)[1]


NESTS = {
    "zip": zipped(b"hello", DICOM),
    "stored zip": zipped(DICOM, method=zipfile.ZIP_STORED),
    "zip without preamble": zipped(BARE_EXPLICIT),
    "tar": tarred(b"hello", DICOM),
    "tar without preamble": tarred(BARE_IMPLICIT),
    "old tar": tarred(b"", zipped(DICOM), format=1),
    "gzip": gzip.compress(DICOM),
    "tar in gzip": gzip.compress(tarred(b"hello", DICOM)),
    "zip in tar": tarred(zipped(DICOM)),
    "zip in zip": zipped(zipped(b"hello", DICOM)),
    "gzip in zip": zipped(gzip.compress(DICOM)),
    "zip in tar in gzip": gzip.compress(tarred(zipped(DICOM))),
    "two gzip members": gzip.compress(b"hello") + gzip.compress(DICOM),
    "zip after a program": zipped(DICOM, prefix=b"\x7fELF" + bytes(100)),
    "zip after a picture": zipped(DICOM, prefix=PNG),
    "before the first member of a zip": b"PK\x03\x04" + DICOM + zipped(b"hello"),
    "after the end of a zip": zipped(b"hello") + DICOM,
    "far behind in a member": zipped(bytes(3 * CHUNK) + DICOM),
    "base64": b'{"data": "' + base64.b64encode(DICOM) + b'"}',
    "base64, second alignment": b"{}" + base64.b64encode(b"x" + DICOM),
    "base64, third alignment": b"{}" + base64.b64encode(b"xx" + DICOM),
    "base64 in a zip": zipped(base64.b64encode(DICOM)),
}


@pytest.mark.parametrize("name", NESTS)
def test_dicom_inside_other_files_sounds_an_alarm(tmp_path: Path, name: str) -> None:
    kind, codes = look(tmp_path, NESTS[name])
    assert kind != "dicom"
    assert "contains-dicom" in codes


@pytest.mark.parametrize("before", [0, 1, len(MARK) - 1, len(MARK), len(MARK) + 1])
@pytest.mark.parametrize("border", [HEAD, CHUNK, 2 * CHUNK])
def test_dicom_across_the_borders_of_what_is_read_at_once(
    tmp_path: Path, border: int, before: int
) -> None:
    content = b"\xff" * (border - before) + MARK + b"\xff" * 100
    assert look(tmp_path, content) == ("binary", {"contains-dicom"})


CLEAN = {
    "text": b"a result of 0.93\n",
    "csv": b"subject,score\nSUBJ-1,0.93\n",
    "json": b'{"score": 0.93}',
    "empty": b"",
    "binary": bytes(range(256)) * 4,
    "zip": zipped(b"hello", b"a,b\n1,2\n"),
    "tar": tarred(b"hello", b""),
    "gzip": gzip.compress(b"hello"),
}


@pytest.mark.parametrize("name", CLEAN)
def test_ordinary_results_raise_nothing(tmp_path: Path, name: str) -> None:
    assert look(tmp_path, CLEAN[name]) == (name, set())


SUSPECT = {
    "png": (PNG, "may-hold-pixels"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(20), "may-hold-pixels"),
    "pdf": (b"%PDF-1.7 ...", "may-hold-pixels"),
    "numpy": (b"\x93NUMPY\x01\x00" + bytes(20), "may-hold-pixels"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "may-hold-pixels"),
    "nifti": (bytes(344) + b"n+1\x00" + bytes(20), "may-hold-pixels"),
    "zip of png": (zipped(PNG), "may-hold-pixels"),
    "gzip of nifti": (
        gzip.compress(bytes(344) + b"n+1\x00" + bytes(20)),
        "may-hold-pixels",
    ),
    "pickle": (pickle.dumps({"weights": [1, 2]}), "pickle"),
    "zip of pickle": (zipped(pickle.dumps([1])), "pickle"),
    "program": (b"\x7fELF" + bytes(20), "program"),
    "bzip2": (bz2.compress(b"hello"), "not-inspected"),
    "zip of xz": (zipped(b"\xfd7zXZ\x00" + bytes(20)), "not-inspected"),
    "binary": (bytes(21 * 1024 * 1024), "large"),
}


@pytest.mark.parametrize("name", SUSPECT)
def test_what_asks_for_a_second_look(tmp_path: Path, name: str) -> None:
    content, code = SUSPECT[name]
    assert look(tmp_path, content) == (name.partition(" ")[0], {code})


UNSEEN = {
    "encrypted": encrypted(b"hello"),
    "method": zipped(b"hello", method=zipfile.ZIP_LZMA),
    "cut off": zipped(b"hello" * 1000)[:60],
    "gzip cut off": gzip.compress(bytes(100_000))[:-9],
    "gzip with rubbish behind": gzip.compress(b"hello") + b"rubbish",
    "64 bits": with_64_bit_end(b"hello"),
    "tar damaged": tarred(b"hello")[:1536] + b"\xff" * 2048,
    "too deep": gzip.compress(zipped(tarred(gzip.compress(b"hello")))),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_was_not_looked_into_is_said_to_be_so(tmp_path: Path, name: str) -> None:
    assert "not-inspected" in look(tmp_path, UNSEEN[name])[1]


def test_a_directory_of_millions_of_members_is_not_read(tmp_path: Path) -> None:
    many = zipped(*[b""] * 30_000, method=zipfile.ZIP_STORED)
    tracemalloc.start()
    try:
        codes = look(tmp_path, many)[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert codes == {"not-inspected"}
    assert peak < len(many) + 16 * CHUNK


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_bombs_are_bounded_in_time_memory_and_disk(tmp_path: Path, levels: int) -> None:
    content = bomb(levels)
    tracemalloc.start()
    began = time.monotonic()
    try:
        codes = look(tmp_path, content, Inspector(max_bytes=64 * CHUNK))[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ("not-inspected" in codes) is (levels > 0)
    assert peak < 32 * CHUNK
    assert time.monotonic() - began < 20


def test_one_allowance_serves_all_files_of_a_request(tmp_path: Path) -> None:
    inspector = Inspector(max_bytes=10 * CHUNK)
    half = b"\xff" * 6 * CHUNK
    assert look(tmp_path, half, inspector) == ("binary", set())
    assert look(tmp_path, half, inspector) == ("binary", {"not-inspected"})


def test_members_are_counted(tmp_path: Path) -> None:
    content = zipped(*[b"x"] * 20, DICOM)
    assert "not-inspected" in look(tmp_path, content, Inspector(max_members=10))[1]
    assert "contains-dicom" in look(tmp_path, content, Inspector(max_members=30))[1]


def test_deep_json_is_no_trouble(tmp_path: Path) -> None:
    assert look(tmp_path, b"[" * (HEAD - 1))[0] == "text"
    assert look(tmp_path, b"[" * (HEAD * 10))[0] == "json"
    assert look(tmp_path, b'{"a": ' + b"9" * 4000 + b"}")[0] in {"json", "text"}


def test_a_character_cut_by_the_head_is_still_text() -> None:
    for lead in range(4):
        assert kind_of((b"x" * lead + "é€😀".encode() * HEAD)[:HEAD]) == "text"


def test_the_levels_are_what_the_tests_believe() -> None:
    assert MAX_DEPTH == 3


PARTS = st.sampled_from(
    [DICOM, PNG, b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07", b"\x1f\x8b\x08", b"ustar", MARK,
     zipped(b"a"), tarred(b"a"), gzip.compress(b"a"), b"\x80\x04", b"{", b"\0" * 512]
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PARTS | st.binary(max_size=600), max_size=8), flip=st.integers(0, 4000))
def test_no_content_breaks_the_inspection(tmp_path: Path, parts: list[bytes], flip: int) -> None:
    content = bytearray(b"".join(parts))
    if content:
        content[flip % len(content)] ^= 0x5A
    kind, codes = look(tmp_path, bytes(content))
    assert kind.isidentifier() or kind == "7z"
    json.dumps([kind, *codes])
    if MARK in content:
        assert codes & {"is-dicom", "contains-dicom"}
