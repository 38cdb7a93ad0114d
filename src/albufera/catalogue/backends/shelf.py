"""Manifests as files: `<root>/<dataset>/<sha256>.json`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from albufera.kernel.clock import random_token

_WRITING = ".writing-"


class FileDraft:
    """A manifest being written to a temporary file beside its place."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path

    def write(self, data: bytes) -> None:
        """Take some more bytes."""
        self._file.write(data)

    def keep(self, sha256: str) -> None:
        """Flush to the disk, then rename into place and flush the directory."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.chmod(0o440)
        self._path.rename(self._path.with_name(f"{sha256}.json"))
        _fsync_directory(self._path.parent)


class FileShelf:
    """The shelf of a node on one file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def draft(self, dataset_id: str) -> Iterator[FileDraft]:
        """Begin a manifest; what is not kept is removed."""
        folder = self.root / dataset_id
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        path = folder / f"{_WRITING}{random_token(8)}"
        try:
            with path.open("xb") as file:
                yield FileDraft(file, path)
        finally:
            path.unlink(missing_ok=True)

    def open(self, dataset_id: str, sha256: str) -> BinaryIO:
        """Open a kept manifest."""
        return (self.root / dataset_id / f"{sha256}.json").open("rb")

    def discard(self, dataset_id: str, but: str = "") -> None:
        """Remove a dataset's manifests and half-written ones, except the digest `but`."""
        folder = self.root / dataset_id
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            if path.name != f"{but}.json":
                path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: something was kept
            folder.rmdir()


def _fsync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
