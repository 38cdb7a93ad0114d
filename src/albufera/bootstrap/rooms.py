"""The rooms of a node, wired one by one: each function makes the services of a domain."""

from collections.abc import Callable
from dataclasses import dataclass, field

from albufera.bootstrap.adapters import ClinicalOfSubjects
from albufera.bootstrap.home import Home
from albufera.catalogue.backends.shelf import FileShelf
from albufera.catalogue.builder import BUILD, DatasetBuilder
from albufera.catalogue.checks import VERIFY, DatasetChecks
from albufera.catalogue.cohorts import CohortService
from albufera.catalogue.contents import DatasetContents
from albufera.catalogue.drafts import DraftService
from albufera.catalogue.lifecycle import LifecycleService
from albufera.catalogue.service import CatalogueService
from albufera.catalogue.views import DatasetViews
from albufera.compute.airlock.freezer import Freezer
from albufera.compute.airlock.service import AirlockService
from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.compute.jobs import TASK as RUN_JOB
from albufera.compute.jobs import JobService
from albufera.compute.model import Flavour
from albufera.compute.runs import JobRuns
from albufera.compute.workspace import Workspace
from albufera.governance.projects import ProjectService
from albufera.ingest.model import Limits
from albufera.ingest.pipeline import Equipment
from albufera.ingest.quarantine import Quarantine
from albufera.ingest.runs import Runs
from albufera.ingest.service import TASK as RUN_INGEST
from albufera.ingest.service import IngestService
from albufera.kernel.database import Database
from albufera.kernel.policy import Policy
from albufera.kernel.worker import Handler
from albufera.lake.backends.filesystem.store import FileSystemStore
from albufera.settings import MEBIBYTE, ComputeSettings, IngestSettings, Settings
from albufera.trace.service import TraceService
from albufera.trace.verifications import TASK as VERIFY_TRACE
from albufera.trace.verifications import VerificationService


@dataclass(frozen=True)
class Duties:
    """What the worker is to do: handlers of tasks by kind, and chores between them."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    chores: dict[str, Callable[[], object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ground:
    """What every room stands on."""

    settings: Settings
    home: Home
    database: Database
    policy: Policy
    projects: ProjectService
    store: FileSystemStore
    duties: Duties


@dataclass(frozen=True)
class DatasetRoom:
    """The services of the catalogue."""

    catalogue: CatalogueService
    drafts: DraftService
    lifecycle: LifecycleService
    checks: DatasetChecks
    cohorts: CohortService


def open_ingest(ground: Ground) -> IngestService:
    """Wire the taking in of studies."""
    runs = Runs(
        Equipment(ground.database, ground.store, Quarantine(ground.home.quarantine)),
        ground.home.project_secret,
        ground.home.uploads,
        _limits(ground.settings.ingest),
    )
    ingests = IngestService(
        ground.database, ground.policy, ground.projects, runs, ground.home.uploads
    )
    handler = Handler(runs.run_task, runs.task_failed, runs.task_cancelled)
    ground.duties.handlers[RUN_INGEST] = handler
    ground.duties.chores["ingest.sweep"] = ingests.sweep
    return ingests


def open_trace(ground: Ground) -> tuple[TraceService, VerificationService]:
    """Wire the log: its appender is a chore, its verification a task."""
    log_key = ground.home.log_key()
    trace = TraceService(ground.database, ground.policy, log_key)
    verifications = VerificationService(ground.database, ground.policy, log_key.verify_key)
    ground.duties.chores["trace.append"] = trace.appender.chore
    ground.duties.handlers[VERIFY_TRACE] = verifications.handler()
    return trace, verifications


def open_datasets(ground: Ground) -> DatasetRoom:
    """Wire the catalogue: building and verifying datasets are tasks."""
    database, policy, home = ground.database, ground.policy, ground.home
    shelf, facts = FileShelf(home.manifests), ClinicalOfSubjects()
    contents = DatasetContents(database, shelf)
    url = ground.settings.node.url
    views = DatasetViews(database, contents, facts, ground.store, home.views, url)
    checks = DatasetChecks(database, policy, contents, ground.store, views)
    ground.duties.handlers[BUILD] = DatasetBuilder(database, shelf, facts).handler()
    ground.duties.handlers[VERIFY] = checks.handler()
    return DatasetRoom(
        catalogue=CatalogueService(database, policy, contents, views),
        drafts=DraftService(database, policy, ground.projects, shelf),
        lifecycle=LifecycleService(database, policy),
        checks=checks,
        cohorts=CohortService(database, policy),
    )


def open_compute(ground: Ground, catalogue: CatalogueService) -> tuple[JobService, AirlockService]:
    """Wire jobs beside the data and the airlock."""
    database, policy, home = ground.database, ground.policy, ground.home
    chosen, duties = ground.settings.compute, ground.duties
    runner, workspace = BubblewrapRunner(), Workspace(home.jobs, home.user_homes)
    jobs = JobService(database, policy, catalogue, runner, workspace, _flavours(chosen))
    runs = JobRuns(jobs, chosen.concurrent_jobs)
    duties.handlers[RUN_JOB] = Handler(runs.run, runs.failed)
    duties.chores["job.sweep"] = runs.sweep
    freezer = Freezer(home.airlock, chosen.egress_mebibytes * MEBIBYTE)
    airlock = AirlockService(database, policy, workspace, freezer)
    duties.chores["airlock.sweep"] = airlock.sweep
    return jobs, airlock


def _limits(chosen: IngestSettings) -> Limits:
    return Limits(
        object_bytes=chosen.max_object_bytes,
        archive_bytes=chosen.max_archive_bytes,
        archive_ratio=chosen.max_archive_ratio,
        archive_members=chosen.max_archive_members,
    )


def _flavours(compute: ComputeSettings) -> tuple[Flavour, ...]:
    """What a job may use: `standard` as the settings say, `small` a fraction of it."""
    standard = Flavour(
        name="standard",
        cpus=compute.cpus,
        memory_bytes=compute.memory_mebibytes * MEBIBYTE,
        seconds=compute.seconds,
        processes=compute.processes,
        disk_bytes=compute.disk_mebibytes * MEBIBYTE,
    )
    small = Flavour(
        name="small",
        cpus=compute.cpus / 2,
        memory_bytes=min(256 * MEBIBYTE, standard.memory_bytes),
        seconds=min(600, standard.seconds),
        processes=min(64, standard.processes),
        disk_bytes=min(512 * MEBIBYTE, standard.disk_bytes),
    )
    return standard, small
