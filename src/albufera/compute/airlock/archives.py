"""Archives, looked into without trusting a word of what they declare about themselves.

Bounded by construction: no directory is read that is larger than a megabyte or so, headers are
read one at a time, and contents are streams.
"""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol

DAMAGE = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, OverflowError, struct.error,
    zlib.error, zipfile.BadZipFile, RecursionError,
)  # fmt: skip
"""What reading an archive that is damaged, or of a kind that is not known, may raise."""

MAX_DIRECTORY_BYTES = 1024 * 1024
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_END = struct.Struct("<4s4H2LH")
_LOCATOR_BYTES = 20
_LONGEST_END = _LOCATOR_BYTES + _END.size + 65535
_BLOCK = 512
_BINARY_SIZE = 0x80


class Stream(Protocol):
    """Bytes that can be read from front to back."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; empty at the end."""
        ...


class NotReadable(Exception):
    """A part of an archive that cannot be looked into."""


def ends_as_zip(file: IO[bytes]) -> bool:
    """Tell whether a file ends as a ZIP does (APPNOTE §4.3.16), however it begins."""
    return _end_of_directory(file) is not None


def zip_members(file: IO[bytes]) -> Iterator[Callable[[], Stream]]:
    """Give, for each member, a function that opens it or raises `NotReadable` or one of `DAMAGE`.

    Raises `NotReadable` when the directory is too large to be read.
    """
    length = _end_of_directory(file)
    if length is None or length > MAX_DIRECTORY_BYTES:
        raise NotReadable
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            yield lambda info=info: _open_member(archive, info)  # type: ignore[misc]


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stream:
    if info.flag_bits & 1 or info.compress_type not in _METHODS:
        raise NotReadable
    return archive.open(info)


def _end_of_directory(file: IO[bytes]) -> int | None:
    """Return the bytes that a ZIP's directory takes, None where there is none.

    A directory in 64-bit form (§4.3.14) counts as too large: no result needs one.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_END))
    tail = file.read(_LONGEST_END)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return None
    if tail[max(0, at - _LOCATOR_BYTES) :].startswith(b"PK\x06\x07"):
        return MAX_DIRECTORY_BYTES + 1
    length, start, comment = _END.unpack_from(tail, at)[5:]
    fits = at + _END.size + comment == len(tail) and start + length <= size
    return length if fits else None


def tar_members(file: IO[bytes]) -> Iterator[Stream]:
    """Give each member of a tar (POSIX ustar, GNU, pax) as a stream, to be read before the next.

    Raises `NotReadable` for what is not well formed.
    """
    at = 0
    while True:
        file.seek(at)
        header = file.read(_BLOCK)
        if not header.strip(b"\0"):
            return
        if len(header) < _BLOCK or header[257:262] != b"ustar":
            raise NotReadable
        size = _size_of_member(header[124:136])
        yield _Window(file, size)
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK


def _size_of_member(field: bytes) -> int:
    if field[0] & _BINARY_SIZE:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise NotReadable from None


class _Window:
    """The next bytes of a file, and no more of it."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data
