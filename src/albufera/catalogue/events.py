"""What the catalogue announces: identifiers, digests and counts."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class DatasetCreated(Event):
    """A draft was asked for.

    With `previous_id` it is a new version of that dataset.
    """

    verb: ClassVar[str] = "dataset.created"
    dataset_id: str
    version: int
    previous_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetBuilt(Event):
    """A draft is complete: its manifest is written."""

    verb: ClassVar[str] = "dataset.built"
    dataset_id: str
    root: str
    manifest_sha256: str
    series: int
    images: int


@dataclass(frozen=True, kw_only=True)
class DatasetFailed(Event):
    """A draft could not be made."""

    verb: ClassVar[str] = "dataset.failed"
    dataset_id: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class DatasetCancelled(Event):
    """A draft was given up."""

    verb: ClassVar[str] = "dataset.cancelled"
    dataset_id: str


@dataclass(frozen=True, kw_only=True)
class DatasetRetried(Event):
    """A failed or cancelled draft is made again."""

    verb: ClassVar[str] = "dataset.retried"
    dataset_id: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class DatasetEdited(Event):
    """The properties of a draft were changed; the digest is of what they are now."""

    verb: ClassVar[str] = "dataset.edited"
    dataset_id: str
    properties_sha256: str


@dataclass(frozen=True, kw_only=True)
class DatasetReleased(Event):
    """A dataset became immutable."""

    verb: ClassVar[str] = "dataset.released"
    dataset_id: str
    root: str
    manifest_sha256: str
    properties_sha256: str


@dataclass(frozen=True, kw_only=True)
class DatasetPublished(Event):
    """A dataset's metadata are for everybody."""

    verb: ClassVar[str] = "dataset.published"
    dataset_id: str
    root: str


@dataclass(frozen=True, kw_only=True)
class DatasetInvalidated(Event):
    """A dataset is not to be used any more."""

    verb: ClassVar[str] = "dataset.invalidated"
    dataset_id: str
    reason_sha256: str


@dataclass(frozen=True, kw_only=True)
class DatasetIdentified(Event):
    """A dataset was given a persistent identifier."""

    verb: ClassVar[str] = "dataset.identified"
    dataset_id: str
    pid: str


@dataclass(frozen=True, kw_only=True)
class DatasetVerified(Event):
    """Every byte of a dataset was read again.

    `root` is the root of what was read.
    """

    verb: ClassVar[str] = "dataset.verified"
    dataset_id: str
    outcome: str
    root: str
    files: int
    corrupt: int
    missing: int
    extra: int
    requested_by: str
