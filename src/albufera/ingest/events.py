"""What happens to ingests: counts and identifiers, never a name."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class IngestSubmitted(Event):
    """Somebody asked for files to be taken in."""

    verb: ClassVar[str] = "ingest.submitted"
    ingest_id: str
    collection_id: str


@dataclass(frozen=True, kw_only=True)
class IngestFinished(Event):
    """Every file of a run has ended in a stated state."""

    verb: ClassVar[str] = "ingest.finished"
    ingest_id: str
    admitted: int
    duplicate: int
    quarantined: int
    refused: int


@dataclass(frozen=True, kw_only=True)
class IngestFailed(Event):
    """A run stopped for a reason of its surroundings; it can be taken up again."""

    verb: ClassVar[str] = "ingest.failed"
    ingest_id: str


@dataclass(frozen=True, kw_only=True)
class IngestCancelled(Event):
    """Somebody stopped a run; what was admitted stays."""

    verb: ClassVar[str] = "ingest.cancelled"
    ingest_id: str


@dataclass(frozen=True, kw_only=True)
class IngestResumed(Event):
    """Somebody asked for a failed run to go on."""

    verb: ClassVar[str] = "ingest.resumed"
    ingest_id: str
