"""What the airlock announces."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class EgressRequested(Event):
    """A person asked that files of a job leave; the digest is of the frozen list of files."""

    verb: ClassVar[str] = "egress.requested"
    request_id: str
    job_id: str
    files: int
    size: int
    files_digest: str


@dataclass(frozen=True, kw_only=True)
class EgressReviewed(Event):
    """Another person approved or rejected the request."""

    verb: ClassVar[str] = "egress.reviewed"
    request_id: str
    decision: str
    files_digest: str


@dataclass(frozen=True, kw_only=True)
class EgressInspected(Event):
    """A reviewer looked at the content of a frozen file."""

    verb: ClassVar[str] = "egress.inspected"
    request_id: str
    file_digest: str


@dataclass(frozen=True, kw_only=True)
class EgressFetched(Event):
    """The person who asked downloaded approved files."""

    verb: ClassVar[str] = "egress.fetched"
    request_id: str
    files: int
