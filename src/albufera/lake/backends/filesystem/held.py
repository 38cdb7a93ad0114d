"""Temporary directories that a living process holds, so that the leavings of dead ones show.

Beside each directory ``X`` is a lock file ``X.lock``, made before it and removed after it. The
kernel lets go of a lock when its process dies however it dies, so whoever can take the lock knows
that nobody is at work there. (A lock file, not the directory itself: NFS locks no directory.)
"""

import fcntl
import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

_LOCK = ".lock"


class HeldDirectory:
    """A new, private (0700) directory ``<parent>/<prefix><random>``, held until released."""

    def __init__(self, parent: Path, prefix: str) -> None:
        while True:
            self.path = parent / f"{prefix}{secrets.token_hex(8)}"
            descriptor = _take(_lock_of(self.path), os.O_CREAT | os.O_EXCL)
            if descriptor is not None:
                break
        self._descriptor = descriptor
        self._open = True
        try:
            self.path.mkdir(mode=0o700)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Removes what is left of the directory (nothing, if it was renamed), then the lock."""
        if self._open:
            self._open = False
            _clear(self.path, self._descriptor)


def reclaim(parent: Path, prefix: str, older_than_seconds: float) -> int:
    """Removes the directories with this prefix that nobody holds; returns how many."""
    removed = 0
    horizon = time.time() - older_than_seconds
    with os.scandir(parent) as entries:
        locks = [e.path for e in entries if e.name.startswith(prefix) and e.name.endswith(_LOCK)]
    for lock in locks:
        try:
            young = Path(lock).stat().st_mtime > horizon
        except FileNotFoundError:
            continue
        descriptor = None if young else _take(Path(lock), 0)
        if descriptor is not None:
            _clear(Path(lock.removesuffix(_LOCK)), descriptor)
            removed += 1
    return removed


def remove_tree(path: Path) -> None:
    """Removes a tree whose directories may be read-only. Follows no symlink."""
    for parent, directories, _ in os.walk(path):
        Path(parent).chmod(0o700)
        for name in directories:
            if not (Path(parent) / name).is_symlink():
                (Path(parent) / name).chmod(0o700)
    for parent, directories, files in os.walk(path, topdown=False):
        for name in files:
            (Path(parent) / name).unlink()
        for name in directories:
            child = Path(parent) / name
            child.unlink() if child.is_symlink() else child.rmdir()
    path.rmdir()


def _lock_of(directory: Path) -> Path:
    return directory.with_name(directory.name + _LOCK)


def _take(lock: Path, how: int) -> int | None:
    """The descriptor of the lock if it is ours now; None if held, gone or swept meanwhile."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | how, 0o600)
    except (FileNotFoundError, FileExistsError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = os.fstat(descriptor)
        there = lock.lstat()
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        return None
    if (mine.st_dev, mine.st_ino) != (there.st_dev, there.st_ino):
        os.close(descriptor)
        return None
    return descriptor


def _clear(directory: Path, descriptor: int) -> None:
    try:
        if directory.exists() and stat.S_ISDIR(directory.lstat().st_mode):
            remove_tree(directory)
        with suppress(FileNotFoundError):
            _lock_of(directory).unlink()
    finally:
        os.close(descriptor)
