"""The outbox: events and follow-up tasks that commit together with what caused them.

Two tables. `events` holds every fact until the trace has taken it. `tasks` holds work to be done
after the commit, claimed with a lease by whichever worker is free, retried with back-off, and
idempotent by key: asking twice for the same kind and key leaves one task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.kernel import clock
from albufera.kernel.database import Database, Instant, Json, metadata


class TaskState(StrEnum):
    """Where a task is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


events = sa.Table(
    "events",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("event_id", sa.String(40), nullable=False, unique=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor_id", sa.String(64), nullable=False),
    sa.Column("verb", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(40)),
    sa.Column("subjects", Json, nullable=False),
    sa.Column("logged", sa.Boolean, nullable=False, default=False),
)
sa.Index(
    "ix_events_unlogged",
    events.c.sequence,
    sqlite_where=sa.text("logged = 0"),
    postgresql_where=sa.text("NOT logged"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("task_id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("payload", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", Instant, nullable=False),
    sa.Column("lease_until", Instant),
    sa.Column("lease_owner", sa.String(64)),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("progress_done", sa.BigInteger, nullable=False, default=0),
    sa.Column("progress_total", sa.BigInteger, nullable=False, default=0),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.UniqueConstraint("kind", "key"),
    sa.Index("ix_tasks_waiting", "state", "not_before"),
)


@dataclass(frozen=True)
class Task:
    """A claimed piece of work."""

    task_id: str
    kind: str
    key: str
    payload: dict[str, Any]
    attempts: int


@dataclass(frozen=True)
class TaskProgress:
    """What a page or a progress bar shows of a task."""

    state: TaskState
    done: int
    total: int
    note: str


class LeaseLost(Exception):
    """Another worker has taken the task over: stop at once, and leave the rest to it."""


class TaskCancelled(Exception):
    """Somebody asked for the task to stop: undo what is half-done and return."""


class TaskQueue:
    """Claims tasks for workers and keeps their leases.

    On PostgreSQL claims use FOR UPDATE SKIP LOCKED; on SQLite the write lock does the same.
    """

    def __init__(self, database: Database, *, lease: timedelta = timedelta(seconds=30)) -> None:
        self.database = database
        self.lease = lease

    def claim(self, owner: str, kinds: Sequence[str]) -> Task | None:
        """Take the oldest task that is due, or whose worker has died, for `owner`."""
        moment = clock.now()
        due = sa.or_(
            sa.and_(tasks.c.state == TaskState.QUEUED, tasks.c.not_before <= moment),
            sa.and_(tasks.c.state == TaskState.RUNNING, tasks.c.lease_until < moment),
        )
        oldest = (
            sa.select(tasks.c.task_id)
            .where(due, tasks.c.kind.in_(kinds))
            .order_by(tasks.c.not_before, tasks.c.task_id)
            .limit(1)
        )
        with self.database.read() as connection:  # an idle worker takes no write lock
            if connection.scalar(oldest) is None:
                return None
        with self.database.write() as connection:
            task_id = connection.scalar(oldest.with_for_update(skip_locked=True))
            if task_id is None:
                return None
            row = connection.execute(
                tasks.update()
                .where(tasks.c.task_id == task_id)
                .values(
                    state=TaskState.RUNNING,
                    attempts=tasks.c.attempts + 1,
                    lease_owner=owner,
                    lease_until=moment + self.lease,
                )
                .returning(tasks)
            ).one()
        return Task(row.task_id, row.kind, row.key, row.payload, row.attempts)

    def beat(self, task: Task, owner: str, done: int, total: int, note: str) -> None:
        """Renew the lease and report progress. Raises `LeaseLost` or `TaskCancelled`."""
        with self.database.write() as connection:
            row = connection.execute(
                tasks.update()
                .where(*self._mine(task, owner))
                .values(
                    lease_until=clock.now() + self.lease,
                    progress_done=done,
                    progress_total=total,
                    note=note,
                )
                .returning(tasks.c.cancel_requested)
            ).one_or_none()
        if row is None:
            raise LeaseLost(task.key)
        if row.cancel_requested:
            raise TaskCancelled(task.key)

    def finish(self, task: Task, owner: str, state: TaskState, note: str = "") -> None:
        """Set the terminal state of a task that `owner` holds."""
        values = {"state": state, "note": note, "finished_at": clock.now(), "lease_until": None}
        with self.database.write() as connection:
            connection.execute(tasks.update().where(*self._mine(task, owner)).values(**values))

    def put_back(
        self, task: Task, owner: str, delay: timedelta, note: str, *, attempts: int
    ) -> None:
        """Queue a task again, to be tried after `delay`; it counts as tried `attempts` times."""
        values = {
            "state": TaskState.QUEUED,
            "note": note,
            "not_before": clock.now() + delay,
            "lease_until": None,
            "attempts": attempts,
        }
        with self.database.write() as connection:
            connection.execute(tasks.update().where(*self._mine(task, owner)).values(**values))

    @staticmethod
    def _mine(task: Task, owner: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            tasks.c.task_id == task.task_id,
            tasks.c.state == TaskState.RUNNING,
            tasks.c.lease_owner == owner,
        )


def request_cancel(connection: Connection, kind: str, key: str) -> None:
    """Ask for a task to stop: at once if it only waits, at its next beat if it runs."""
    mine = (tasks.c.kind == kind, tasks.c.key == key)
    waiting = tasks.c.state == TaskState.QUEUED
    connection.execute(
        tasks.update()
        .where(*mine, tasks.c.state.in_([TaskState.QUEUED, TaskState.RUNNING]))
        .values(
            cancel_requested=True,
            state=sa.case((waiting, TaskState.CANCELLED.value), else_=tasks.c.state),
        )
    )


def task_progress(connection: Connection, kind: str, key: str) -> TaskProgress | None:
    """Return how far a task is, or None when there is none of that kind and key."""
    row = connection.execute(
        sa.select(tasks).where(tasks.c.kind == kind, tasks.c.key == key)
    ).one_or_none()
    if row is None:
        return None
    return TaskProgress(TaskState(row.state), row.progress_done, row.progress_total, row.note)


def waiting_events(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """Return the oldest events that the trace has not taken yet, locked for this transaction."""
    return connection.execute(
        sa.select(events)
        .where(sa.not_(events.c.logged))  # the form of the partial index; IS FALSE would scan
        .order_by(events.c.sequence)
        .limit(limit)
        .with_for_update()
    ).all()


def mark_logged(connection: Connection, sequences: Sequence[int]) -> None:
    """Remember that these events are in the trace."""
    connection.execute(events.update().where(events.c.sequence.in_(sequences)).values(logged=True))


def oldest_waiting(connection: Connection) -> datetime | None:
    """Return the time of the oldest event that the trace has not taken, for monitoring."""
    moment: datetime | None = connection.scalar(
        sa.select(sa.func.min(events.c.at)).where(sa.not_(events.c.logged))
    )
    return moment
