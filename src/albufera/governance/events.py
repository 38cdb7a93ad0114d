"""What governance announces."""

from dataclasses import dataclass
from typing import ClassVar

from albufera.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class ProjectCreated(Event):
    """A project was made."""

    verb: ClassVar[str] = "project.created"


@dataclass(frozen=True, kw_only=True)
class CollectionCreated(Event):
    """A collection was added to a project."""

    verb: ClassVar[str] = "project.collection-created"
    collection_id: str


@dataclass(frozen=True, kw_only=True)
class RoleGiven(Event):
    """A person was given a role in a project."""

    verb: ClassVar[str] = "project.role-given"
    user_id: str
    role: str


@dataclass(frozen=True, kw_only=True)
class RoleTaken(Event):
    """A person's role in a project ended."""

    verb: ClassVar[str] = "project.role-taken"
    user_id: str
    role: str


@dataclass(frozen=True, kw_only=True)
class ApplicationSubmitted(Event):
    """A person asked to use a dataset."""

    verb: ClassVar[str] = "application.submitted"
    application_id: str
    dataset_id: str
    applicant_id: str


@dataclass(frozen=True, kw_only=True)
class ApplicationDecided(Event):
    """The committee approved or rejected an application, or the applicant withdrew it."""

    verb: ClassVar[str] = "application.decided"
    application_id: str
    dataset_id: str
    decision: str


@dataclass(frozen=True, kw_only=True)
class AccessGranted(Event):
    """A person may use a dataset from now on."""

    verb: ClassVar[str] = "grant.given"
    grant_id: str
    dataset_id: str
    user_id: str
    ends_at: str


@dataclass(frozen=True, kw_only=True)
class AccessRevoked(Event):
    """A person's right to use a dataset ended before its day."""

    verb: ClassVar[str] = "grant.revoked"
    grant_id: str
    dataset_id: str
    user_id: str
