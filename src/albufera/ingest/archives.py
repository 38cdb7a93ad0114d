"""ZIPs, member by member: nothing is unpacked to disk by name, and nothing without a bound.

The central directory is measured before it is read, what it declares is checked before anything
is inflated, and no member can give more than it declares.
"""

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, BinaryIO, cast

from albufera.ingest.found import Found, Refused, SourceFile, display
from albufera.ingest.model import Limits

FREE_MEMBER_BYTES = 16 * 1024 * 1024
"""Up to this size a member may have any ratio: blank images shrink a thousandfold."""

FREE_ARCHIVE_BYTES = 64 * 1024 * 1024
BYTES_PER_DIRECTORY_ENTRY = 256
SEPARATOR = "!/"

FAILURES = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    OverflowError,
)
"""What the reading of a damaged archive may raise, beside OSError."""

_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_OFFICE = ("[Content_Types].xml", "mimetype", "META-INF/")
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_MAX_COMMENT = 65535
_ENCRYPTED = 0x1
_UNIX = 3


def looks_like_zip(head: bytes) -> bool:
    """Whether a file that begins with `head` (132 bytes) is a ZIP and not a DICOM file."""
    return head.startswith(_STARTS) and head[128:132] != b"DICM"


def members(
    opener: Callable[[], BinaryIO], size: int, name: str, limits: Limits
) -> Iterator[Found]:
    """The members of an archive; or one refusal of the archive as a whole."""
    shown = display(name)
    try:
        with opener() as file:
            code = _oversized_directory(file, size, limits)
            if code is not None:
                yield Refused(shown, name, code, size)
                return
            with zipfile.ZipFile(file) as archive:
                code = _refused_as_a_whole(archive, size, limits)
                if code is not None:
                    yield Refused(shown, name, code, size)
                    return
                for index, info in enumerate(archive.infolist()):
                    if not info.is_dir():
                        yield _member(archive, info, f"{name}{SEPARATOR}", index, limits)
    except OSError:
        yield Refused(shown, name, "unreadable", size)
    except FAILURES:
        yield Refused(shown, name, "archive-damaged", size)


def _oversized_directory(file: BinaryIO, size: int, limits: Limits) -> str | None:
    """The code to refuse by when the directory alone would fill the memory, else None.

    APPNOTE §4.3.16 (end of central directory), §4.3.14 and §4.3.15 (its 64-bit form).
    """
    tail_length = min(size, _END.size + _MAX_COMMENT + _END64_LOCATOR.size)
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return "archive-damaged"
    entries, length = _END.unpack_from(tail, at)[4:6]
    locator = tail[max(0, at - _END64_LOCATOR.size) : at]
    if len(locator) == _END64_LOCATOR.size and locator.startswith(b"PK\x06\x07"):
        file.seek(min(_END64_LOCATOR.unpack(locator)[2], size))
        end = file.read(_END64.size)
        if len(end) < _END64.size or not end.startswith(b"PK\x06\x06"):
            return "archive-damaged"
        entries, length = _END64.unpack(end)[7:9]
    file.seek(0)
    if entries > limits.archive_members or (
        length > BYTES_PER_DIRECTORY_ENTRY * limits.archive_members
    ):
        return "archive-too-many"
    return None


def _refused_as_a_whole(archive: zipfile.ZipFile, size: int, limits: Limits) -> str | None:
    infos = archive.infolist()
    declared = sum(info.file_size for info in infos)
    if infos and infos[0].filename.startswith(_OFFICE):
        return "not-dicom"
    if len(infos) > limits.archive_members:
        return "archive-too-many"
    if declared > limits.archive_bytes:
        return "archive-too-large"
    if declared > FREE_ARCHIVE_BYTES and declared > size * limits.archive_ratio:
        return "archive-bomb"
    return None


def _member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, prefix: str, index: int, limits: Limits
) -> Found:
    name = prefix + info.orig_filename
    shown, identity = display(name), f"{name}\0{index}"
    code = _refused_code(info, limits)
    if code is not None:
        return Refused(shown, identity, code, info.file_size)
    return SourceFile(
        shown, identity, info.file_size, lambda: _opened(archive, info), seekable=False
    )


def _refused_code(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    mode = info.external_attr >> 16 if info.create_system == _UNIX else 0
    kind = stat.S_IFMT(mode)
    ratio_exceeded = info.file_size > limits.archive_ratio * max(1, info.compress_size)
    checks = (
        (_leads_outside(info.orig_filename), "unsafe-name"),
        (kind == stat.S_IFLNK, "symlink"),
        (kind not in (0, stat.S_IFREG, stat.S_IFLNK), "special-file"),
        (bool(info.flag_bits & _ENCRYPTED), "encrypted"),
        (info.compress_type not in _METHODS, "archive-method"),
        (info.file_size > limits.object_bytes, "too-large"),
        (info.file_size > FREE_MEMBER_BYTES and ratio_exceeded, "archive-bomb"),
    )
    return next((code for failed, code in checks if failed), None)


def _leads_outside(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    drive = len(parts[0]) == 2 and parts[0].endswith(":")  # noqa: PLR2004 - "C:"
    return not name or parts[0] == "" or drive or ".." in parts or "\0" in name


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    return cast(BinaryIO, _Member(archive.open(info)))


class _Member(io.RawIOBase):
    """A member's bytes; every failure to read them is a `BadZipFile`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes. Raises BadZipFile."""
        try:
            return self._stream.read(size)
        except FAILURES as failure:
            raise zipfile.BadZipFile(str(failure)) from failure

    def close(self) -> None:
        """Let go of the member."""
        with suppress(*FAILURES):
            self._stream.close()
        super().close()
