"""Table of egress requests. The list of files never changes: it is kept with the request."""

from collections.abc import Sequence
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


def hold(connection: Connection, request_id: str) -> None:
    """Hold a request against other writers until this transaction ends; takes any identifier."""
    mine = egress_requests.c.request_id == request_id
    connection.execute(sa.select(egress_requests.c.state).where(mine).with_for_update())


def pending_of(connection: Connection, owner_id: str) -> int:
    """Return how many requests of a person wait for review."""
    pending = egress_requests.c.state == EgressState.PENDING.value
    mine = sa.select(sa.func.count()).where(egress_requests.c.owner_id == owner_id, pending)
    return connection.scalar(mine) or 0


def holding(connection: Connection, request_ids: Sequence[str]) -> set[str]:
    """Return those of some identifiers whose frozen copies are still needed."""
    table = egress_requests
    wanted = sa.select(table.c.request_id).where(
        table.c.request_id.in_(request_ids), table.c.state != EgressState.REJECTED.value
    )
    return set(connection.scalars(wanted))


def counts_by_state(connection: Connection) -> dict[str, int]:
    """Return how many requests are in each state, for monitoring."""
    table = egress_requests
    counted = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
    return {row[0]: row[1] for row in connection.execute(counted)}


def _to_file(item: dict[str, Any]) -> EgressFile:
    findings = tuple(
        Finding(found["code"], Severity(found["severity"]), found["sentence"])
        for found in item["findings"]
    )
    return EgressFile(item["path"], item["size"], item["sha256"], item["kind"], findings)
