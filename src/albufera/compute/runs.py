"""Follows jobs from the queue to their end: the handler of the task `job.run`.

Each call looks once and does what is due, so one worker follows many jobs. The database says that
a job runs before the sandbox starts; starting is idempotent, so a node that dies in between starts
it once, when it is back.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from albufera.compute import records
from albufera.compute.events import DatasetUsed
from albufera.compute.jobs import JobService, ended_event
from albufera.compute.model import ENDED, JOB_LIFE, Job, JobState
from albufera.compute.ports import (
    EndReason,
    Launch,
    Limits,
    Mount,
    Phase,
    RunnerUnavailable,
    RunResult,
    UnknownRun,
)
from albufera.identity.records import to_user, user_by_id
from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.crashes import crash_point
from albufera.kernel.outbox import Task
from albufera.kernel.unit_of_work import UnitOfWork, unit_of_work
from albufera.kernel.worker import Again, TaskContext

SOONEST, LATEST = 0.3, 2.0
"""A job is looked at again after a tenth of its age, within these bounds in seconds."""

WAIT_FOR_ROOM = timedelta(seconds=1)
ACCESS_ENDED = "access-ended"
SWEEP_SECONDS = 3600.0
ABANDONED_SECONDS = 24 * 3600.0


class JobRuns:
    """Starts jobs when there is room, follows them, and settles how they ended."""

    def __init__(self, jobs: JobService, concurrent: int) -> None:
        self.database = jobs.database
        self.policy = jobs.policy
        self.datasets = jobs.datasets
        self.runner = jobs.runner
        self.workspace = jobs.workspace
        self.flavours = jobs.flavours
        self.concurrent = concurrent
        self._swept = time.monotonic()

    def run(self, context: TaskContext) -> None:
        """Look at one job and do what is due. Raises `Again` while it is not over."""
        job_id = context.task.key
        with self.database.read() as connection:
            row = records.job_row(connection, job_id)
        if row is None:
            return
        job = records.to_job(row)
        if job.state is JobState.QUEUED:
            job = self._begin(job)
        if job.state is not JobState.RUNNING:
            self.workspace.clear_scratch(job_id)
            return
        stopping, handle = self._must_stop(job), row.run_handle
        if not handle:
            context.progress(0, 0, "preparing the view")
            handle = self._start_or_settle(job, stopping)
        if handle:
            self._follow(job, handle, stopping)

    def failed(self, task: Task, note: str) -> None:
        """Say on the job that it was given up; nothing of it goes on."""
        with self.database.read() as connection:
            row = records.job_row(connection, task.key)
        if row is None or JobState(row.state) in ENDED:
            return
        if row.run_handle:
            with contextlib.suppress(UnknownRun):
                self.runner.stop(row.run_handle)
        self._settle(task.key, JobState.FAILED, "failed", note)

    def sweep(self) -> None:
        """Remove folders of jobs that were never queued, a day later (a chore, once an hour)."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        horizon = clock.now().timestamp() - ABANDONED_SECONDS
        old = [job_id for job_id, changed in self.workspace.folders_of_jobs() if changed < horizon]
        for start in range(0, len(old), 500):
            part = old[start : start + 500]
            with self.database.read() as connection:
                known = records.known_ids(connection, part)
            for job_id in set(part) - known:
                self.workspace.discard(job_id)

    def _begin(self, job: Job) -> Job:
        """Mark a queued job as running, when there is room and its owner still has access.

        Returns the job as it is then. Raises `Again` when there is no room, or another worker
        took the last slot in the same moment.
        """
        try:
            with unit_of_work(self.database, SYSTEM) as work:
                row = records.held_job(work.connection, job.job_id)
                if row is None:
                    return job
                if JobState(row.state) is not JobState.QUEUED:
                    return records.to_job(row)
                if self._still_granted(work.connection, job):
                    self._take_slot(work, job)
                else:
                    values = {"reason": ACCESS_ENDED, "detail": _ACCESS_ENDED_SENTENCE}
                    _end(work, job, JobState.FAILED, values)
                return records.to_job(records.held_job(work.connection, job.job_id) or row)
        except IntegrityError:
            raise Again(WAIT_FOR_ROOM, "waiting for room") from None

    def _take_slot(self, work: UnitOfWork, job: Job) -> None:
        taken = records.taken_slots(work.connection)
        free = sorted(set(range(self.concurrent)) - taken)
        if not free or len(taken) >= self.concurrent:
            raise Again(WAIT_FOR_ROOM, "waiting for room")
        records.update_job(
            work.connection,
            job.job_id,
            state=JOB_LIFE.after(job.state, "start").value,
            slot=free[0],
            started_at=work.now(),
        )
        for dataset_id in job.dataset_ids:
            event = DatasetUsed(
                project_id=job.project_id,
                dataset_id=dataset_id,
                job_id=job.job_id,
                user_id=job.owner_id,
            )
            work.record(event)

    def _start_or_settle(self, job: Job, stopping: bool) -> str:
        """Start the run and return its handle; empty when the job has ended without one.

        A run that must stop is not started. But it may have been, by a node that died before it
        wrote the handle down: then starting it again only tells the handle, and for the case that
        it had not come so far, without the data.
        """
        begun = self.workspace.of_job(job.job_id).run.exists()
        if stopping and not begun:
            self._settle_result(job, None)
            return ""
        try:
            return self._start(job, () if stopping else job.dataset_ids)
        except RunnerUnavailable as failure:
            self._settle(job.job_id, JobState.FAILED, "sandbox-unavailable", str(failure))
            return ""

    def _start(self, job: Job, dataset_ids: Sequence[str]) -> str:
        crash_point("job.began")
        folders = self.workspace.of_job(job.job_id)
        handle = self.runner.start(
            Launch(
                job_id=job.job_id,
                run_dir=folders.run,
                command=job.command,
                home=self.workspace.home_of(job.project_id, job.owner_id),
                work=folders.work,
                outputs=folders.outputs,
                limits=self._limits(job),
                datasets=tuple(Mount(self.datasets.view(item), item) for item in dataset_ids),
                environment={
                    "ALBUFERA_DATASETS": "/datasets",
                    "ALBUFERA_OUTPUTS": "/outputs",
                    "ALBUFERA_JOB_ID": job.job_id,
                },
            )
        )
        crash_point("job.started")
        with self.database.write() as connection:
            records.update_job(connection, job.job_id, run_handle=handle)
        return handle

    def _limits(self, job: Job) -> Limits:
        flavour = self.flavours.get(job.flavour) or next(iter(self.flavours.values()))
        return Limits(
            cpus=flavour.cpus,
            memory_bytes=flavour.memory_bytes,
            seconds=flavour.seconds,
            processes=flavour.processes,
            disk_bytes=flavour.disk_bytes,
        )

    def _follow(self, job: Job, handle: str, stopping: bool) -> None:
        try:
            if stopping:
                self.runner.stop(handle)
            state = self.runner.poll(handle)
        except UnknownRun:
            self._settle(job.job_id, JobState.FAILED, EndReason.LOST.value, _LOST_SENTENCE)
            return
        if state.phase is Phase.ENDED:
            self._settle_result(job, state.result)
            return
        if state.phase is Phase.PREPARED and not self._start_or_settle(job, stopping):
            return
        raise Again(_pause(job), "running")

    def _must_stop(self, job: Job) -> bool:
        """Tell whether the run must end, and remember when that is for want of access."""
        with self.database.read() as connection:
            row = records.job_row(connection, job.job_id)
            granted = self._still_granted(connection, job)
        if row is None or row.cancel_requested or row.reason == ACCESS_ENDED:
            return True
        if not granted:
            with self.database.write() as connection:
                records.update_job(connection, job.job_id, reason=ACCESS_ENDED)
        return not granted

    def _settle_result(self, job: Job, result: RunResult | None) -> None:
        """Settle a job whose run ended, or (None) was told to end before it began."""
        with self.database.read() as connection:
            row = records.job_row(connection, job.job_id)
        ended = EndReason.CANCELLED if result is None else result.reason
        state = _STATES.get(ended, JobState.FAILED)
        reason, detail = ended.value, "" if result is None else result.detail
        if ended is EndReason.CANCELLED and row is not None and row.reason == ACCESS_ENDED:
            state, reason, detail = JobState.FAILED, ACCESS_ENDED, _ACCESS_ENDED_SENTENCE
        self._settle(job.job_id, state, reason, detail, result)

    def _settle(
        self,
        job_id: str,
        state: JobState,
        reason: str,
        detail: str,
        result: RunResult | None = None,
    ) -> None:
        values: dict[str, object] = {"reason": reason, "detail": detail}
        if result is not None:
            values |= {
                "exit_code": result.exit_code,
                "memory_peak_bytes": result.memory_peak_bytes,
                "cpu_seconds": result.cpu_seconds,
            }
        with unit_of_work(self.database, SYSTEM) as work:
            row = records.held_job(work.connection, job_id)
            if row is not None and JobState(row.state) not in ENDED:
                _end(work, records.to_job(row), state, values)
        crash_point("job.settled")
        self.workspace.clear_scratch(job_id)

    def _still_granted(self, connection: Connection, job: Job) -> bool:
        owner = self._owner(connection, job)
        if owner is None:
            return False
        things = (self.datasets.dataset_thing(connection, item) for item in job.dataset_ids)
        return all(
            thing is not None and self.policy.may(connection, owner, "dataset.use", thing)
            for thing in things
        )

    @staticmethod
    def _owner(connection: Connection, job: Job) -> Actor | None:
        row = user_by_id(connection, job.owner_id)
        return None if row is None or row.disabled else to_user(row).actor()


def _end(work: UnitOfWork, job: Job, state: JobState, values: Mapping[str, object]) -> None:
    event = _EVENTS[state]
    after = JOB_LIFE.after(job.state, event)
    ended = {"state": after.value, "slot": None, "ended_at": work.now()}
    records.update_job(work.connection, job.job_id, **values, **ended)
    work.record(ended_event(job, after, str(values["reason"])))


def _pause(job: Job) -> timedelta:
    began = job.started_at or job.submitted_at
    age = (clock.now() - began).total_seconds()
    return timedelta(seconds=min(LATEST, max(SOONEST, age / 10)))


_EVENTS = {JobState.FINISHED: "finish", JobState.FAILED: "fail", JobState.CANCELLED: "cancel"}
_STATES = {EndReason.FINISHED: JobState.FINISHED, EndReason.CANCELLED: JobState.CANCELLED}

_ACCESS_ENDED_SENTENCE = (
    "The right to use a dataset of this job ended: the grant was revoked or ran out, the dataset "
    "was invalidated, or the account was closed."
)
_LOST_SENTENCE = "The job's run directory is gone, so nobody knows how it ended."
