"""The port of the lake: a Store of immutable instances, and the contract every backend keeps."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from albufera.lake.layout import InstanceKey, InvalidName

__all__ = [
    "Admission",
    "ContentConflict",
    "HashingWriter",
    "InstanceKey",
    "InstanceStat",
    "InvalidName",
    "NoSuchInstance",
    "PosixStore",
    "Staged",
    "Staging",
    "Store",
    "StoreError",
    "StoreFull",
]


class StoreError(Exception):
    """The store cannot do what was asked; the message says why and what to do."""


class StoreFull(StoreError):
    """No room (ENOSPC, EDQUOT, EFBIG). Nothing was admitted; what was staged is discarded."""


class NoSuchInstance(StoreError):
    """The lake holds no instance with this key."""

    def __init__(self, key: InstanceKey) -> None:
        super().__init__(f"The lake holds no instance {key.instance} in series {key.series}.")
        self.key = key


class ContentConflict(StoreError):
    """The key is taken by other bytes. The lake is immutable: the bytes it holds stay."""

    def __init__(self, key: InstanceKey, offered_sha256: str) -> None:
        super().__init__(
            f"Instance {key.instance} is already in the lake with other content. "
            "What the lake holds is never replaced; send the new version under a new SOP "
            "Instance UID."
        )
        self.key = key
        self.offered_sha256 = offered_sha256


class Admission(StrEnum):
    """What became of an instance that was offered to the lake."""

    ADMITTED = "admitted"
    ALREADY_THERE = "already-there"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Staged:
    """A sealed file of a staging area: its bytes are durable and will not change.

    Attributes:
        path: where the bytes wait (a backend's own business).
        sha256: lower-case hexadecimal SHA-256 of the bytes.
        size: bytes.
    """

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class InstanceStat:
    """Size in bytes, and when the instance was written (seconds since the epoch)."""

    size: int
    modified: float


class HashingWriter(Protocol):
    """An append-only binary file that hashes as the bytes pass.

    - ``write`` MUST pass the bytes on and keep no more than a fixed buffer of them.
    - ``sha256`` and ``size`` MUST be those of all bytes written so far.
    - ``seek`` MUST raise io.UnsupportedOperation: hashed bytes are not written again.
    - ``seal`` MUST make the bytes durable and read-only, and MUST be repeatable.
    - As a context manager it MUST seal at the end, and MUST discard on an exception.
    """

    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...
    def write(self, data: bytes | bytearray | memoryview, /) -> int: ...
    def tell(self) -> int: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def seal(self) -> Staged: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Staging(Protocol):
    """A private area for files not yet admitted; a context manager.

    - ``write`` MUST refuse (InvalidName) a name that is neither a UID nor a slug, and
      (StoreError) one already used in this area.
    - Leaving the context, with or without an exception, MUST remove whatever was not admitted.
    """

    def write(self, name: str) -> HashingWriter: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Store(Protocol):
    """Immutable instances, by key.

    The order that crash safety rests on: seal, admit, and only then write the database row. A
    file without a row is an *orphan*: harmless, and adopted when the same bytes come again. A row
    without a file must never be.
    """

    def stage(self, project_id: str) -> Staging:
        """A new staging area. MUST be isolated from every other one."""
        ...

    def admit(self, staged: Staged, key: InstanceKey) -> Admission:
        """Moves a staged file to its final place.

        - MUST be atomic: at any instant the key has all of the bytes or is absent.
        - MUST be durable when it returns, for ``ALREADY_THERE`` too.
        - MUST NOT replace: the same bytes give ``ALREADY_THERE``; others raise ContentConflict
          and change nothing. Of concurrent admissions of one key exactly one is ``ADMITTED``.
        - The instance MUST be read-only (0444 on POSIX).
        """
        ...

    def admit_all(self, items: Iterable[tuple[Staged, InstanceKey]]) -> list[Admission]:
        """Admits many, in order, flushing each directory once; a conflict is an answer.

        MUST keep the contract of ``admit`` for each, except that a conflict is reported as
        ``CONFLICT`` and holds back none of the others.
        """
        ...

    def open(self, key: InstanceKey) -> BinaryIO:
        """The bytes, seekable. MUST raise NoSuchInstance when absent; MUST follow no symlink."""
        ...

    def stat(self, key: InstanceKey) -> InstanceStat | None:
        """Size and time, or None when the lake holds no such instance."""
        ...

    def remove(self, key: InstanceKey) -> bool:
        """Removes an instance durably (a withdrawal). False when there was none.

        Views that link the instance keep its bytes: the caller MUST drop those views too.
        """
        ...

    def link_view(
        self,
        target: Path,
        entries: Iterable[tuple[InstanceKey, str]],
        documents: Mapping[str, Path] | None = None,
    ) -> Path:
        """Builds a read-only directory of exactly these instances, and returns it.

        - MUST appear at ``target`` complete or not at all, also after a crash.
        - MUST return an existing view as it is, without consuming ``entries``.
        - MUST refuse (InvalidName) paths that leave the view or are given twice, and raise
          NoSuchInstance for an absent key; then nothing stays behind.
        - MUST consume ``entries`` one by one: an exception from it cancels the view.
        - Directories MUST be 0555 and files 0444; instances are hard links where possible.

        Args:
            target: the directory to make; its parent must exist.
            entries: key and ``/``-separated path relative to the view.
            documents: small files to copy in beside them: path in the view to source file.
        """
        ...

    def drop_view(self, target: Path) -> bool:
        """Removes a view, and what a crashed builder left beside it. False when there was none."""
        ...

    def sweep(self, older_than_seconds: float) -> int:
        """Removes staging areas that no living process holds; returns how many."""
        ...


class PosixStore(Store, Protocol):
    """A Store whose instances are files."""

    def path(self, key: InstanceKey) -> Path:
        """Where the instance is, or would be. Never hand it to a job: jobs see views."""
        ...
