"""Reading a file once: a keyed digest is taken as the bytes pass; small files stay in hand."""

import hashlib
import hmac
import io
import os
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from albufera.ingest.archives import looks_like_zip
from albufera.ingest.found import Refused, SourceFile
from albufera.ingest.model import Limits
from albufera.ingest.sources import code_of

IN_HAND_BYTES = 32 * 1024 * 1024
"""Files up to this size are kept in memory between hashing and cleaning."""

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Loaded:
    """A file in hand: `digest` is the HMAC-SHA256 of its bytes, `held` how many are in memory."""

    path: str = field(repr=False)
    identity: str = field(repr=False)
    digest: str
    size: int
    stream: BinaryIO = field(repr=False)
    held: int

    def rewound(self) -> BinaryIO:
        """The stream, at its start."""
        self.stream.seek(0)
        return self.stream


class SourceFailed(Exception):
    """A file could be opened but not read to its end."""


class Reader:
    """Loads the files of one project.

    `room` is a private directory for members of archives that are too large to keep in memory:
    they wait there without a name and vanish with the process.
    """

    def __init__(self, secret: bytes, room: Path, limits: Limits) -> None:
        self._key = hmac.digest(secret, b"albufera-ingest-source-1", "sha256")
        self._room = room
        self._limits = limits

    def load(self, file: SourceFile) -> Loaded | Refused:
        """The file, hashed and ready to be cleaned; or why it ends here."""
        try:
            stream = file.open()
        except OSError as failure:
            return self._refused(file, code_of(failure))
        except zipfile.BadZipFile:
            return self._refused(file, "archive-damaged")
        except (NotImplementedError, RuntimeError, ValueError, EOFError):
            return self._refused(file, "archive-damaged")
        loaded: Loaded | Refused | None = None
        try:
            loaded = self._read(file, stream)
        except zipfile.BadZipFile:
            loaded = self._refused(file, "archive-damaged")
        except OSError as failure:
            loaded = self._refused(file, code_of(failure))
        finally:
            if not (isinstance(loaded, Loaded) and loaded.stream is stream):
                stream.close()
        return loaded

    def _read(self, file: SourceFile, stream: BinaryIO) -> Loaded | Refused:
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        limit = self._limits.object_bytes
        start = _exactly(stream, min(IN_HAND_BYTES, limit) + 1)
        if not file.seekable and looks_like_zip(start[:132]):
            return self._refused(file, "nested-archive")
        digest.update(start)
        if len(start) <= IN_HAND_BYTES:
            if len(start) > limit:
                return self._refused(file, "too-large")
            held = io.BytesIO(start)
            return Loaded(
                file.path, file.identity, digest.hexdigest(), len(start), held, len(start)
            )
        size, kept = len(start), stream if file.seekable else self._put_by(start)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if size > limit:
                return self._refused(file, "too-large")
            if kept is not stream:
                kept.write(chunk)
        return Loaded(file.path, file.identity, digest.hexdigest(), size, kept, 0)

    def _put_by(self, start: bytes) -> BinaryIO:
        kept = cast(BinaryIO, tempfile.TemporaryFile(dir=self._room))  # noqa: SIM115 - kept open
        kept.write(start)
        return kept

    @staticmethod
    def _refused(file: SourceFile, code: str) -> Refused:
        return Refused(file.path, file.identity, code, file.size)


class Guarded(io.RawIOBase):
    """A stream whose failures to read are `SourceFailed`, told apart from those of the lake."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        try:
            return self._stream.read(size)
        except OSError as failure:
            raise SourceFailed from failure

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self._stream.tell()


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """Up to `count` bytes: fewer only at the end."""
    parts, missing = [], count
    while missing and (chunk := stream.read(min(_CHUNK, missing))):
        parts.append(chunk)
        missing -= len(chunk)
    return b"".join(parts)
