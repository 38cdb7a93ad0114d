"""Ingests (runs) and their items (files), and the rules of their lives."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from albufera.kernel.errors import define
from albufera.kernel.transitions import Transitions


class IngestState(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


INGEST_LIFE = Transitions(
    "ingest",
    {
        (IngestState.QUEUED, "start"): IngestState.RUNNING,
        (IngestState.QUEUED, "cancel"): IngestState.CANCELLED,
        (IngestState.QUEUED, "fail"): IngestState.FAILED,
        (IngestState.RUNNING, "start"): IngestState.RUNNING,
        (IngestState.RUNNING, "finish"): IngestState.FINISHED,
        (IngestState.RUNNING, "fail"): IngestState.FAILED,
        (IngestState.RUNNING, "cancel"): IngestState.CANCELLED,
        (IngestState.FAILED, "resume"): IngestState.QUEUED,
    },
)
"""A run that is started while it runs is taken up again after its process died."""

OVER = frozenset({IngestState.FINISHED, IngestState.FAILED, IngestState.CANCELLED})


class ItemState(StrEnum):
    """How a file ended. `RECEIVED` is the state of a file in hand; it is never written down."""

    RECEIVED = "received"
    ADMITTED = "admitted"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


ITEM_LIFE = Transitions(
    "file",
    {
        (ItemState.RECEIVED, "admit"): ItemState.ADMITTED,
        (ItemState.RECEIVED, "recognise"): ItemState.DUPLICATE,
        (ItemState.RECEIVED, "hold"): ItemState.QUARANTINED,
        (ItemState.RECEIVED, "refuse"): ItemState.REFUSED,
    },
)

TERMINAL = (
    ItemState.ADMITTED,
    ItemState.DUPLICATE,
    ItemState.QUARANTINED,
    ItemState.REFUSED,
)


class Origin(StrEnum):
    """How files came."""

    FILES = "files"
    UPLOAD = "upload"


INGEST_NOT_FOUND = define(
    "ingest-not-found",
    404,
    "There is no such ingest, or none that you may know of.",
    "`albufera ingest report --project P` lists the ingests of a project.",
)
NOTHING_TO_INGEST = define(
    "nothing-to-ingest",
    422,
    "There is nothing to take in.",
    "Name at least one file, folder or ZIP.",
)
NO_SUCH_PATH = define(
    "no-such-path", 422, "There is no file or folder of that name.", "Check the path."
)
TOO_MANY_FILES = define(
    "too-many-files",
    413,
    "More files were sent than the node takes in one request.",
    "Put them into a ZIP, send them in several requests, or use the command line.",
)
INGEST_FAILED = define(
    "ingest-failed",
    503,
    "The ingest stopped before its end. What was admitted stays, and nothing is half-admitted.",
    "Mend what the message names, then run the same command again, or resume the ingest.",
)
INGEST_CANCELLED = define(
    "ingest-cancelled",
    409,
    "The ingest was cancelled. What was admitted stays.",
    "Run the same command again to take in the rest.",
)
NOT_RESUMABLE = define(
    "not-resumable",
    409,
    "The files of this ingest are not kept on the node.",
    "Run the same command again: what is taken in already is recognised.",
)

REASONS = {
    "same-source": "The same file was taken in before; nothing was changed.",
    "same-object": "The same object was taken in before; nothing was changed.",
    "different-content": "An object of the same SOP Instance UID with other content is in the "
    "lake, and what the lake holds is never replaced. Compare the two at the source; send a new "
    "version under a new SOP Instance UID.",
    "different-study": "Its series is in the lake as part of another study. One of the two "
    "carries wrong UIDs: correct them at the source and send it again.",
    "different-subject": "Its study is in the lake as another subject's. One of the two carries "
    "a wrong Patient ID: correct it at the source and send it again.",
    "not-dicom": "This is not a DICOM file. Nothing needs to be done unless it was expected to be "
    "an image.",
    "too-large": "The file is larger than the node takes. Ask the operator to raise the limit if "
    "such objects are needed.",
    "symlink": "Symbolic links are not followed: they could lead anywhere. Name the folder it "
    "points to instead.",
    "special-file": "This is a device, socket or pipe, not a file. Nothing needs to be done.",
    "no-permission": "The node may not read this. Give its account the right to, then run the "
    "same command again.",
    "unreadable": "The file could not be read from its medium. Check the medium, then run the "
    "same command again.",
    "vanished": "The file was removed while the ingest ran.",
    "unsafe-name": "The archive gives this member a name that leads outside of it. Make the "
    "archive anew from its folder.",
    "encrypted": "This member of the archive is encrypted. Send the archive without a password.",
    "nested-archive": "An archive inside an archive is not opened. Unpack it and send its content.",
    "archive-damaged": "The archive, or this member of it, is damaged. Make it anew and send it "
    "again.",
    "archive-method": "This member is compressed by a method that the node does not take. Make "
    "the archive anew with the usual method (deflate).",
    "archive-bomb": "It would unpack to a size out of all proportion to its own. Send the files "
    "themselves if they are wanted.",
    "archive-too-large": "The archive would unpack to more than the node takes at once. Send it "
    "in parts.",
    "archive-too-many": "The archive has more members than the node takes at once. Send it in "
    "parts.",
    "unexpected": "The object could not be read through, for a reason the node did not expect. "
    "The original is kept for the operator to look at.",
}
"""Why a file ended as it did, beside the reasons of the de-identification engine."""


@dataclass(frozen=True)
class Limits:
    """What one run takes: sizes in bytes, `archive_ratio` unpacked to packed."""

    object_bytes: int
    archive_bytes: int
    archive_ratio: int
    archive_members: int


@dataclass(frozen=True)
class Ingest:
    """A run."""

    ingest_id: str
    project_id: str
    collection_id: str
    submitted_by: str
    username: str
    origin: Origin
    state: IngestState
    note: str
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    counts: dict[ItemState, int] = field(default_factory=dict)
    """Number of files by terminal state; every terminal state is there."""

    @property
    def total(self) -> int:
        """Files that have ended."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Item:
    """A file of a run and how it ended. `path` may hold a name: see `visible_path`."""

    ingest_id: str
    ordinal: int
    path: str
    state: ItemState
    code: str
    reason: str
    size: int
    series_id: str | None
    instance_uid: str | None
    source_digest: str
    at: datetime


@dataclass(frozen=True)
class ReasonCount:
    """How many files of a run ended in a state for a reason."""

    state: ItemState
    code: str
    reason: str
    count: int
