"""Looks at a frozen file before a person does: what kind it is, and whether DICOM is in it.

Reads by content, never by name. Containers (ZIP, tar, gzip) are looked into, a bounded number of
bytes and levels deep; what cannot be looked into is said so.
"""

import gzip
import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from albufera.compute.airlock.model import Finding, Severity

HEAD = 4096
CHUNK = 1024 * 1024
MAX_INSPECTED = 512 * 1024 * 1024
MAX_MEMBERS = 5000
MAX_DEPTH = 3

DICOM_MARK = b"DICM\x02\x00\x00\x00UL"
"""The magic word of PS3.10 §7.1 with the group length that follows it."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x93NUMPY", "numpy"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x7fELF", "program"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"PAR1", "parquet"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)
_OPAQUE = frozenset({"bzip2", "xz", "7z"})
_IMAGES = frozenset({"png", "jpeg", "gif", "tiff", "numpy", "hdf5", "nifti"})

IS_DICOM = Finding(
    "is-dicom",
    Severity.ALARM,
    "This file is a DICOM object: an image of the dataset would leave. Reject it unless the "
    "project's rules allow exactly this.",
)
CONTAINS_DICOM = Finding(
    "contains-dicom",
    Severity.ALARM,
    "There is a DICOM object inside this file. Open it on its own, and reject it unless the "
    "project's rules allow exactly this.",
)
PICKLE = Finding(
    "pickle",
    Severity.WARNING,
    "This is a Python pickle: it can hold anything, and opening it runs its code. Ask for a plain "
    "format instead.",
)
OPAQUE = Finding(
    "not-inspected",
    Severity.WARNING,
    "This file is packed so that it was not looked into. Ask for it unpacked.",
)
PIXELS = Finding(
    "may-hold-pixels",
    Severity.WARNING,
    "Files of this kind can hold images of the dataset. Look at the preview, or ask what it holds.",
)
LARGE = Finding(
    "large",
    Severity.WARNING,
    "This file is large for a result. Ask what it holds.",
)
LARGE_BYTES = 20 * 1024 * 1024


def inspect(path: Path) -> tuple[str, tuple[Finding, ...]]:
    """Return a file's kind and findings. Never raises for any content; memory is bounded."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        kind = kind_of(head)
        findings = []
        if kind == "dicom":
            findings.append(IS_DICOM)
        elif _holds_dicom(file, kind, _Budget(), 0):
            findings.append(CONTAINS_DICOM)
    if kind == "pickle":
        findings.append(PICKLE)
    if kind in _OPAQUE:
        findings.append(OPAQUE)
    if kind in _IMAGES:
        findings.append(PIXELS)
    if path.stat().st_size > LARGE_BYTES:
        findings.append(LARGE)
    return kind, tuple(findings)


def kind_of(head: bytes) -> str:
    """Tell the kind of a file by its first bytes: `dicom`, `png`, … `text`, `json`, or `binary`."""
    if head[128:132] == b"DICM" or _is_bare_dicom(head):
        return "dicom"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    if head[344:348] in {b"n+1\x00", b"ni1\x00"}:
        return "nifti"
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "pickle"
    if not head:
        return "empty"
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str:
    try:
        text = head[:-4].decode("utf-8") if len(head) == HEAD else head.decode("utf-8")
    except UnicodeDecodeError:
        return "binary"
    if "\0" in text:
        return "binary"
    stripped = text.lstrip()
    if stripped[:1] in {"{", "["}:
        try:
            json.loads(text)
            return "json"
        except ValueError:
            return "text" if len(head) < HEAD else "json"
    lines = text.splitlines()
    if len(lines) > 1 and lines[0].count(",") == lines[1].count(",") > 0:
        return "csv"
    return "text"


def _is_bare_dicom(head: bytes) -> bool:
    """DICOM without preamble: starts with an element of group 0002 or 0008, little endian."""
    if len(head) < 12 or head[1:2] != b"\x00" or head[0] not in {2, 8} or head[3:4] != b"\x00":  # noqa: PLR2004
        return False
    explicit = head[4:6] in {b"UL", b"UI", b"OB", b"CS", b"DA", b"TM", b"LO", b"SH"}
    length = int.from_bytes(head[4:8], "little")
    implicit = head[0] == 8 and head[2] in {0x00, 0x05, 0x08, 0x12, 0x16, 0x18} and length < 128  # noqa: PLR2004
    return explicit or implicit


class _Budget:
    """How much may still be read, over all levels of all containers of one file."""

    def __init__(self) -> None:
        self.bytes_left = MAX_INSPECTED
        self.members_left = MAX_MEMBERS

    def take(self, count: int) -> bool:
        self.bytes_left -= count
        return self.bytes_left > 0

    def take_member(self) -> bool:
        self.members_left -= 1
        return self.members_left > 0


def _holds_dicom(file: BinaryIO, kind: str, budget: _Budget, depth: int) -> bool:
    file.seek(0)
    if kind in {"zip", "tar", "gzip"} and depth < MAX_DEPTH:
        return any(
            _member_holds_dicom(item, budget, depth) for item in _members(file, kind, budget)
        )
    return _scan(file, budget)


def _scan(file: BinaryIO, budget: _Budget) -> bool:
    """Search for the mark of a DICOM object anywhere in the bytes."""
    tail = b""
    while chunk := file.read(CHUNK):
        if DICOM_MARK in tail + chunk:
            return True
        tail = chunk[-len(DICOM_MARK) :]
        if not budget.take(len(chunk)):
            return False
    return False


def _member_holds_dicom(content: BinaryIO, budget: _Budget, depth: int) -> bool:
    try:
        data = content.read(min(budget.bytes_left, 64 * CHUNK) or 1)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return False
    budget.take(len(data))
    kind = kind_of(data[:HEAD])
    return kind == "dicom" or _holds_dicom(io.BytesIO(data), kind, budget, depth + 1)


def _members(file: BinaryIO, kind: str, budget: _Budget) -> Iterator[BinaryIO]:
    try:
        match kind:
            case "gzip":
                yield gzip.GzipFile(fileobj=file)  # type: ignore[misc]
            case "zip":
                with zipfile.ZipFile(file) as archive:
                    for info in archive.infolist():
                        if not budget.take_member() or budget.bytes_left <= 0:
                            return
                        if not info.flag_bits & 1:
                            with archive.open(info) as member:
                                yield member  # type: ignore[misc]
            case _:
                with tarfile.open(fileobj=file, mode="r:") as archive_of_tar:
                    for item in archive_of_tar:
                        if not budget.take_member() or budget.bytes_left <= 0:
                            return
                        extracted = archive_of_tar.extractfile(item) if item.isreg() else None
                        if extracted is not None:
                            yield extracted  # type: ignore[misc]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, zlib.error,
            RuntimeError, NotImplementedError):  # fmt: skip
        return
