"""The Store on a POSIX file system, laid out as ADR 005 says."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from albufera.kernel.crashes import crash_point
from albufera.lake.backends.filesystem import views
from albufera.lake.backends.filesystem.durable import (
    fsync_directories,
    fsync_directory,
    no_room_named,
)
from albufera.lake.backends.filesystem.held import reclaim
from albufera.lake.backends.filesystem.staging import DirectoryStaging
from albufera.lake.layout import InstanceKey, instance_path
from albufera.lake.ports import (
    Admission,
    ContentConflict,
    InstanceStat,
    NoSuchInstance,
    Staged,
    StoreError,
)

_DIRECTORY_MODE = 0o750
_PLACING_ATTEMPTS = 16
_READ_BYTES = 1024 * 1024


class FileSystemStore:
    """Instances as files ``<root>/series/<project>/<shard>/<series>/<instance>.dcm``, mode 0444.

    Staging is in ``<root>/staging``: it must be the same file system, because admission is a
    hard link. Safe for many processes on one root.
    """

    def __init__(self, root: Path) -> None:
        self._series = root / "series"
        self._staging = root / "staging"
        for directory in (self._series, self._staging):
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        fsync_directory(root)

    def stage(self, project_id: str) -> DirectoryStaging:
        """A new staging area, held by this process until its context ends."""
        return DirectoryStaging(self._staging, project_id)

    def admit(self, staged: Staged, key: InstanceKey) -> Admission:
        """Moves one staged file to its place; raises ContentConflict."""
        outcome = self.admit_all([(staged, key)])[0]
        if outcome is Admission.CONFLICT:
            raise ContentConflict(key, staged.sha256)
        return outcome

    def admit_all(self, items: Iterable[tuple[Staged, InstanceKey]]) -> list[Admission]:
        """Links all, then flushes each directory once, then forgets the staged names."""
        pairs = list(items)
        outcomes = [self._place(staged, self.path(key)) for staged, key in pairs]
        crash_point("lake.renamed")
        with no_room_named("the names of the admitted files"):
            fsync_directories((self.path(key).parent for _, key in pairs), self._series)
        for (staged, _), outcome in zip(pairs, outcomes, strict=True):
            if outcome is not Admission.CONFLICT:
                staged.path.unlink(missing_ok=True)
        crash_point("lake.admitted")
        return outcomes

    def open(self, key: InstanceKey) -> BinaryIO:
        """The file, read-only; raises NoSuchInstance."""
        try:
            return os.fdopen(_open_for_reading(self.path(key)), "rb")
        except FileNotFoundError as error:
            raise NoSuchInstance(key) from error

    def stat(self, key: InstanceKey) -> InstanceStat | None:
        """Size and time of writing, or None."""
        try:
            found = self.path(key).lstat()
        except FileNotFoundError:
            return None
        return InstanceStat(found.st_size, found.st_mtime)

    def path(self, key: InstanceKey) -> Path:
        """Where the instance is, or would be."""
        return self._series / instance_path(key)

    def remove(self, key: InstanceKey) -> bool:
        """Unlinks the file, and the directories that this leaves empty."""
        path = self.path(key)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        fsync_directory(path.parent)
        with suppress(OSError):  # not empty, or already gone
            for directory in (path.parent, path.parent.parent):
                directory.rmdir()
                fsync_directory(directory.parent)
        return True

    def link_view(
        self,
        target: Path,
        entries: Iterable[tuple[InstanceKey, str]],
        documents: Mapping[str, Path] | None = None,
    ) -> Path:
        """Builds a view of hard links (copies where the target is another device)."""
        current: list[InstanceKey] = []

        def sources() -> Iterator[tuple[Path, str]]:
            for key, relative in entries:
                current[:] = [key]
                yield self.path(key), relative

        try:
            return views.build_view(target, sources(), documents or {})
        except views.AbsentSource as error:
            raise NoSuchInstance(current[0]) from error

    def drop_view(self, target: Path) -> bool:
        """Removes a view and any half-built one beside it."""
        return views.drop_view(target)

    def sweep(self, older_than_seconds: float) -> int:
        """Removes staging areas of processes that died, if older than this."""
        return reclaim(self._staging, "", older_than_seconds)

    def _place(self, staged: Staged, final: Path) -> Admission:
        with no_room_named("the admitted file"):
            for _ in range(_PLACING_ATTEMPTS):
                try:
                    final.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
                    return _link_or_compare(staged, final)
                except FileNotFoundError:
                    # A concurrent removal took the file, or the directory that it left empty.
                    if not staged.path.exists():
                        break
        raise StoreError(
            "A staged file vanished, or its series is being withdrawn, while it was admitted: "
            "send it again."
        )


def _link_or_compare(staged: Staged, final: Path) -> Admission:
    try:
        os.link(staged.path, final, follow_symlinks=False)
    except FileExistsError:
        return Admission.ALREADY_THERE if _holds(final, staged) else Admission.CONFLICT
    return Admission.ADMITTED


def _open_for_reading(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _holds(path: Path, staged: Staged) -> bool:
    """Whether the file has these bytes, read again: an orphan has no row to ask."""
    with os.fdopen(_open_for_reading(path), "rb") as file:
        if os.fstat(file.fileno()).st_size != staged.size:
            return False
        digest = hashlib.sha256()
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == staged.sha256
