"""Table of egress requests. The list of files never changes: it is kept with the request."""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.compute.airlock.model import (
    EgressFile,
    EgressRequest,
    EgressState,
    Finding,
    Severity,
)
from albufera.identity.records import users
from albufera.kernel.database import Instant, Json, metadata
from albufera.kernel.policy import Columns

egress_requests = sa.Table(
    "egress_requests",
    metadata,
    sa.Column("request_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False),
    sa.Column("job_id", sa.ForeignKey("jobs.job_id"), nullable=False, index=True),
    sa.Column("owner_id", sa.ForeignKey("users.user_id"), nullable=False, index=True),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("files", Json, nullable=False),
    sa.Column("files_digest", sa.String(64), nullable=False),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("reviewed_at", Instant),
    sa.Column("reviewer_id", sa.ForeignKey("users.user_id")),
)

_reviewers = users.alias("reviewers")

REQUESTS = (
    sa.select(
        egress_requests,
        users.c.username.label("owner"),
        sa.func.coalesce(_reviewers.c.username, "").label("reviewer"),
    )
    .join(users, users.c.user_id == egress_requests.c.owner_id)
    .outerjoin(_reviewers, _reviewers.c.user_id == egress_requests.c.reviewer_id)
)

COLUMNS = Columns(
    id=egress_requests.c.request_id,
    project_id=egress_requests.c.project_id,
    owner_id=egress_requests.c.owner_id,
    state=egress_requests.c.state,
)


def to_request(row: Row[Any]) -> EgressRequest:
    """Make an egress request of a row of `REQUESTS`."""
    return EgressRequest(
        request_id=row.request_id,
        project_id=row.project_id,
        job_id=row.job_id,
        owner_id=row.owner_id,
        owner=row.owner,
        purpose=row.purpose,
        state=EgressState(row.state),
        reason=row.reason,
        files=tuple(_to_file(item) for item in row.files),
        requested_at=row.requested_at,
        reviewed_at=row.reviewed_at,
        reviewer=row.reviewer,
    )


def to_json(files: tuple[EgressFile, ...]) -> list[dict[str, Any]]:
    """Write the list of files as it is kept and as its digest is taken."""
    return [asdict(file) for file in files]


def request_row(connection: Connection, request_id: str) -> Row[Any] | None:
    """Return an egress request's row, with the people's names."""
    mine = egress_requests.c.request_id == request_id
    return connection.execute(REQUESTS.where(mine)).one_or_none()


def _to_file(item: dict[str, Any]) -> EgressFile:
    findings = tuple(
        Finding(found["code"], Severity(found["severity"]), found["sentence"])
        for found in item["findings"]
    )
    return EgressFile(item["path"], item["size"], item["sha256"], item["kind"], findings)
