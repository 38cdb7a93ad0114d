"""Projects, roles, applications and grants, and the rules of their lives."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from albufera.kernel.errors import INVALID, define
from albufera.kernel.transitions import Transitions

PROJECT_CODE = re.compile(r"^[A-Z][A-Z0-9_-]{1,31}\Z")
COLLECTION_CODE = re.compile(r"^[a-z][a-z0-9_-]{0,31}\Z")
MAX_TEXT = 4000


class Role(StrEnum):
    """What a person is in a project."""

    STEWARD = "steward"
    RESEARCHER = "researcher"
    PROJECT_ADMINISTRATOR = "project-administrator"
    COMMITTEE_MEMBER = "committee-member"
    OUTPUT_REVIEWER = "output-reviewer"
    AUDITOR = "auditor"


class ApplicationState(StrEnum):
    """Where an application for access is."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


APPLICATION_LIFE = Transitions(
    "application",
    {
        (ApplicationState.SUBMITTED, "approve"): ApplicationState.APPROVED,
        (ApplicationState.SUBMITTED, "reject"): ApplicationState.REJECTED,
        (ApplicationState.SUBMITTED, "withdraw"): ApplicationState.WITHDRAWN,
    },
)

PROJECT_NOT_FOUND = define(
    "project-not-found",
    404,
    "There is no such project, or none that you may know of.",
    "Check the code; `albufera project list` shows the projects that you may see.",
)
COLLECTION_NOT_FOUND = define(
    "collection-not-found",
    404,
    "The project has no such collection.",
    "`albufera project show` lists the project's collections; its administrator can add one.",
)
APPLICATION_NOT_FOUND = define(
    "application-not-found",
    404,
    "There is no such application, or none that you may know of.",
    "`albufera application list` shows the applications that you may see.",
)
GRANT_NOT_FOUND = define(
    "grant-not-found",
    404,
    "There is no such grant, or none that you may know of.",
    "`albufera grant list` shows the grants that you may see.",
)


@dataclass(frozen=True)
class Project:
    """A tenant: what belongs to one project is unknown to every other."""

    project_id: str
    code: str
    name: str
    description: str
    created_at: datetime


@dataclass(frozen=True)
class Collection:
    """A subdivision of a project, by which studies are taken in."""

    collection_id: str
    project_id: str
    code: str
    name: str


@dataclass(frozen=True)
class Membership:
    """A person's role in a project."""

    user_id: str
    username: str
    name: str
    role: Role


@dataclass(frozen=True)
class Application:
    """A person's request to use a dataset for a purpose."""

    application_id: str
    project_id: str
    dataset_id: str
    applicant_id: str
    applicant: str
    purpose: str
    state: ApplicationState
    reason: str
    submitted_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True)
class Grant:
    """The right of one person to use one dataset until a day."""

    grant_id: str
    project_id: str
    dataset_id: str
    user_id: str
    username: str
    application_id: str | None
    conditions: str
    starts_at: datetime
    ends_at: datetime
    revoked_at: datetime | None

    def active(self, moment: datetime) -> bool:
        """Tell whether the grant holds at `moment`."""
        return self.revoked_at is None and self.starts_at <= moment < self.ends_at


def check_project_code(code: str) -> None:
    """Raise `invalid-input` unless the code is 2–32 characters A–Z, 0–9, dash, underscore."""
    if not PROJECT_CODE.match(code):
        raise INVALID(
            "A project's code has 2 to 32 characters: capital letters, digits, dashes and "
            "underscores, beginning with a letter (for example LUNG).",
            field="code",
        )


def check_collection_code(code: str) -> None:
    """Raise `invalid-input` unless the code is 1–32 characters a–z, 0–9, dash, underscore."""
    if not COLLECTION_CODE.match(code):
        raise INVALID(
            "A collection's code has 1 to 32 characters: small letters, digits, dashes and "
            "underscores, beginning with a letter (for example main).",
            field="code",
        )


def check_text(text: str, field: str) -> str:
    """Return the text stripped; raise `invalid-input` when it is empty or over 4,000 characters."""
    text = text.strip()
    if not text or len(text) > MAX_TEXT:
        raise INVALID(f"“{field}” has 1 to {MAX_TEXT} characters.", field=field)
    return text
