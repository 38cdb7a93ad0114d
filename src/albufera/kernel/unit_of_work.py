"""The unit of work: rows, events and follow-up tasks that commit in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.events import Event
from albufera.kernel.ids import new_id
from albufera.kernel.outbox import TaskState, events, tasks


class UnitOfWork:
    """What a verb holds while it works: a connection, and a place to say what it did."""

    def __init__(self, connection: Connection, actor: Actor) -> None:
        self.connection = connection
        self.actor = actor
        self.at = clock.now()

    def record(self, event: Event) -> None:
        """Announce a fact: it commits with the rows and reaches the trace from there."""
        self.connection.execute(
            events.insert().values(
                event_id=new_id("ev"),
                at=self.at,
                actor_id=self.actor.user_id or self.actor.username,
                verb=event.verb,
                project_id=event.project_id,
                subjects=event.subjects(),
                logged=False,
            )
        )

    def enqueue(
        self, kind: str, key: str, payload: dict[str, Any], *, delay: timedelta = timedelta()
    ) -> None:
        """Ask for work after the commit. A second task of the same kind and key is not made.

        A task of that key that has ended is started afresh.
        """
        fresh = {
            "payload": payload,
            "state": TaskState.QUEUED.value,
            "attempts": 0,
            "not_before": self.at + delay,
            "cancel_requested": False,
            "progress_done": 0,
            "progress_total": 0,
            "note": "",
            "created_at": self.at,
            "finished_at": None,
        }
        again = self.connection.execute(
            tasks.update()
            .where(tasks.c.kind == kind, tasks.c.key == key)
            .where(tasks.c.state.in_(_ENDED))
            .values(**fresh)
        )
        if again.rowcount:
            return
        present = tasks.select().where(tasks.c.kind == kind, tasks.c.key == key)
        if self.connection.execute(present).first() is None:
            values = {"task_id": new_id("tk"), "kind": kind, "key": key, **fresh}
            self.connection.execute(tasks.insert().values(**values))

    def now(self) -> datetime:
        """Return the moment at which this unit of work began."""
        return self.at


_ENDED = (TaskState.DONE.value, TaskState.FAILED.value, TaskState.CANCELLED.value)


@contextmanager
def unit_of_work(database: Database, actor: Actor) -> Iterator[UnitOfWork]:
    """Open a unit of work for `actor`; it commits when the block ends and vanishes if it raises."""
    with database.write() as connection:
        yield UnitOfWork(connection, actor)
