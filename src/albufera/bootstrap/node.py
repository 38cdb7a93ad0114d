"""Wires a node: picks the backends, makes the services, lists the worker's handlers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from albufera.bootstrap.adapters import ClinicalOfSubjects, KeyedSubjectNames, LakeSubjects
from albufera.bootstrap.federation import Federation, open_federation
from albufera.bootstrap.home import Home, create_home
from albufera.bootstrap.publishing import open_publication
from albufera.bootstrap.schema import upgrade_schema
from albufera.catalogue.backends.shelf import FileShelf
from albufera.catalogue.builder import BUILD, DatasetBuilder
from albufera.catalogue.checks import VERIFY, DatasetChecks
from albufera.catalogue.cohorts import CohortService
from albufera.catalogue.contents import DatasetContents
from albufera.catalogue.drafts import DraftService
from albufera.catalogue.lifecycle import LifecycleService
from albufera.catalogue.records import series_granted
from albufera.catalogue.service import CatalogueService
from albufera.catalogue.views import DatasetViews
from albufera.clinical.service import ClinicalService
from albufera.compute.airlock.freezer import Freezer
from albufera.compute.airlock.service import AirlockService
from albufera.compute.backends.bubblewrap import BubblewrapRunner
from albufera.compute.jobs import TASK as RUN_JOB
from albufera.compute.jobs import JobService
from albufera.compute.model import Flavour
from albufera.compute.runs import JobRuns
from albufera.compute.workspace import Workspace
from albufera.federation.node.membership import EXCHANGE
from albufera.governance.access import AccessService
from albufera.governance.policy import TablePolicy
from albufera.governance.projects import ProjectService
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.identity.model import User
from albufera.identity.ports import PasswordHasher
from albufera.identity.service import IdentityService
from albufera.ingest.model import Limits
from albufera.ingest.pipeline import Equipment
from albufera.ingest.quarantine import Quarantine
from albufera.ingest.runs import Runs
from albufera.ingest.service import TASK as RUN_INGEST
from albufera.ingest.service import IngestService
from albufera.kernel.actor import SYSTEM
from albufera.kernel.clock import random_token
from albufera.kernel.database import Database
from albufera.kernel.outbox import TaskQueue
from albufera.kernel.policy import Policy
from albufera.kernel.worker import Handler, Worker
from albufera.lake.backends.filesystem.store import FileSystemStore
from albufera.lake.pictures import PictureStudio
from albufera.lake.service import LakeService
from albufera.publication.service import PublicationService
from albufera.settings import MEBIBYTE, ComputeSettings, Settings
from albufera.trace.service import TraceService
from albufera.trace.verifications import TASK as VERIFY_TRACE
from albufera.trace.verifications import VerificationService

FIRST_ADMINISTRATOR = "admin"


@dataclass(frozen=True)
class Node:
    """A node with everything wired."""

    settings: Settings
    home: Home
    database: Database
    policy: Policy
    identity: IdentityService
    projects: ProjectService
    lake: LakeService
    ingests: IngestService
    clinical: ClinicalService
    catalogue: CatalogueService
    drafts: DraftService
    lifecycle: LifecycleService
    dataset_checks: DatasetChecks
    cohorts: CohortService
    access: AccessService
    publication: PublicationService
    jobs: JobService
    airlock: AirlockService
    federation: Federation
    trace: TraceService
    verifications: VerificationService
    handlers: Mapping[str, Handler]
    chores: Mapping[str, Callable[[], object]]

    def worker(self) -> Worker:
        """Return a worker over this node's outbox."""
        return Worker(TaskQueue(self.database), self.handlers, self.chores)

    def close(self) -> None:
        """Let go of what the services hold."""
        self.lake.studio.close()
        self.database.close()


