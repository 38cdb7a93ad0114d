"""Verbs of jobs: submit, list, show, logs, cancel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from albufera.compute import records
from albufera.compute.datasets import Datasets
from albufera.compute.events import JobEnded, JobSubmitted
from albufera.compute.model import (
    FLAVOUR_NOT_FOUND,
    JOB_LIFE,
    JOB_NOT_FOUND,
    MAX_DATASETS,
    SANDBOX_UNAVAILABLE,
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
from albufera.kernel.errors import INVALID, NOT_FOUND
from albufera.kernel.ids import new_id
from albufera.kernel.pages import Page, PageRequest, cut
from albufera.kernel.policy import Policy, Thing
from albufera.kernel.unit_of_work import unit_of_work

TASK = "job.run"


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

        Raises `sandbox-unavailable` (never runs bare), `not-found`, `forbidden`, `invalid-input`.
        """
        command, files = tuple(submission.command), dict(submission.files)
        check_command(command)
        check_attachments(files)
        flavour = self._flavour(submission.flavour)
        wanted = tuple(dict.fromkeys(submission.dataset_ids))
        available = self.runner.available()
        if not available.ok:
            raise SANDBOX_UNAVAILABLE(f"{available.reason} {available.remedy}".strip())
        job_id = new_id("jo")
        with unit_of_work(self.database, actor) as work:
            project_id = self._one_project(work.connection, actor, wanted)
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
            work.record(
                JobSubmitted(
                    project_id=project_id, job_id=job_id, command_digest=digest(list(command))
                )
            )
            work.enqueue(TASK, job_id, {})
            self.workspace.prepare(job_id, files)
            return self._find(work.connection, job_id)

    def list(self, actor: Actor, request: PageRequest, dataset_id: str = "") -> Page[Job]:
        """Return the jobs that `actor` may see, newest first."""
        table = records.jobs
        query = records.JOBS.where(self.policy.which(actor, "job.view", records.COLUMNS))
        if request.after:
            query = query.where(table.c.job_id < request.after)
        if dataset_id:
            query = query.where(table.c.dataset_ids.like(f'%"{dataset_id}"%'))
        query = query.order_by(table.c.job_id.desc()).limit(request.limit + 1)
        with self.database.read() as connection:
            items = [records.to_job(row) for row in connection.execute(query)]
        return cut(items, request, lambda job: job.job_id)

    def show(self, actor: Actor, job_id: str) -> tuple[Job, tuple[str, ...]]:
        """Return a job and what the caller may do to it. Raises `job-not-found`."""
        with self.database.read() as connection:
            job = self._require(connection, actor, job_id, "job.view")
            allowed = self.policy.allowed(connection, actor, thing_of(job))
        idle = set() if JOB_LIFE.allowed(job.state) else {"cancel"}
        return job, tuple(verb for verb in allowed if verb not in idle)

    def cancel(self, actor: Actor, job_id: str) -> Job:
        """End a job: at once if it waits, within moments if it runs."""
        with unit_of_work(self.database, actor) as work:
            job = self._require(work.connection, actor, job_id, "job.cancel")
            JOB_LIFE.after(job.state, "cancel")
            records.update_job(work.connection, job_id, cancel_requested=True)
            if job.state is JobState.QUEUED:
                records.update_job(
                    work.connection, job_id, state=JobState.CANCELLED.value,
                    reason="cancelled", ended_at=work.now(),
                )  # fmt: skip
                work.record(ended_event(job, JobState.CANCELLED, "cancelled"))
            handle = records.job_row(work.connection, job_id)
        if handle is not None and handle.run_handle:
            self.runner.stop(handle.run_handle)
        return self.show(actor, job_id)[0]

    def logs(self, actor: Actor, job_id: str, offset: int, limit: int) -> bytes:
        """Return a part of what the job printed, from byte `offset` on; empty before it starts."""
        with self.database.read() as connection:
            self._require(connection, actor, job_id, "job.logs")
            row = records.job_row(connection, job_id)
        if row is None or not row.run_handle:
            return b""
        try:
            return self.runner.logs(row.run_handle, offset, limit)
        except UnknownRun:
            return b""

    def outputs(self, actor: Actor, job_id: str) -> tuple[Sequence[Output], bool]:
        """Return what the job left in `/outputs` (names and sizes), and whether there is more."""
        with self.database.read() as connection:
            self._require(connection, actor, job_id, "job.egress")
        return self.workspace.outputs(job_id)

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
                raise NOT_FOUND("There is no such dataset, or none that you may know of.")
            self.policy.require(connection, actor, "dataset.use", thing)
            projects.add(thing.project_id or "")
        if len(projects) != 1:
            raise INVALID("The datasets of one job belong to one project.", field="datasets")
        return projects.pop()

    def _require(self, connection: Connection, actor: Actor, job_id: str, verb: str) -> Job:
        job = self._find(connection, job_id)
        self.policy.require(connection, actor, verb, thing_of(job))
        return job

    @staticmethod
    def _find(connection: Connection, job_id: str) -> Job:
        row = records.job_row(connection, job_id) if "\0" not in job_id else None
        if row is None:
            raise JOB_NOT_FOUND()
        return records.to_job(row)


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
