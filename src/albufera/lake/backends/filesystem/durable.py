"""What a file system needs to be told so that a change outlives a power cut."""

import ctypes
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from albufera.lake.ports import StoreFull

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def fsync_directory(path: Path) -> None:
    """Flushes the names in a directory (fsync of a file does not flush its name)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_directories(directories: Iterable[Path], root: Path) -> None:
    """Flushes each directory and its parents up to and including ``root``, each once.

    The parents too, always: another process may have just made them and not flushed them yet.
    """
    waiting: set[Path] = {root}
    for directory in directories:
        current = directory
        while current not in waiting:
            waiting.add(current)
            current = current.parent
    for directory in sorted(waiting, key=lambda path: len(path.parts), reverse=True):
        fsync_directory(directory)


def sync_file_system(path: Path) -> None:
    """Flushes the whole file system that holds ``path``, in one call.

    For a view of many thousand links: one ``syncfs`` is far cheaper than an fsync for each
    directory. Where the C library has none, ``sync`` does the same and more.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)


@contextmanager
def no_room_named(doing: str) -> Iterator[None]:
    """Turns "no space", "quota exceeded" and "file too large" into StoreFull."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise StoreFull(
            f"There is no room in the lake for {doing} ({error.strerror}). Nothing was admitted: "
            "free or add disk space, then send it again."
        ) from error
