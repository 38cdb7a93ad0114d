"""Doing runs: here and now, or as a worker's task; each from its start to its stated end."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from albufera.ingest import spool as spools
from albufera.ingest.deidentify import RESEARCH, Deidentifier, Profile, ProjectKey
from albufera.ingest.events import IngestCancelled, IngestFailed, IngestFinished
from albufera.ingest.model import (
    INGEST_CANCELLED,
    INGEST_FAILED,
    INGEST_LIFE,
    OVER,
    Ingest,
    IngestState,
    ItemState,
    Limits,
)
from albufera.ingest.pipeline import Beat, Equipment, IngestStopped, Pipeline
from albufera.ingest.reading import Reader
from albufera.ingest.records import counts_of, ingest_by_id, ingests
from albufera.ingest.sources import Named, discover
from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.crashes import crash_point
from albufera.kernel.outbox import Task, TaskCancelled
from albufera.kernel.unit_of_work import unit_of_work
from albufera.kernel.worker import Again, TaskContext
from albufera.lake.ports import StoreError

logger = logging.getLogger(__name__)

SILENCE = timedelta(minutes=15)
"""A run in hand that wrote nothing for so long has lost its process."""

IN_HAND = timedelta(seconds=30)
"""A run that wrote so lately is still in the hands of its process; the same as a worker's lease."""

STAGING_KEPT_SECONDS = 60.0

_ABANDONED = (
    "The process that took the files in ended before its work was done. What was admitted stays; "
    "run the same command again to take in the rest."
)

Progress = Callable[[int, int], None]


