"""Uploads waiting to be taken in: kept until their run is over, so that a crash loses none."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from albufera.ingest.model import TOO_MANY_FILES
from albufera.ingest.sources import Named

MAX_FILES = 100_000
_NAMES = "names.jsonl"


@dataclass
class Spool:
    """Where the files of one upload are written, one after the other, under numbers.

    Their names, which may identify a patient, are in one private list beside them.
    """

    directory: Path
    ingest_id: str
    project_id: str
    collection_id: str
    count: int = 0
    _file: BinaryIO | None = None
    _names: BinaryIO | None = None

    def begin(self, name: str) -> None:
        """Start a file. Raises `too-many-files`."""
        self.end()
        if self.count >= MAX_FILES:
            raise TOO_MANY_FILES(f"One request takes {MAX_FILES} files.")
        if self._names is None:
            self.directory.mkdir(mode=0o700, parents=True)
            self._names = _create(self.directory / _NAMES)
        self.count += 1
        self._file = _create(self.directory / f"{self.count:08d}")
        line = json.dumps({"name": name[:1000]})
        self._names.write(line.encode() + b"\n")

    def write(self, data: bytes) -> None:
        """Add to the file that was begun."""
        if self._file is not None:
            self._file.write(data)

    def end(self) -> None:
        """End the file that was begun."""
        if self._file is not None:
            _sync_and_close(self._file)
            self._file = None

    def seal(self) -> None:
        """Make all that was received durable."""
        self.end()
        if self._names is not None:
            _sync_and_close(self._names)
            self._names = None
            handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def discard(self) -> None:
        """Forget the upload."""
        for file in (self._file, self._names):
            if file is not None:
                with suppress(OSError):
                    file.close()
        self._file = self._names = None
        remove(self.directory)


def spooled(directory: Path) -> Iterator[Named]:
    """The files of an upload, in the order in which they came."""
    with (directory / _NAMES).open("rb") as names:
        for number, line in enumerate(names, 1):
            name = str(json.loads(line)["name"]) or "unnamed"
            yield Named(directory / f"{number:08d}", name, str(number))


def remove(directory: Path) -> None:
    """Remove an upload's files."""
    shutil.rmtree(directory, ignore_errors=True)


def _create(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _sync_and_close(file: BinaryIO) -> None:
    with file:
        file.flush()
        os.fsync(file.fileno())
