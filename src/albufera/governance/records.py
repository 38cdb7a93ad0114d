"""Tables of projects, members, applications and grants."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.governance.model import (
    Application,
    ApplicationState,
    Collection,
    Grant,
    Membership,
    Project,
    Role,
)
from albufera.identity.records import users
from albufera.kernel.database import Instant, metadata

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("project_id", sa.String(40), primary_key=True),
    sa.Column("code", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("collection_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False),
    sa.Column("code", sa.String(32), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.UniqueConstraint("project_id", "code"),
)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id"), primary_key=True, index=True),
    sa.Column("role", sa.String(32), primary_key=True),
)

applications = sa.Table(
    "applications",
    metadata,
    sa.Column("application_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False, index=True),
    sa.Column("dataset_id", sa.String(40), nullable=False, index=True),
    sa.Column("applicant_id", sa.ForeignKey("users.user_id"), nullable=False, index=True),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("submitted_at", Instant, nullable=False),
    sa.Column("decided_at", Instant),
    sa.Column("decided_by", sa.String(40)),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("grant_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False, index=True),
    sa.Column("dataset_id", sa.String(40), nullable=False, index=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id"), nullable=False, index=True),
    sa.Column("application_id", sa.String(40)),
    sa.Column("conditions", sa.Text, nullable=False, default=""),
    sa.Column("granted_by", sa.String(40), nullable=False),
    sa.Column("starts_at", Instant, nullable=False),
    sa.Column("ends_at", Instant, nullable=False),
    sa.Column("revoked_at", Instant),
    sa.Column("revoked_by", sa.String(40)),
)


def to_project(row: Row[Any]) -> Project:
    """Make a project of its row."""
    return Project(row.project_id, row.code, row.name, row.description, row.created_at)


def project_by_code(connection: Connection, code: str) -> Project | None:
    """Return a project by its code."""
    row = connection.execute(projects.select().where(projects.c.code == code)).one_or_none()
    return None if row is None else to_project(row)


def collections_of(connection: Connection, project_id: str) -> Sequence[Collection]:
    """Return a project's collections by code."""
    rows = connection.execute(
        collections.select()
        .where(collections.c.project_id == project_id)
        .order_by(collections.c.code)
    )
    return [Collection(r.collection_id, r.project_id, r.code, r.name) for r in rows]


def members_of(connection: Connection, project_id: str) -> Sequence[Membership]:
    """Return who holds which role in a project, by user name."""
    rows = connection.execute(
        sa.select(memberships, users.c.username, users.c.name)
        .join(users, users.c.user_id == memberships.c.user_id)
        .where(memberships.c.project_id == project_id)
        .order_by(users.c.username, memberships.c.role)
    )
    return [Membership(r.user_id, r.username, r.name, Role(r.role)) for r in rows]


def roles_of(connection: Connection, user_id: str) -> Sequence[tuple[str, Role]]:
    """Return the (project code, role) pairs of a person."""
    rows = connection.execute(
        sa.select(projects.c.code, memberships.c.role)
        .join(projects, projects.c.project_id == memberships.c.project_id)
        .where(memberships.c.user_id == user_id)
        .order_by(projects.c.code, memberships.c.role)
    )
    return [(r.code, Role(r.role)) for r in rows]


APPLICATIONS = sa.select(applications, users.c.username.label("applicant")).join(
    users, users.c.user_id == applications.c.applicant_id
)

GRANTS = sa.select(grants, users.c.username).join(users, users.c.user_id == grants.c.user_id)


def to_application(row: Row[Any]) -> Application:
    """Make an application of a row of `APPLICATIONS`."""
    return Application(
        application_id=row.application_id,
        project_id=row.project_id,
        dataset_id=row.dataset_id,
        applicant_id=row.applicant_id,
        applicant=row.applicant,
        purpose=row.purpose,
        state=ApplicationState(row.state),
        reason=row.reason,
        submitted_at=row.submitted_at,
        decided_at=row.decided_at,
    )


def to_grant(row: Row[Any]) -> Grant:
    """Make a grant of a row of `GRANTS`."""
    return Grant(
        grant_id=row.grant_id,
        project_id=row.project_id,
        dataset_id=row.dataset_id,
        user_id=row.user_id,
        username=row.username,
        application_id=row.application_id,
        conditions=row.conditions,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        revoked_at=row.revoked_at,
    )
