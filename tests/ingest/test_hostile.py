"""Hostile files through the real service, in a process of limited memory: each ends in a stated
state, and an honest file after it is taken in as ever."""

import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence

from tests.ingest.dicoms import ct, write
from tests.nodes import town

ROOT = Path(__file__).parents[2]
MOST_GROWTH_MEBIBYTES = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "home"
    with town(folder):
        pass
    return folder


def take(home: Path, *paths: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ingest.child", str(home), *map(str, paths)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": "src"}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def whole(data: Dataset | None = None) -> bytes:
    buffer = DicomBytesIO()
    (data or ct()).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return struct.pack("<HH2sHL", group, number, vr, 0, size) + value
    return struct.pack("<HH2sH", group, number, vr, size) + value


def meta(syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    uid = syntax.encode().ljust(len(syntax) + len(syntax) % 2, b"\0")
    body = element(2, 0x10, b"UI", uid)
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<L", len(body))) + body


def nested(levels: int) -> Dataset:
    data = ct(series="nested")
    inner = Dataset()
    inner.CodeValue = "x"
    for _ in range(levels):
        outer = Dataset()
        outer.ProcedureCodeSequence = Sequence([inner])
        inner = outer
    data.ProcedureCodeSequence = Sequence([inner])
    return data


def bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(20):
            file.writestr(str(number), bytes(64 * 2**20))
    return path


def climbing(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../escaped.dcm", whole())
    return path


def loop(path: Path) -> Path:
    path.mkdir()
    (path / "again").symlink_to(path)
    return path


def content(data: bytes) -> Callable[[Path], Path]:
    def made(path: Path) -> Path:
        path.write_bytes(data)
        return path

    return made


CT_BYTES = whole()
PIXELS = b"\xe0\x7f\x10\0OW\0\0"
AGE = b"\x10\0\x10\x10"
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (content(b""), "empty"),
    "not DICOM": (content(b"%PDF-1.7 " + bytes(5000)), "not-dicom"),
    "random": (content(bytes(range(256)) * 400), "not-dicom"),
    "cut in the pixels": (content(CT_BYTES[:-100]), "truncated"),
    "cut in the header": (content(CT_BYTES[:400]), "truncated"),
    "only a prefix": (content(bytes(128) + b"DICM"), "truncated"),
    "huge length": (
        content(meta() + element(8, 8, b"OB", b"x" * 20, 0xFFFFFFF0)),
        "truncated",
    ),
    "huge pixels": (
        content(CT_BYTES.replace(PIXELS + b"\0\2\0\0", PIXELS + b"\xfe\xff\xff\xff")),
        "truncated",
    ),
    "deeply nested": (lambda path: write(path, nested(60)), "too-deep"),
    "nested without an end": (
        content(
            meta()
            + (element(8, 0x1032, b"SQ", b"", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff")
            * 5000
        ),
        "too-deep",
    ),
    "wrong VR": (content(CT_BYTES.replace(AGE + b"AS", AGE + b"ZZ")), "bad-vr"),
    "deflated bomb": (
        content(
            meta("1.2.840.10008.1.2.1.99")
            + zlib.compress(element(8, 8, b"UT", bytes(900 * 2**20)), 9)[2:-4]
        ),
        "header-too-large",
    ),
    "ZIP that climbs": (climbing, "unsafe-name"),
    "ZIP bomb": (bomb, "archive-bomb"),
    "a folder that holds itself": (loop, "symlink"),
}  # fmt: skip


def file_name(name: str) -> str:
    return name.replace(" ", "-")


@pytest.fixture(scope="module")
def told(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of all of them in one run, with an honest file after each."""
    folder = tmp_path_factory.mktemp("files") / "in"
    folder.mkdir()
    for number, (name, (make, _)) in enumerate(HOSTILE.items()):
        make(folder / file_name(name))
        write(folder / f"{file_name(name)}.honest", ct(series=f"after {number}"))
    ended = take(home, folder)
    assert not list(folder.parent.parent.rglob("escaped*"))
    assert not list(home.parent.rglob("escaped*"))
    return ended


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ends_refused(told: dict[str, Any], name: str) -> None:
    ends = {path: code for path, code in told["ends"].items() if "honest" not in path}
    mine = {code for path, code in ends.items() if path.startswith(f"in/{file_name(name)}")}
    assert mine == {HOSTILE[name][1]}
    assert told["ends"][f"in/{file_name(name)}.honest"] == "admitted"


def test_memory_is_bounded_and_the_node_goes_on(told: dict[str, Any]) -> None:
    assert told["state"] == "finished"
    assert told["counts"]["admitted"] == len(HOSTILE)
    assert told["grownMebibytes"] < MOST_GROWTH_MEBIBYTES


def test_large_objects_are_streamed(home: Path, tmp_path: Path) -> None:
    """An object many times larger than what is kept in hand does not fill the memory."""
    big = ct(series="big")
    big.Rows = big.Columns = 4096
    big.NumberOfFrames = 13
    big.PixelData = bytes(13 * 4096 * 4096 * 2)
    path = write(tmp_path / "big", big)
    assert path.stat().st_size > 400 * 2**20
    told = take(home, path)
    assert told["counts"]["admitted"] == 1
    assert told["grownMebibytes"] < MOST_GROWTH_MEBIBYTES
