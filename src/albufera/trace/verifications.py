"""Verbs of verifying the whole log: ask, follow, cancel; and the task that does it."""

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import INVALID
from albufera.kernel.ids import new_id
from albufera.kernel.outbox import Task, request_cancel, task_progress
from albufera.kernel.policy import Columns, Policy, Thing
from albufera.kernel.signing import VerifyKey
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work
from albufera.kernel.worker import Handler, TaskContext
from albufera.trace import records
from albufera.trace.errors import VERIFICATION_NOT_FOUND
from albufera.trace.events import LogVerified
from albufera.trace.findings import (
    VERIFICATION_LIFE,
    Finding,
    Report,
    Verification,
    VerificationState,
)
from albufera.trace.inspector import Inspector
from albufera.trace.model import Checkpoint, InvalidCheckpoint

TASK = "trace.verify"
_BEAT = 0.5
"""Seconds between two reports of progress."""


class VerificationService:
    """Verifications of the log, which auditors and operators ask for."""

    def __init__(self, database: Database, policy: Policy, key: VerifyKey) -> None:
        self.database = database
        self.policy = policy
        self.key = key
        self.inspector = Inspector(database, key)

    def handler(self) -> Handler:
        """How the worker verifies. It reads only, so that it may begin again at any time."""
        return Handler(self._run, failed=self._failed, cancelled=self._cancelled)

    def may_request(self, actor: Actor) -> bool:
        """Tell whether `actor` may verify the log: the operator, or an auditor of any project."""
        with self.database.read() as connection:
            return self._may(connection, actor)

    def request(self, actor: Actor, kept_note: str = "") -> Verification:
        """Ask for a verification, or join the one that runs.

        `kept_note` is a checkpoint (signed note) of this log that the caller has kept, with which
        the log is compared too. Raises `forbidden`, `invalid-input`.
        """
        self._kept(kept_note)
        with unit_of_work(self.database, actor) as work:
            self._require(work.connection, actor)
            running = self._running(work.connection)
            if running is not None and not kept_note:
                return self._to_verification(work.connection, running)
            values = {
                "verification_id": new_id("ver"),
                "state": VerificationState.RUNNING.value,
                "requested_by": actor.user_id or actor.username,
                "requested_at": work.now(),
                "note": "",
            }
            insert = records.verifications.insert().values(**values)
            row = work.connection.execute(insert.returning(records.verifications)).one()
            work.enqueue(TASK, row.verification_id, {"checkpoint": kept_note})
            return self._to_verification(work.connection, row)

    def show(self, actor: Actor, verification_id: str | None = None) -> Verification:
        """Return a verification, by default the newest. Raises `verification-not-found`."""
        with self.database.read() as connection:
            self._require(connection, actor)
            row = self._find(connection, verification_id)
            return self._to_verification(connection, row)

    def cancel(self, actor: Actor, verification_id: str) -> Verification:
        """Stop a verification. Raises `verification-not-found`, `wrong-state`."""
        with unit_of_work(self.database, actor) as work:
            self._require(work.connection, actor)
            row = self._find(work.connection, verification_id)
            VERIFICATION_LIFE.after(VerificationState(row.state), "cancel")
            request_cancel(work.connection, TASK, verification_id)
            self._end(work, verification_id, "cancel", "cancelled")
            row = self._find(work.connection, verification_id)
            return self._to_verification(work.connection, row)

    def _run(self, context: TaskContext) -> None:
        kept = self._kept(context.task.payload.get("checkpoint", ""))
        last = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _BEAT:
                last = time.monotonic()
                context.progress(done, total, "Reading the log")

        self._finish(context.task.key, self.inspector.inspect(progress, kept))

    def _finish(self, verification_id: str, report: Report) -> None:
        event = "verify" if report.intact else "find"
        with self.database.read() as connection:
            row = self._find(connection, verification_id)
        asked_by = Actor(row.requested_by, row.requested_by)
        with unit_of_work(self.database, asked_by) as work:
            if self._end(work, verification_id, event, "", report):
                outcome = VERIFICATION_LIFE.after(VerificationState.RUNNING, event)
                work.record(
                    LogVerified(
                        verification_id=verification_id,
                        outcome=outcome.value,
                        entries=report.entries,
                        findings=report.total_findings,
                    )
                )

    def _failed(self, task: Task, note: str) -> None:
        with self.database.write() as connection:
            self._end(UnitOfWork(connection, SYSTEM), task.key, "fail", note)

    def _cancelled(self, task: Task) -> None:
        with self.database.write() as connection:
            self._end(UnitOfWork(connection, SYSTEM), task.key, "cancel", "cancelled")

    def _end(
        self,
        work: UnitOfWork,
        verification_id: str,
        event: str,
        note: str,
        report: Report | None = None,
    ) -> bool:
        """Give a running verification its last state; tell whether it was running."""
        table = records.verifications
        after = VERIFICATION_LIFE.after(VerificationState.RUNNING, event)
        ended = work.connection.execute(
            table.update()
            .where(
                table.c.verification_id == verification_id,
                table.c.state == VerificationState.RUNNING.value,
            )
            .values(
                state=after.value,
                finished_at=work.now(),
                note=note,
                report=None if report is None else _document(report),
            )
        )
        return bool(ended.rowcount)

    def _kept(self, note: str) -> Checkpoint | None:
        if not note:
            return None
        try:
            return Checkpoint.open(note, [self.key])
        except InvalidCheckpoint as problem:
            raise INVALID(f"This is not a checkpoint of this log. {problem}") from None

    def _may(self, connection: Connection, actor: Actor) -> bool:
        if self.policy.may(connection, actor, "trace.verify", Thing("trace")):
            return True
        columns = Columns(project_id=records.entries.c.project_id)
        audited = self.policy.which(actor, "trace.verify", columns)
        anywhere = sa.select(records.entries.c.entry_index).where(audited).limit(1)
        return connection.scalar(anywhere) is not None

    def _require(self, connection: Connection, actor: Actor) -> None:
        if not self._may(connection, actor):
            self.policy.require(connection, actor, "trace.verify", Thing("trace"))

    def _running(self, connection: Connection) -> Row[Any] | None:
        table = records.verifications
        running = table.select().where(table.c.state == VerificationState.RUNNING.value)
        return connection.execute(running.limit(1)).one_or_none()

    def _find(self, connection: Connection, verification_id: str | None) -> Row[Any]:
        row = None
        if verification_id is None or "\x00" not in verification_id:
            row = records.latest_verification(connection, verification_id)
        if row is None:
            raise VERIFICATION_NOT_FOUND()
        return row

    def _to_verification(self, connection: Connection, row: Row[Any]) -> Verification:
        progress = None
        if row.state == VerificationState.RUNNING.value:
            progress = task_progress(connection, TASK, row.verification_id)
        return Verification(
            verification_id=row.verification_id,
            state=VerificationState(row.state),
            requested_by=row.requested_by,
            requested_at=row.requested_at,
            finished_at=row.finished_at,
            note=row.note,
            report=None if row.report is None else _report(row.report),
            done=progress.done if progress else 0,
            total=progress.total if progress else 0,
        )


def _document(report: Report) -> dict[str, Any]:
    return {
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "root": report.root,
        "findings": [[finding.index, finding.sentence] for finding in report.findings],
        "total_findings": report.total_findings,
    }


def _report(document: dict[str, Any]) -> Report:
    findings = tuple(Finding(index, sentence) for index, sentence in document["findings"])
    return Report(
        document["entries"],
        document["checkpoints"],
        document["root"],
        findings,
        document["total_findings"],
    )
