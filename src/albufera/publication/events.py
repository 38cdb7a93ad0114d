"""What publication announces: identifiers and digests."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class IdentifierRegistered(Event):
    """A dataset's persistent identifier resolves; the digest is of the metadata registered."""

    verb: ClassVar[str] = "publication.identifier-registered"
    dataset_id: str
    identifier: str
    version: int
    root: str
    metadata_sha256: str


@dataclass(frozen=True, kw_only=True)
class IdentifierUpdated(Event):
    """The metadata registered with an identifier changed, as when a newer version came."""

    verb: ClassVar[str] = "publication.identifier-updated"
    dataset_id: str
    identifier: str
    metadata_sha256: str


@dataclass(frozen=True, kw_only=True)
class IdentifierTombstoned(Event):
    """An identifier leads to a tombstone from now on."""

    verb: ClassVar[str] = "publication.identifier-tombstoned"
    dataset_id: str
    identifier: str
