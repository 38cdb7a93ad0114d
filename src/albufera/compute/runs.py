"""Follows jobs from the queue to their end: the handler of the task `job.run`.

Each call looks once and does what is due, so one worker follows many jobs. The database says that
a job runs before the sandbox starts; starting is idempotent, so a node that dies in between starts
it once, when it is back.
"""

from datetime import timedelta

from sqlalchemy.engine import Connection

from albufera.compute import records
from albufera.compute.datasets import Datasets
from albufera.compute.events import DatasetUsed
from albufera.compute.jobs import ended_event
from albufera.compute.model import ENDED, JOB_LIFE, Flavour, Job, JobState
from albufera.compute.ports import (
    EndReason,
    Launch,
    Limits,
    Mount,
    Phase,
    Runner,
    RunnerUnavailable,
    RunResult,
)
from albufera.compute.workspace import Workspace
from albufera.identity.records import to_user, user_by_id
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.outbox import Task
from albufera.kernel.policy import Policy
from albufera.kernel.unit_of_work import unit_of_work
from albufera.kernel.worker import Again, TaskContext

LOOK_AGAIN = timedelta(milliseconds=400)
WAIT_FOR_ROOM = timedelta(seconds=1)
ACCESS_ENDED = "access-ended"


class JobRuns:
    """Starts jobs when there is room, follows them, and settles how they ended."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        datasets: Datasets,
        runner: Runner,
        workspace: Workspace,
        flavours: dict[str, Flavour],
        concurrent: int,
    ) -> None:
        self.database = database
        self.policy = policy
        self.datasets = datasets
        self.runner = runner
        self.workspace = workspace
        self.flavours = flavours
        self.concurrent = concurrent

    def run(self, context: TaskContext) -> None:
        """Look at one job and do what is due. Raises `Again` while it is not over."""
        job_id = context.task.key
        with self.database.read() as connection:
            row = records.job_row(connection, job_id)
        if row is None or JobState(row.state) in ENDED:
            return
        job = records.to_job(row)
        if job.state is JobState.QUEUED and not self._begin(job):
            return
        context.progress(0, 0, "preparing the view")
        try:
            handle = row.run_handle or self._start(job)
        except RunnerUnavailable as failure:
            self._settle(job, JobState.FAILED, "sandbox-unavailable", str(failure))
            return
        self._follow(job, handle)

    def failed(self, task: Task, note: str) -> None:
        """Say on the job that it was given up."""
        with self.database.read() as connection:
            row = records.job_row(connection, task.key)
        if row is not None and JobState(row.state) not in ENDED:
            self._settle(records.to_job(row), JobState.FAILED, "failed", note)

    def _begin(self, job: Job) -> bool:
        """Mark a queued job as running, when there is room and its owner still has access."""
        with unit_of_work(self.database, SYSTEM) as work:
            if records.running_count(work.connection) >= self.concurrent:
                raise Again(WAIT_FOR_ROOM, "waiting for room")
            if not self._still_granted(work.connection, job):
                allowed = False
            else:
                allowed = True
                records.update_job(
                    work.connection, job.job_id, state=JobState.RUNNING.value,
                    started_at=work.now(),
                )  # fmt: skip
                for dataset_id in job.dataset_ids:
                    event = DatasetUsed(
                        project_id=job.project_id,
                        dataset_id=dataset_id,
                        job_id=job.job_id,
                        user_id=job.owner_id,
                    )
                    work.record(event)
        if not allowed:
            self._settle(job, JobState.FAILED, ACCESS_ENDED, _ACCESS_ENDED_SENTENCE)
        return allowed

    def _start(self, job: Job) -> str:
        flavour = self.flavours.get(job.flavour) or next(iter(self.flavours.values()))
        folders = self.workspace.of_job(job.job_id)
        mounts = tuple(Mount(self.datasets.view(item), item) for item in job.dataset_ids)
        handle = self.runner.start(
            Launch(
                job_id=job.job_id,
                run_dir=folders.run,
                command=job.command,
                home=self.workspace.home_of(job.project_id, job.owner_id),
                work=folders.work,
                outputs=folders.outputs,
                limits=Limits(
                    cpus=flavour.cpus,
                    memory_bytes=flavour.memory_bytes,
                    seconds=flavour.seconds,
                    processes=flavour.processes,
                    disk_bytes=flavour.disk_bytes,
                ),
                datasets=mounts,
                environment={
                    "ALBUFERA_DATASETS": "/datasets",
                    "ALBUFERA_OUTPUTS": "/outputs",
                    "ALBUFERA_JOB_ID": job.job_id,
                },
            )
        )
        with self.database.write() as connection:
            records.update_job(connection, job.job_id, run_handle=handle)
        return handle

    def _follow(self, job: Job, handle: str) -> None:
        state = self.runner.poll(handle)
        if state.phase is Phase.ENDED and state.result is not None:
            self._settle_result(job, state.result)
            return
        with self.database.read() as connection:
            row = records.job_row(connection, job.job_id)
            granted = self._still_granted(connection, job)
        if not granted or (row is not None and row.cancel_requested):
            self.runner.stop(handle)
        raise Again(LOOK_AGAIN, "running")

    def _settle_result(self, job: Job, result: RunResult) -> None:
        with self.database.read() as connection:
            granted = self._still_granted(connection, job)
        state = _STATES.get(result.reason, JobState.FAILED)
        reason, detail = result.reason.value, result.detail
        if result.reason is EndReason.CANCELLED and not granted:
            state, reason, detail = JobState.FAILED, ACCESS_ENDED, _ACCESS_ENDED_SENTENCE
        self._settle(job, state, reason, detail, result)

    def _settle(
        self, job: Job, state: JobState, reason: str, detail: str, result: RunResult | None = None
    ) -> None:
        event = {JobState.FINISHED: "finish", JobState.CANCELLED: "cancel"}.get(state, "fail")
        with unit_of_work(self.database, SYSTEM) as work:
            row = records.job_row(work.connection, job.job_id)
            if row is None or JobState(row.state) in ENDED:
                return
            JOB_LIFE.after(JobState(row.state), event)
            records.update_job(
                work.connection,
                job.job_id,
                state=state.value,
                reason=reason,
                detail=detail,
                ended_at=work.now(),
                exit_code=result.exit_code if result else None,
                memory_peak_bytes=result.memory_peak_bytes if result else 0,
                cpu_seconds=result.cpu_seconds if result else 0.0,
            )
            work.record(ended_event(job, state, reason))
        self.workspace.clear_scratch(job.job_id)

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


_STATES = {
    EndReason.FINISHED: JobState.FINISHED,
    EndReason.CANCELLED: JobState.CANCELLED,
}

_ACCESS_ENDED_SENTENCE = (
    "The right to use a dataset of this job ended: the grant was revoked or ran out, or the "
    "dataset was invalidated."
)
