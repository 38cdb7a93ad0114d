"""Finding the files behind what was named: single files, folders walked in order, ZIPs."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from albufera.ingest.archives import looks_like_zip, members
from albufera.ingest.found import Found, Refused, SourceFile, display
from albufera.ingest.model import Limits

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_CODES = {
    errno.EACCES: "no-permission",
    errno.EPERM: "no-permission",
    errno.ELOOP: "symlink",
    errno.ENOENT: "vanished",
    errno.ENXIO: "special-file",
}


@dataclass(frozen=True)
class Named:
    """Something to take in: a path on the node, and the name under which people know it."""

    path: Path
    name: str = field(repr=False)
    identity: str = field(default="", repr=False)
    """What tells it apart from others of the same name in its run."""


def discover(named: Iterable[Named], limits: Limits) -> Iterator[Found]:
    """Every file behind what was named, in an order that is the same each time.

    Symbolic links are followed only where the link itself was named; nothing is opened but
    regular files; a ZIP (by content) gives its members, unless it is DICOM as well.
    """
    for item in named:
        for found in _behind(item, limits):
            yield replace(found, identity=f"{item.identity}\0{found.identity}")


def _behind(item: Named, limits: Limits) -> Iterator[Found]:
    try:
        path = item.path.resolve(strict=True)
    except (OSError, RuntimeError) as failure:
        code = code_of(failure) if isinstance(failure, OSError) else "symlink"
        yield Refused(display(item.name), item.name, code)
        return
    if path.is_dir():
        yield from _folder(path, item.name, limits)
    else:
        yield from _file(path, item.name, limits)


def code_of(failure: OSError) -> str:
    """The reason code for a file that cannot be read."""
    return _CODES.get(failure.errno or 0, "unreadable")


def _folder(top: Path, name: str, limits: Limits) -> Iterator[Found]:
    waiting = [(top, name)]
    while waiting:
        folder, shown = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as failure:
            yield Refused(display(shown), shown, code_of(failure))
            continue
        folders = []
        for entry in ordered:
            inside = f"{shown}/{entry.name}"
            if entry.is_symlink():
                yield Refused(display(inside), inside, "symlink")
            elif entry.is_dir(follow_symlinks=False):
                folders.append((Path(entry.path), inside))
            else:
                yield from _file(Path(entry.path), inside, limits)
        waiting.extend(reversed(folders))


def _file(path: Path, name: str, limits: Limits) -> Iterator[Found]:
    shown = display(name)
    try:
        size, head = _look(path)
    except OSError as failure:
        yield Refused(shown, name, code_of(failure))
        return
    if size is None:
        yield Refused(shown, name, "special-file")
    elif looks_like_zip(head):
        yield from members(_opener(path), size, name, limits)
    elif size > limits.object_bytes:
        yield Refused(shown, name, "too-large", size)
    else:
        yield SourceFile(shown, name, size, _opener(path))


def _look(path: Path) -> tuple[int | None, bytes]:
    """Size and first bytes of a regular file; no size for what is not one."""
    with _opener(path)() as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None, b""
        return status.st_size, file.read(132)


def _opener(path: Path) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        descriptor = os.open(path, _FLAGS)
        try:
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise

    return opened


def key_of(identity: str) -> str:
    """What an item is told apart by within its run (not a secret: the key of a row)."""
    return hashlib.sha256(os.fsencode(identity)).hexdigest()