class Runs:
    """Does the runs of a node.

    `secret_of` gives the secret of a project by its identifier, `room` is a private directory
    for what is too large to keep in memory.
    """

    def __init__(
        self,
        equipment: Equipment,
        secret_of: Callable[[str], bytes],
        uploads: Path,
        limits: Limits,
        profile: Profile = RESEARCH,
    ) -> None:
        self.kit = equipment
        self._secret_of = secret_of
        self._uploads = uploads
        self._limits = limits
        self._profile = profile

    def run_here(
        self, ingest_id: str, actor: Actor, named: Sequence[Named], progress: Progress
    ) -> None:
        """Do a run in this process, interruptible from the keyboard.

        Raises `ingest-failed`, `ingest-cancelled`.
        """
        total = sum(1 for _ in discover(named, self._limits))
        try:
            self._run(ingest_id, actor, named, lambda done: progress(done, max(total, done)))
        except KeyboardInterrupt:
            self._end(ingest_id, actor, "cancel", "")
            raise INGEST_CANCELLED(ingest=ingest_id) from None
        except IngestStopped:
            raise INGEST_CANCELLED(ingest=ingest_id) from None
        except (StoreError, OSError, sa.exc.DBAPIError) as failure:
            note = _sentence(failure)
            self._try_to_fail(ingest_id, actor, note)
            raise INGEST_FAILED(note, ingest=ingest_id) from failure
        progress(total, total)

    def run_task(self, context: TaskContext) -> None:
        """Do the run of an upload, as a worker."""
        ingest_id = str(context.task.payload["ingest"])
        with self.kit.database.read() as connection:
            ingest = ingest_by_id(connection, ingest_id)
        directory = self._uploads / ingest_id
        if ingest is None or ingest.state in OVER:
            if ingest is None or ingest.state is not IngestState.FAILED:
                spools.remove(directory)
            return
        self._refuse_to_run_twice(ingest_id)
        named = list(spools.spooled(directory))
        total = sum(1 for _ in discover(named, self._limits))
        actor = Actor(user_id=ingest.submitted_by, username=ingest.username)
        try:
            beat: Beat = lambda done: context.progress(done, max(total, done))  # noqa: E731
            self._run(ingest_id, actor, named, beat)
        except IngestStopped:
            raise TaskCancelled from None
        except (StoreError, OSError) as failure:
            raise INGEST_FAILED(_sentence(failure)) from failure
        spools.remove(directory)

    def task_failed(self, task: Task, note: str) -> None:
        """Say that a run was given up."""
        self._end(str(task.payload["ingest"]), SYSTEM, "fail", note)

    def task_cancelled(self, task: Task) -> None:
        """Say that a run was stopped, and forget its upload."""
        ingest_id = str(task.payload["ingest"])
        self._end(ingest_id, SYSTEM, "cancel", "")
        spools.remove(self._uploads / ingest_id)

    def give_up_abandoned(self) -> int:
        """Mark as failed the runs whose process died, and clear the staging of dead processes."""
        horizon = clock.now() - SILENCE
        with self.kit.database.read() as connection:
            silent = connection.scalars(
                sa.select(ingests.c.ingest_id).where(
                    ingests.c.state == IngestState.RUNNING.value, ingests.c.beat_at < horizon
                )
            ).all()
        for ingest_id in silent:
            self._end(ingest_id, SYSTEM, "fail", _ABANDONED)
        self.kit.store.sweep(STAGING_KEPT_SECONDS)
        return len(silent)

    def _run(self, ingest_id: str, actor: Actor, named: Sequence[Named], beat: Beat) -> None:
        ingest = self._start(ingest_id, actor)
        self.kit.store.sweep(STAGING_KEPT_SECONDS)
        secret = self._secret_of(ingest.project_id)
        reader = Reader(secret, self._uploads, self._limits)
        deidentifier = Deidentifier(self._profile, ProjectKey(secret))
        pipeline = Pipeline(self.kit, ingest, actor, reader, deidentifier)
        pipeline.run(discover(named, self._limits), beat)
        crash_point("ingest.finishing")
        self._end(ingest_id, actor, "finish", "")

    def _start(self, ingest_id: str, actor: Actor) -> Ingest:
        with unit_of_work(self.kit.database, actor) as work:
            ingest = ingest_by_id(work.connection, ingest_id)
            if ingest is None or ingest.state in OVER:
                raise IngestStopped
            state = INGEST_LIFE.after(ingest.state, "start")
            values = {"state": state.value, "beat_at": work.now()}
            if ingest.started_at is None:
                values["started_at"] = work.now()
            work.connection.execute(
                ingests.update().where(ingests.c.ingest_id == ingest_id).values(**values)
            )
        return ingest

    def _refuse_to_run_twice(self, ingest_id: str) -> None:
        """Come back later to a run that another process has in hand."""
        query = sa.select(ingests.c.beat_at).where(
            ingests.c.ingest_id == ingest_id, ingests.c.state == IngestState.RUNNING.value
        )
        with self.kit.database.read() as connection:
            beat_at = connection.scalar(query)
        if beat_at is not None and clock.now() - beat_at < IN_HAND:
            raise Again(IN_HAND, "another process has this run in hand")

    def _try_to_fail(self, ingest_id: str, actor: Actor, note: str) -> None:
        try:
            self._end(ingest_id, actor, "fail", note)
        except sa.exc.DBAPIError:
            logger.error("The end of %s could not be written down.", ingest_id)

    def _end(self, ingest_id: str, actor: Actor, event: str, note: str) -> None:
        """Write a run's end once; a run that is over stays as it is."""
        with unit_of_work(self.kit.database, actor) as work:
            ingest = ingest_by_id(work.connection, ingest_id)
            if ingest is None or ingest.state in OVER:
                return
            state = INGEST_LIFE.after(ingest.state, event)
            work.connection.execute(
                ingests.update()
                .where(ingests.c.ingest_id == ingest_id)
                .values(state=state.value, note=note, finished_at=work.now())
            )
            where = {"project_id": ingest.project_id, "ingest_id": ingest_id}
            match state:
                case IngestState.FINISHED:
                    counts = counts_of(work.connection, [ingest_id])[ingest_id]
                    work.record(
                        IngestFinished(
                            **where,
                            admitted=counts[ItemState.ADMITTED],
                            duplicate=counts[ItemState.DUPLICATE],
                            quarantined=counts[ItemState.QUARANTINED],
                            refused=counts[ItemState.REFUSED],
                        )
                    )
                case IngestState.CANCELLED:
                    work.record(IngestCancelled(**where))
                case _:
                    work.record(IngestFailed(**where))


def _sentence(failure: Exception) -> str:
    """What went wrong with the surroundings, for people: never a value of an object."""
    if isinstance(failure, StoreError):
        return str(failure)
    if isinstance(failure, OSError):
        return f"The node's disk failed: {failure.strerror or type(failure).__name__}."
    return "The database does not answer as it should; the node's log tells more."
