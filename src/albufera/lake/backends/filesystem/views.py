"""Views: read-only directories of hard links, made beside their place and renamed into it."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from albufera.kernel.crashes import crash_point
from albufera.lake.backends.filesystem.durable import (
    fsync_directory,
    no_room_named,
    sync_file_system,
)
from albufera.lake.backends.filesystem.held import HeldDirectory, reclaim, remove_tree
from albufera.lake.layout import InvalidName, inside
from albufera.lake.ports import StoreError

VIEW_MODE = 0o555
FILE_MODE = 0o444
_COPY_INSTEAD = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP})
_EXISTS = frozenset({errno.EEXIST, errno.ENOTEMPTY})


class AbsentSource(Exception):
    """The file that an entry names is not there."""


def build_view(
    target: Path,
    entries: Iterable[tuple[Path, str]],
    documents: Mapping[str, Path],
) -> Path:
    """Builds the view at ``target``, or returns the one that is there.

    Args:
        target: where the view shall appear; its parent exists.
        entries: file to link and its path in the view; consumed one by one.
        documents: path in the view and file to copy.
    """
    _refuse_occupied(target)
    if target.is_dir():
        return target
    prefix = _building_prefix(target)
    reclaim(target.parent, prefix, 0)
    with no_room_named("a view"):
        held = HeldDirectory(target.parent, prefix)
        try:
            _fill(held.path, entries, documents)
            _freeze(held.path)
            sync_file_system(held.path)
            crash_point("lake.view.built")
            _put_in_place(held.path, target)
            crash_point("lake.view.renamed")
        finally:
            held.release()
    return target


def drop_view(target: Path) -> bool:
    """Removes the view: first out of sight by a rename, then file by file."""
    _refuse_occupied(target)
    prefix = _building_prefix(target)
    reclaim(target.parent, prefix, 0)
    if not target.is_dir():
        return False
    held = HeldDirectory(target.parent, prefix)
    try:
        with suppress(FileNotFoundError):
            target.chmod(0o700)  # a directory that moves to another parent must be writable
            target.rename(held.path / "dropped")
    finally:
        held.release()
    return True


def _building_prefix(target: Path) -> str:
    return f".{target.name}.building-"


def _refuse_occupied(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise StoreError(
            f"{target} is not a directory, so it cannot be a view: remove it, or name another."
        )


def _fill(
    building: Path, entries: Iterable[tuple[Path, str]], documents: Mapping[str, Path]
) -> None:
    parent = building
    for source, relative in entries:
        place = building / inside(relative)
        with _entry_faults_named(relative):
            if place.parent != parent:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                parent = place.parent
            _link(source, place)
        crash_point("lake.view.linked")
    for relative, source in documents.items():
        place = building / inside(relative)
        with _entry_faults_named(relative):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy_document(source, place)


@contextmanager
def _entry_faults_named(relative: str) -> Iterator[None]:
    """Says which path of the view is at fault: given twice, or below another file."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidName(
            f"{relative!r} is given twice in one view, or lies below a file of it: "
            "give each file its own path."
        ) from error


def _link(source: Path, place: Path) -> None:
    try:
        if not stat.S_ISREG(source.lstat().st_mode):
            raise StoreError(
                f"{source.name} in the lake is not a regular file, so somebody tampered with the "
                "lake: compare it with a backup before going on."
            )
        os.link(source, place, follow_symlinks=False)
    except FileNotFoundError as error:
        raise AbsentSource from error
    except OSError as error:
        if error.errno not in _COPY_INSTEAD:
            raise
        _copy(source, place)


def _copy_document(source: Path, place: Path) -> None:
    try:
        _copy(source, place)
    except FileNotFoundError as error:
        raise StoreError(
            f"The document {source.name} of the view is not there: write it first."
        ) from error


def _copy(source: Path, place: Path) -> None:
    origin = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(origin, "rb") as reader, place.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1024 * 1024)
        os.fchmod(writer.fileno(), FILE_MODE)


def _freeze(building: Path) -> None:
    for parent, _, _ in os.walk(building, topdown=False):
        Path(parent).chmod(VIEW_MODE)


def _put_in_place(building: Path, target: Path) -> None:
    try:
        building.rename(target)
    except OSError as error:
        if error.errno not in _EXISTS:
            raise
        remove_tree(building)  # another builder was first; its view is complete
    fsync_directory(target.parent)
