"""Tables of jobs.

A running job holds a slot, a number below the number of jobs that may run at once; that a slot has
one holder is a constraint of the database, so no two workers can both take the last one.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.compute.model import Job, JobState
from albufera.identity.records import users
from albufera.kernel.database import Instant, Json, metadata
from albufera.kernel.policy import Columns

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False),
    sa.Column("owner_id", sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("dataset_ids", Json, nullable=False),
    sa.Column("command", Json, nullable=False),
    sa.Column("flavour", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(32), nullable=False, default=""),
    sa.Column("detail", sa.Text, nullable=False, default=""),
    sa.Column("exit_code", sa.Integer),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("run_handle", sa.Text, nullable=False, default=""),
    sa.Column("slot", sa.Integer, unique=True),
    sa.Column("submitted_at", Instant, nullable=False),
    sa.Column("started_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("memory_peak_bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("cpu_seconds", sa.Float, nullable=False, default=0.0),
    sa.Index("ix_jobs_of_owner", "owner_id", "job_id"),
    sa.Index("ix_jobs_by_state", "state"),
)

JOBS = sa.select(jobs, users.c.username.label("owner")).join(
    users, users.c.user_id == jobs.c.owner_id
)

COLUMNS = Columns(
    id=jobs.c.job_id,
    project_id=jobs.c.project_id,
    owner_id=jobs.c.owner_id,
    state=jobs.c.state,
)


def to_job(row: Row[Any]) -> Job:
    """Make a job of a row of `JOBS`."""
    return Job(
        job_id=row.job_id,
        project_id=row.project_id,
        owner_id=row.owner_id,
        owner=row.owner,
        dataset_ids=tuple(row.dataset_ids),
        command=tuple(row.command),
        flavour=row.flavour,
        state=JobState(row.state),
        reason=row.reason,
        detail=row.detail,
        exit_code=row.exit_code,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        memory_peak_bytes=row.memory_peak_bytes,
        cpu_seconds=row.cpu_seconds,
    )


def job_row(connection: Connection, job_id: str) -> Row[Any] | None:
    """Return a job's row, with its owner's name."""
    return connection.execute(JOBS.where(jobs.c.job_id == job_id)).one_or_none()


def held_job(connection: Connection, job_id: str) -> Row[Any] | None:
    """Return a job's row, held against other writers until this transaction ends."""
    query = JOBS.where(jobs.c.job_id == job_id).with_for_update(of=jobs)
    return connection.execute(query).one_or_none()


def update_job(connection: Connection, job_id: str, **values: Any) -> None:
    """Change some columns of a job."""
    connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(**values))


def taken_slots(connection: Connection) -> set[int]:
    """Return the slots that running jobs hold."""
    held = sa.select(jobs.c.slot).where(jobs.c.slot.is_not(None))
    return {int(slot) for slot in connection.scalars(held)}


def uses(dataset_id: str) -> sa.ColumnElement[bool]:
    """Tell when a job is on a dataset; takes identifiers only."""
    as_text = sa.type_coerce(jobs.c.dataset_ids, sa.Text)
    return as_text.contains(f'"{dataset_id}"', autoescape=True)


def live_count(connection: Connection, owner_id: str) -> int:
    """Return how many jobs of a person wait or run."""
    live = jobs.c.state.in_([JobState.QUEUED.value, JobState.RUNNING.value])
    mine = sa.select(sa.func.count()).where(jobs.c.owner_id == owner_id, live)
    return connection.scalar(mine) or 0


def counts_by_state(connection: Connection) -> dict[str, int]:
    """Return how many jobs are in each state, for monitoring."""
    counted = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
    return {row[0]: row[1] for row in connection.execute(counted)}


def known_ids(connection: Connection, job_ids: Sequence[str]) -> set[str]:
    """Return those of some identifiers that are jobs."""
    wanted = sa.select(jobs.c.job_id).where(jobs.c.job_id.in_(job_ids))
    return set(connection.scalars(wanted))
