"""Egress requests, their life, and what is said about the files that would leave."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from albufera.kernel.errors import define
from albufera.kernel.transitions import Transitions

MAX_FILES = 200
MAX_PATHS = 200
MAX_PENDING = 20
"""Requests of one person that may wait for review: each holds a frozen copy."""


class EgressState(StrEnum):
    """Where an egress request is."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


EGRESS_LIFE = Transitions(
    "egress request",
    {
        (EgressState.PENDING, "approve"): EgressState.APPROVED,
        (EgressState.PENDING, "reject"): EgressState.REJECTED,
    },
)


class Severity(StrEnum):
    """`warning` asks for a second look, `alarm` for a very good reason."""

    WARNING = "warning"
    ALARM = "alarm"


@dataclass(frozen=True)
class Finding:
    """What was noticed in a file: what, and what to do about it."""

    code: str
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class EgressFile:
    """A frozen file: its path in the outputs, size in bytes, SHA-256, kind and findings."""

    path: str
    size: int
    sha256: str
    kind: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class EgressRequest:
    """A request that files of a job leave."""

    request_id: str
    project_id: str
    job_id: str
    owner_id: str
    owner: str
    purpose: str
    state: EgressState
    reason: str
    files: tuple[EgressFile, ...]
    requested_at: datetime
    reviewed_at: datetime | None
    reviewer: str

    @property
    def size(self) -> int:
        """The size of all files, in bytes."""
        return sum(file.size for file in self.files)

    @property
    def alarms(self) -> int:
        """The number of findings that are alarms."""
        return sum(f.severity is Severity.ALARM for file in self.files for f in file.findings)


EGRESS_NOT_FOUND = define(
    "egress-not-found",
    404,
    "There is no such egress request, or none that you may know of.",
    "`albufera egress list` shows the requests that you may see.",
)
JOB_NOT_OVER = define(
    "job-not-over",
    409,
    "The job still runs, so its outputs may still change.",
    "Wait until it has ended (`albufera job wait`), then ask again.",
)
EGRESS_TOO_LARGE = define(
    "egress-too-large",
    413,
    "That is more than one request may carry out.",
    "Ask for fewer or smaller files: results, not data.",
)
NOTHING_TO_LEAVE = define(
    "nothing-to-leave",
    422,
    "None of the named paths is a file among the job's outputs.",
    "`albufera job show` lists the outputs.",
)
OWN_REQUEST = define(
    "own-request",
    403,
    "Nobody reviews what they asked for themselves.",
    "Ask another output reviewer of the project.",
)
UNFIT_FILE = define(
    "unfit-file",
    422,
    "A file that was asked for cannot leave as it is.",
    "Let the job write it as an ordinary file, under a name of visible characters.",
)
TOO_MANY_EGRESS_REQUESTS = define(
    "too-many-egress-requests",
    429,
    "You have as many egress requests waiting for review as one person may have.",
    "Wait for the reviews.",
)
NOT_APPROVED = define(
    "egress-not-approved",
    409,
    "This request was not approved, so its files cannot leave.",
    "Wait for the review; a rejected request says what to mend.",
)
