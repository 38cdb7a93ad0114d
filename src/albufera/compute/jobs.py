"""Verbs of jobs: submit, list, show, logs, cancel."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.compute import records
from albufera.compute.datasets import Datasets
from albufera.compute.events import JobEnded, JobSubmitted
from albufera.compute.model import (
    FLAVOUR_NOT_FOUND,
    JOB_LIFE,
    JOB_NOT_FOUND,
    MAX_DATASETS,
    MAX_WAITING_JOBS,
    NOT_GRANTED,
    SANDBOX_UNAVAILABLE,
    TOO_MANY_JOBS,
    Flavour,
    Job,
    JobState,
    Output,
    check_attachments,
    check_command,
)
from albufera.compute.ports import Runner, UnknownRun
from albufera.compute.workspace import Workspace
from albufera.kernel.actor import Actor
from albufera.kernel.canonical import digest
from albufera.kernel.database import Database
from albufera.kernel.errors import FORBIDDEN, INVALID, NOT_FOUND, Refusal
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work

TASK = "job.run"
PREFIX = "jo"
MAX_LOG_BITS = 34
"""Logs are shorter than two to this power, in bytes."""


@dataclass(frozen=True)
class Submission:
    """What a person asks to be run. `files` are placed in the working directory."""

    dataset_ids: Sequence[str]
    command: Sequence[str]
    flavour: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)


class JobService:
    """Jobs beside the data."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        datasets: Datasets,
        runner: Runner,
        workspace: Workspace,
        flavours: Sequence[Flavour],
    ) -> None:
        self.database = database
        self.policy = policy
        self.datasets = datasets
        self.runner = runner
        self.workspace = workspace
        self.flavours = {flavour.name: flavour for flavour in flavours}

    def submit(self, actor: Actor, submission: Submission) -> Job:
        """Queue a job on granted datasets of one project.

        Raises `sandbox-unavailable` (never runs bare), `not-found`, `dataset-not-granted`,
        `too-many-jobs`, `invalid-input`.
        """
        command = tuple(submission.command)
        check_command(command)
        files = check_attachments(submission.files)
        flavour = self._flavour(submission.flavour)
        wanted = tuple(dict.fromkeys(submission.dataset_ids))
        with self.database.read() as connection:
            self._one_project(connection, actor, wanted)
        available = self.runner.available()
        if not available.ok:
            raise SANDBOX_UNAVAILABLE(f"{available.reason} {available.remedy}".strip())
        job_id = new_id(PREFIX)
        self.workspace.prepare(job_id, files)
        try:
            return self._queue(actor, job_id, wanted, command, flavour)
        except BaseException:
            self.workspace.discard(job_id)
            raise

    def list(self, actor: Actor, request: PageRequest, dataset_id: str = "") -> Page[Job]:
        """Return the jobs that `actor` may see, newest first; on one dataset if it is named."""
        table = records.jobs
        query = records.JOBS.where(self.policy.which(actor, "job.view", records.COLUMNS))
        if request.after:
            if not is_id(request.after, PREFIX):
                raise INVALID("“after” is the identifier of a job.", field="after")
            query = query.where(table.c.job_id < request.after)
        if dataset_id:
            query = query.where(records.uses(dataset_id) if is_id(dataset_id, "ds") else sa.false())
        query = query.order_by(table.c.job_id.desc()).limit(request.limit + 1)
        with self.database.read() as connection:
            items = [records.to_job(row) for row in connection.execute(query)]
        return cut(items, request, lambda job: job.job_id)

    def show(self, actor: Actor, job_id: str) -> tuple[Job, tuple[str, ...]]:
        """Return a job and what the caller may do to it. Raises `job-not-found`."""
        with self.database.read() as connection:
            job = resolve_job(connection, self.policy, actor, job_id, "job.view")
            allowed = self.policy.allowed(connection, actor, thing_of(job))
        idle = set() if "cancel" in JOB_LIFE.allowed(job.state) else {"cancel"}
        return job, tuple(verb for verb in allowed if verb not in idle)

    def cancel(self, actor: Actor, job_id: str) -> Job:
        """End a job: at once if it waits, within moments if it runs."""
        with unit_of_work(self.database, actor) as work:
            row = records.held_job(work.connection, job_id) if is_id(job_id, PREFIX) else None
            job = resolve_job(work.connection, self.policy, actor, job_id, "job.cancel")
            JOB_LIFE.after(job.state, "cancel")
            values: dict[str, object] = {"cancel_requested": True}
            if job.state is JobState.QUEUED:
                values |= {"state": JobState.CANCELLED.value, "reason": "cancelled"}
                values |= {"ended_at": work.now()}
                work.record(ended_event(job, JobState.CANCELLED, "cancelled"))
            records.update_job(work.connection, job_id, **values)
        if row is not None and row.run_handle:
            with contextlib.suppress(UnknownRun):
                self.runner.stop(row.run_handle)
        return self.show(actor, job_id)[0]

    def logs(self, actor: Actor, job_id: str, offset: int, limit: int) -> bytes:
        """Return a part of what the job printed, from byte `offset` on; empty before it starts."""
        return self._log(self._handle(actor, job_id), offset, limit)

    def log_tail(self, actor: Actor, job_id: str, size: int) -> tuple[bytes, int]:
        """Return at most the last `size` bytes of what the job printed, and where they begin."""
        handle = self._handle(actor, job_id)
        end, step = 0, 1 << MAX_LOG_BITS
        while step:  # the greatest offset before which there is a byte
            if self._log(handle, end + step - 1, 1):
                end += step
            step >>= 1
        start = max(0, end - size)
        return self._log(handle, start, size), start

    def outputs(self, actor: Actor, job_id: str) -> tuple[Sequence[Output], bool]:
        """Return what the job left in `/outputs` (names and sizes), and whether there is more."""
        with self.database.read() as connection:
            resolve_job(connection, self.policy, actor, job_id, "job.egress")
        return self.workspace.outputs(job_id)

    def _queue(
        self,
        actor: Actor,
        job_id: str,
        wanted: Sequence[str],
        command: Sequence[str],
        flavour: Flavour,
    ) -> Job:
        with unit_of_work(self.database, actor) as work:
            project_id = self._one_project(work.connection, actor, wanted)
            if records.live_count(work.connection, actor.user_id) >= MAX_WAITING_JOBS:
                raise TOO_MANY_JOBS(f"One person has at most {MAX_WAITING_JOBS} jobs waiting.")
            work.connection.execute(
                records.jobs.insert().values(
                    job_id=job_id,
                    project_id=project_id,
                    owner_id=actor.user_id,
                    dataset_ids=list(wanted),
                    command=list(command),
                    flavour=flavour.name,
                    state=JobState.QUEUED.value,
                    submitted_at=work.now(),
                )
            )
            told = digest(list(command))
            work.record(JobSubmitted(project_id=project_id, job_id=job_id, command_digest=told))
            work.enqueue(TASK, job_id, {})
            return resolve_job(work.connection, self.policy, actor, job_id, "job.view")

    def _handle(self, actor: Actor, job_id: str) -> str:
        with self.database.read() as connection:
            resolve_job(connection, self.policy, actor, job_id, "job.logs")
            row = records.job_row(connection, job_id)
        return row.run_handle if row is not None else ""

    def _log(self, handle: str, offset: int, limit: int) -> bytes:
        try:
            return self.runner.logs(handle, offset, limit) if handle else b""
        except UnknownRun:
            return b""

    def _flavour(self, name: str) -> Flavour:
        if not name:
            return next(iter(self.flavours.values()))
        if name not in self.flavours:
            raise FLAVOUR_NOT_FOUND(f"The flavours are: {', '.join(self.flavours)}.")
        return self.flavours[name]

    def _one_project(self, connection: Connection, actor: Actor, wanted: Sequence[str]) -> str:
        if not 0 < len(wanted) <= MAX_DATASETS:
            raise INVALID(f"A job uses 1 to {MAX_DATASETS} datasets.", field="datasets")
        projects = set()
        for dataset_id in wanted:  # at most 16: each is its own decision
            thing = self.datasets.dataset_thing(connection, dataset_id)
            if thing is None:
                raise NOT_FOUND(_NO_DATASET, field="datasets")
            self._require_use(connection, actor, thing)
            projects.add(thing.project_id or "")
        if len(projects) != 1:
            raise INVALID("The datasets of one job belong to one project.", field="datasets")
        return projects.pop()

    def _require_use(self, connection: Connection, actor: Actor, thing: Thing) -> None:
        try:
            self.policy.require(connection, actor, "dataset.use", thing)
        except Refusal as refusal:
            if refusal.code == FORBIDDEN.code:
                raise NOT_GRANTED(field="datasets") from refusal
            raise NOT_FOUND(_NO_DATASET, field="datasets") from refusal


_NO_DATASET = "There is no such dataset, or none that you may know of."


def resolve_job(
    connection: Connection, policy: Policy, actor: Actor, job_id: str, verb: str
) -> Job:
    """Return a job to which the caller may do `verb`, by any string.

    Raises `job-not-found` for one that the caller may not know of, too; `forbidden`.
    """
    row = records.job_row(connection, job_id) if is_id(job_id, PREFIX) else None
    if row is None:
        raise JOB_NOT_FOUND()
    job = records.to_job(row)
    try:
        policy.require(connection, actor, verb, thing_of(job))
    except Refusal as refusal:
        if refusal.code == NOT_FOUND.code:
            raise JOB_NOT_FOUND() from refusal
        raise
    return job


def thing_of(job: Job) -> Thing:
    """Return the facts of a job that rules look at."""
    return Thing("job", job.job_id, job.project_id, job.owner_id, job.state.value)


def ended_event(job: Job, state: JobState, reason: str) -> JobEnded:
    """Return the event of a job's end."""
    return JobEnded(
        project_id=job.project_id,
        job_id=job.job_id,
        user_id=job.owner_id,
        state=state.value,
        reason=reason,
    )