def open_node(settings: Settings, hasher: PasswordHasher | None = None) -> Node:
    """Open the node of an existing home. Raises `no-home`.

    `hasher` replaces the costly password hasher where a test makes many accounts.
    """
    home = Home(settings.home)
    home.require()
    database = Database(settings.database_url)
    policy = TablePolicy(grantee_relations={"series": series_granted})
    identity = IdentityService(database, policy, hasher or Argon2Hasher())
    projects = ProjectService(database, policy)
    # Each domain adds its services, its handlers of tasks and its chores below this line.
    store = FileSystemStore(home.lake)
    lake = LakeService(database, policy, store, PictureStudio())
    runs = Runs(
        Equipment(database, store, Quarantine(home.quarantine)),
        home.project_secret,
        home.uploads,
        _limits(settings),
    )
    ingests = IngestService(database, policy, projects, runs, home.uploads)
    clinical = ClinicalService(database, policy, projects, KeyedSubjectNames(home), LakeSubjects())
    log_key = home.log_key()
    trace = TraceService(database, policy, log_key)
    verifications = VerificationService(database, policy, log_key.verify_key)
    handlers: dict[str, Handler] = {VERIFY_TRACE: verifications.handler()}
    chores: dict[str, Callable[[], object]] = {"trace.append": trace.appender.chore}
    handlers[RUN_INGEST] = Handler(runs.run_task, runs.task_failed, runs.task_cancelled)
    chores["ingest.sweep"] = ingests.sweep
    shelf, facts = FileShelf(home.manifests), ClinicalOfSubjects()
    contents = DatasetContents(database, shelf)
    views = DatasetViews(database, contents, facts, store, home.views, settings.node.url)
    catalogue = CatalogueService(database, policy, contents, views)
    dataset_checks = DatasetChecks(database, policy, contents, store, views)
    handlers[BUILD] = DatasetBuilder(database, shelf, facts).handler()
    handlers[VERIFY] = dataset_checks.handler()
    lifecycle = LifecycleService(database, policy)
    publication, minting = open_publication(settings.node, home, lifecycle, trace)
    handlers |= minting
    runner, workspace = BubblewrapRunner(), Workspace(home.jobs, home.user_homes)
    flavours = _flavours(settings.compute)
    jobs = JobService(database, policy, catalogue, runner, workspace, flavours)
    job_runs = JobRuns(jobs, settings.compute.concurrent_jobs)
    handlers[RUN_JOB], chores["job.sweep"] = Handler(job_runs.run, job_runs.failed), job_runs.sweep
    freezer = Freezer(home.airlock, settings.compute.egress_mebibytes * MEBIBYTE)
    airlock = AirlockService(database, policy, workspace, freezer)
    chores["airlock.sweep"] = airlock.sweep
    federation = open_federation(settings, home, database, policy)
    handlers[EXCHANGE] = federation.exchange.handler()
    chores["federation.exchange"] = federation.exchange.chore
    return Node(
        settings=settings,
        home=home,
        database=database,
        policy=policy,
        identity=identity,
        projects=projects,
        lake=lake,
        ingests=ingests,
        clinical=clinical,
        catalogue=catalogue,
        drafts=DraftService(database, policy, projects, shelf),
        lifecycle=lifecycle,
        dataset_checks=dataset_checks,
        cohorts=CohortService(database, policy),
        access=AccessService(database, policy, catalogue),
        publication=publication,
        jobs=jobs,
        airlock=airlock,
        federation=federation,
        trace=trace,
        verifications=verifications,
        handlers=handlers,
        chores=chores,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        object_bytes=settings.ingest.max_object_bytes,
        archive_bytes=settings.ingest.max_archive_bytes,
        archive_ratio=settings.ingest.max_archive_ratio,
        archive_members=settings.ingest.max_archive_members,
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


def create_node(settings: Settings) -> tuple[Node, str]:
    """Make a home with keys, database and first administrator; return the node and the password.

    Raises `home-exists`.
    """
    create_home(settings.home, settings.node.name, settings.node.url)
    upgrade_schema(settings.database_url)
    node = open_node(settings)
    password = random_token(10)
    node.identity.create_user(
        SYSTEM, FIRST_ADMINISTRATOR, password, name="Administrator", is_operator=True
    )
    return node, password


def local_operator(node: Node) -> User:
    """Return the account as which the command line acts on a local home."""
    return node.identity.user_named(FIRST_ADMINISTRATOR)
