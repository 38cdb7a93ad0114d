"""Staging on disk: files that are hashed as they are written, sealed, and admitted or discarded."""

import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from albufera.kernel.crashes import crash_point
from albufera.lake.backends.filesystem.durable import no_room_named
from albufera.lake.backends.filesystem.held import HeldDirectory
from albufera.lake.layout import slug, uid_or_slug
from albufera.lake.ports import Staged, StoreError

BUFFER_BYTES = 256 * 1024
SEALED_MODE = 0o444


class FileWriter:
    """The HashingWriter of a file; append-only, good enough for ``pydicom.dcmwrite``."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with no_room_named("a new file"):
            self._descriptor = os.open(path, flags, 0o600)
        self._path = path
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._size = 0
        self._open = True
        self._staged: Staged | None = None

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal SHA-256 of the bytes written so far."""
        return self._hash.hexdigest()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._size

    def tell(self) -> int:
        """The position, which is always the end."""
        return self._size

    def seek(self, _offset: int, _whence: int = 0, /) -> int:
        """Refused: what was hashed cannot be written again."""
        raise io.UnsupportedOperation("A file in staging can only be appended to.")

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Appends and hashes. Raises StoreFull when the disk is."""
        if not self._open:
            raise ValueError("This file in staging is sealed or discarded: open another.")
        count = data.nbytes if isinstance(data, memoryview) else len(data)
        self._hash.update(data)
        self._size += count
        with no_room_named("the file being received"):
            if len(self._buffer) + count > BUFFER_BYTES:
                self._flush()
            if count >= BUFFER_BYTES:
                _write_all(self._descriptor, memoryview(data).cast("B"))
            else:
                self._buffer += data
        return count

    def seal(self) -> Staged:
        """Flushes to the disk itself (fsync), makes the file read-only and closes it."""
        if self._staged is None:
            if not self._open:
                raise ValueError("This file in staging was discarded: nothing is left to seal.")
            crash_point("lake.written")
            with no_room_named("the file being received"):
                self._flush()
                os.fchmod(self._descriptor, SEALED_MODE)
                os.fsync(self._descriptor)
            self._close()
            self._staged = Staged(self._path, self.sha256, self._size)
            crash_point("lake.staged")
        return self._staged

    def close(self) -> None:
        """Discards the file unless it was sealed."""
        if self._staged is None and self._open:
            self._close()
            with suppress(FileNotFoundError):
                self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.seal()
        finally:
            self.close()

    def _flush(self) -> None:
        if self._buffer:
            pending, self._buffer = self._buffer, bytearray()
            _write_all(self._descriptor, memoryview(pending))

    def _close(self) -> None:
        self._open = False
        self._buffer = bytearray()
        os.close(self._descriptor)


class DirectoryStaging:
    """The Staging of a file system: one held directory, removed at the end with what is in it."""

    def __init__(self, staging_root: Path, project_id: str) -> None:
        with no_room_named("a staging area"):
            self._held = HeldDirectory(staging_root, f"{slug(project_id)}.")
        self._writers: set[FileWriter] = set()

    @property
    def path(self) -> Path:
        """The directory of this area."""
        return self._held.path

    def write(self, name: str) -> FileWriter:
        """A new file of this area. Raises InvalidName, or StoreError if the name is taken."""
        path = self._held.path / uid_or_slug(name)
        try:
            writer = FileWriter(path)
        except FileExistsError as error:
            raise StoreError(
                f"{name!r} is already in this staging area: give each file its own name."
            ) from error
        self._writers = {w for w in self._writers if w._open}
        self._writers.add(writer)
        return writer

    def discard(self) -> None:
        """Closes and removes whatever was not admitted."""
        for writer in self._writers:
            writer.close()
        self._writers = set()
        self._held.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
