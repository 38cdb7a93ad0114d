"""A town with released datasets, a runner that is a double, and the services of jobs over both."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from albufera.catalogue.model import Properties
from albufera.catalogue.query.language import parse
from albufera.compute.airlock.freezer import Freezer
from albufera.compute.airlock.service import AirlockService
from albufera.compute.jobs import TASK, JobService, Submission
from albufera.compute.model import Flavour, Job, JobState
from albufera.compute.ports import (
    Availability,
    EndReason,
    Launch,
    Phase,
    RunnerUnavailable,
    RunResult,
    RunState,
    UnknownRun,
    Usage,
)
from albufera.compute.runs import JobRuns
from albufera.compute.workspace import Workspace
from albufera.governance.access import Terms
from albufera.governance.model import Role
from albufera.kernel.actor import Actor
from albufera.kernel.outbox import Task, TaskQueue
from albufera.kernel.worker import Again, Handler, TaskContext, Worker
from tests.catalogue.lakes import cohort, fill
from tests.nodes import Town, town

FLAVOURS = (
    Flavour("standard", 2.0, 2**30, 60, 128, 2**26),
    Flavour("small", 1.0, 2**28, 30, 64, 2**25),
)


@dataclass
class StandInRunner:
    """A double of the Runner: it keeps the contract's promises and runs nothing.

    A handle is the run directory. A test says by `end` how a run ended.
    """

    started: list[Launch] = field(default_factory=list)
    results: dict[str, RunResult] = field(default_factory=dict)
    logs_of: dict[str, bytes] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    availability: Availability = field(default_factory=lambda: Availability(True))
    prepared: set[str] = field(default_factory=set)

    def available(self) -> Availability:
        return self.availability

    def start(self, launch: Launch) -> str:
        if not self.availability.ok:
            raise RunnerUnavailable(self.availability.reason, self.availability.remedy)
        handle = str(launch.run_dir)
        launch.run_dir.mkdir(exist_ok=True)
        if handle not in {str(known.run_dir) for known in self.started}:
            self.started.append(launch)
        self.prepared.discard(handle)
        return handle

    def stop(self, handle: str) -> None:
        self._know(handle)
        self.stopped.append(handle)
        if handle not in self.results:
            self.end(handle, EndReason.CANCELLED)

    def poll(self, handle: str) -> RunState:
        self._know(handle)
        if handle in self.prepared:
            return RunState(Phase.PREPARED)
        result = self.results.get(handle)
        return RunState(Phase.RUNNING if result is None else Phase.ENDED, result)

    def logs(self, handle: str, offset: int, limit: int) -> bytes:
        self._know(handle)
        return self.logs_of.get(handle, b"")[offset : offset + limit]

    def stats(self, handle: str) -> Usage:
        return Usage(0, 0, 0.0, 0.0, 0, 0)

    def end(self, handle: str, reason: EndReason, code: int | None = None) -> None:
        """Let a run end."""
        self.results[handle] = RunResult(reason, code, "", 1000, 1.5, 2.0, False, time.time())

    def forget(self) -> None:
        """Lose everything, as when somebody removes the run directories."""
        self.started.clear()

    def _know(self, handle: str) -> None:
        if handle not in {str(known.run_dir) for known in self.started}:
            raise UnknownRun(handle)


class _Alone:
    """A double of the task queue's side of a context: nobody else wants the task."""

    def beat(self, *_: object) -> None:
        pass


@dataclass
class Yard:
    """Everything that a job needs, in two projects; the researcher of LUNG holds a grant."""

    town: Town
    runner: StandInRunner
    jobs: JobService
    runs: JobRuns
    airlock: AirlockService
    dataset_id: str
    other_dataset_id: str
    grant_id: str

    def person(self, role: Role, code: str = "LUNG") -> Actor:
        return self.town.people[code, role]

    @property
    def researcher(self) -> Actor:
        return self.person(Role.RESEARCHER)

    def submit(
        self, *command: str, actor: Actor | None = None, files: Mapping[str, bytes] | None = None
    ) -> Job:
        """Queue a job of the researcher on the granted dataset."""
        words = command or ("python", "-c", "pass")
        submission = Submission([self.dataset_id], words, files=files or {})
        return self.jobs.submit(actor or self.researcher, submission)

    def turn(self, job: Job) -> bool:
        """Look at a job once, as a worker would; tell whether it wants to be looked at again."""
        task = Task("tk", TASK, job.job_id, {}, 1)
        try:
            self.runs.run(TaskContext(cast(TaskQueue, _Alone()), task, "test"))
        except Again:
            return True
        return False

    def now(self, job: Job) -> Job:
        """Return the job as it is now."""
        return self.jobs.show(self.town.operator, job.job_id)[0]

    def handle(self, job: Job) -> str:
        return str(self.jobs.workspace.of_job(job.job_id).run)

    def finished(self, **outputs: bytes) -> Job:
        """Return a job that ran to its end and left these files."""
        job = self.submit()
        self.turn(job)
        for name, content in outputs.items():
            (self.outputs(job) / name).write_bytes(content)
        self.runner.end(self.handle(job), EndReason.FINISHED, 0)
        self.turn(job)
        found = self.now(job)
        assert found.state is JobState.FINISHED
        return found

    def outputs(self, job: Job) -> Path:
        return self.jobs.workspace.of_job(job.job_id).outputs

    def worker(self) -> Worker:
        """Return a worker that does the tasks of jobs alone."""
        handlers = {TASK: Handler(self.runs.run, self.runs.failed)}
        return Worker(TaskQueue(self.town.node.database), handlers, {})


@contextmanager
def yard(folder: Path, concurrent: int = 2) -> Iterator[Yard]:
    """Open a yard in a new home."""
    with town(folder / "home") as place:
        node, runner = place.node, StandInRunner()
        datasets = {code: release(place, code) for code in ("LUNG", "BREAST")}
        grant_id = give(place, datasets["LUNG"], "lung.researcher")
        give(place, datasets["BREAST"], "breast.researcher", "BREAST")
        workspace = Workspace(node.home.jobs, node.home.user_homes)
        jobs = JobService(node.database, node.policy, node.catalogue, runner, workspace, FLAVOURS)
        freezer = Freezer(node.home.airlock, 1024 * 1024)
        airlock = AirlockService(node.database, node.policy, workspace, freezer)
        runs = JobRuns(jobs, concurrent)
        place.node = replace(node, jobs=jobs, airlock=airlock)
        yield Yard(place, runner, jobs, runs, airlock, datasets["LUNG"], datasets["BREAST"],
                   grant_id)  # fmt: skip


def release(place: Town, code: str) -> str:
    """Put a few series into a project's lake and release a dataset of them; return its id."""
    fill(place.node, code, cohort(3))
    steward = place.people[code, Role.STEWARD]
    draft = place.node.drafts.create(
        steward, code, Properties(f"{code} CT"), parse("modality = CT")
    )
    place.drain()
    return place.node.lifecycle.release(steward, draft.dataset_id).dataset_id


def give(place: Town, dataset_id: str, username: str, code: str = "LUNG") -> str:
    """Grant a dataset to a person; return the grant's id."""
    committee = place.people[code, Role.COMMITTEE_MEMBER]
    return place.node.access.grant(committee, dataset_id, username, Terms()).grant_id
