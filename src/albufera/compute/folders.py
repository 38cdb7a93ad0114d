"""Looking into folders that a job filled: names, links and depths there are the job's to choose.

Everything goes by descriptors, folder by folder, and never through a symbolic link, so nothing
that a job left leads out of its own outputs. Memory is bounded whatever the number of files.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from albufera.compute.model import Output, is_readable_path, shown_path
from albufera.kernel.errors import INVALID, NOT_FOUND

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
MAX_DEPTH = 32
MAX_LOOKED_AT = 100_000
_AT_ONCE = 1000


@dataclass
class Listing:
    """How many entries may still be looked at, and whether something was left out."""

    left: int = MAX_LOOKED_AT
    cut: bool = False


def list_files(root: Path, start: str = "", *, listing: Listing | None = None) -> Iterator[Output]:
    """Yield the regular files below `root/start` by path, never following a symbolic link.

    Folders deeper than 32 and entries beyond the hundred thousandth are left out; `listing` tells.
    """
    try:
        folder = open_inside(root, start, _FOLDER) if start else os.open(root, _FOLDER)
    except OSError:
        return
    try:
        yield from _walk(folder, start, listing or Listing(), 0)
    finally:
        os.close(folder)


def _walk(folder: int, prefix: str, listing: Listing, depth: int) -> Iterator[Output]:
    for name in _names(folder, listing):
        path = f"{prefix}/{name}" if prefix else name
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield Output(shown_path(path), status.st_size, is_readable_path(path))
        elif stat.S_ISDIR(status.st_mode):
            yield from _walk_into(folder, name, path, listing, depth + 1)


def _walk_into(folder: int, name: str, path: str, listing: Listing, depth: int) -> Iterator[Output]:
    try:
        inner = os.open(name, _FOLDER, dir_fd=folder) if depth <= MAX_DEPTH else None
    except OSError:
        inner = None
    if inner is None:
        listing.cut = True
        return
    try:
        yield from _walk(inner, path, listing, depth)
    finally:
        os.close(inner)


def _names(folder: int, listing: Listing) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in islice(entries, listing.left)]
        listing.left -= len(names)
        listing.cut = listing.cut or next(entries, None) is not None
    return sorted(names)


def open_inside(root: Path, relative: str, flags: int = _FILE) -> int:
    """Open a path below `root` without following a symbolic link in any of its parts.

    Raises OSError, and `invalid-input` for a path that is absolute, climbs, or is not readable.
    """
    parts = PurePosixPath(relative).parts
    if not parts or parts[0] == "/" or ".." in parts or not is_readable_path(relative):
        raise INVALID(
            f"“{shown_path(relative[:80])}” is not a path inside the outputs.", field="paths"
        )
    folder = os.open(root, _FOLDER)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)


def open_file(root: Path, relative: str) -> int:
    """Open a regular file below `root`; raise `not-found` for anything else."""
    try:
        descriptor = open_inside(root, relative)
    except OSError as failure:
        raise NOT_FOUND(f"There is no file “{relative[:80]}” among the outputs.") from failure
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NOT_FOUND(f"“{relative[:80]}” is not an ordinary file.")
    return descriptor


def write_file(path: Path, content: bytes) -> None:
    """Write a new file that its owner may also execute, and see it on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def remove_tree(root: Path) -> None:
    """Remove a folder with all that is in it, however deep, closed or oddly named it is.

    Folders found inside are moved up, to lie beside each other in `root`, before they are emptied:
    no path grows with the depth. Nothing may write there meanwhile.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        top = _open_own(str(root))
        try:
            while names := _some_names(top):
                for name in names:
                    _remove_entry(top, name)
        finally:
            os.close(top)
        root.rmdir()


def _remove_entry(top: int, name: str) -> None:
    """Remove one entry of `top`, having moved the folders inside it up."""
    if not _is_folder(top, name):
        os.unlink(name, dir_fd=top)
        return
    folder = _open_own(name, top)
    try:
        while names := _some_names(folder):
            for inner in names:
                if _is_folder(folder, inner):
                    _move_up(folder, inner, top)
                else:
                    os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _move_up(folder: int, name: str, top: int) -> None:
    """Move a folder into `top` under a name of 128 random bits: the job cannot have taken it."""
    os.close(_open_own(name, folder))  # a folder that we may not write cannot be moved
    os.rename(name, os.urandom(16).hex(), src_dir_fd=folder, dst_dir_fd=top)


def _is_folder(folder: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _open_own(name: str, folder: int | None = None) -> int:
    """Open a folder of ours for emptying, even when the job took its permissions away.

    Its mode is changed through a descriptor, which names the folder and nothing that may come to
    lie in its place. Raises NotADirectoryError for a symbolic link, too.
    """
    named = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        itself = Path(f"/proc/self/fd/{named}")
        itself.chmod(0o700)
        return os.open(itself, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(named)


def _some_names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, _AT_ONCE)]
