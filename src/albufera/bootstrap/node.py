"""Wires a node: picks the backends, makes the services, lists the worker's handlers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from albufera.bootstrap.adapters import KeyedSubjectNames, LakeSubjects
from albufera.bootstrap.federation import Federation, open_federation
from albufera.bootstrap.home import Home, create_home
from albufera.bootstrap.publishing import open_publication
from albufera.bootstrap.rooms import (
    Duties,
    Ground,
    open_compute,
    open_datasets,
    open_ingest,
    open_trace,
)
from albufera.bootstrap.schema import upgrade_schema
from albufera.catalogue.checks import DatasetChecks
from albufera.catalogue.cohorts import CohortService
from albufera.catalogue.drafts import DraftService
from albufera.catalogue.lifecycle import LifecycleService
from albufera.catalogue.records import series_granted
from albufera.catalogue.service import CatalogueService
from albufera.clinical.service import ClinicalService
from albufera.compute.airlock.service import AirlockService
from albufera.compute.jobs import JobService
from albufera.federation.node.membership import EXCHANGE
from albufera.governance.access import AccessService
from albufera.governance.policy import TablePolicy
from albufera.governance.projects import ProjectService
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.identity.model import User
from albufera.identity.ports import PasswordHasher
from albufera.identity.service import IdentityService
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
from albufera.settings import Settings
from albufera.trace.service import TraceService
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
    projects, store = ProjectService(database, policy), FileSystemStore(home.lake)
    duties = Duties()
    ground = Ground(settings, home, database, policy, projects, store, duties)
    trace, verifications = open_trace(ground)
    datasets = open_datasets(ground)
    jobs, airlock = open_compute(ground, datasets.catalogue)
    publication, minting = open_publication(settings.node, home, datasets.lifecycle, trace)
    duties.handlers.update(minting)
    return Node(
        settings=settings,
        home=home,
        database=database,
        policy=policy,
        identity=IdentityService(database, policy, hasher or Argon2Hasher()),
        projects=projects,
        lake=LakeService(database, policy, store, PictureStudio()),
        ingests=open_ingest(ground),
        clinical=ClinicalService(
            database, policy, projects, KeyedSubjectNames(home), LakeSubjects()
        ),
        catalogue=datasets.catalogue,
        drafts=datasets.drafts,
        lifecycle=datasets.lifecycle,
        dataset_checks=datasets.checks,
        cohorts=datasets.cohorts,
        access=AccessService(database, policy, datasets.catalogue),
        publication=publication,
        jobs=jobs,
        airlock=airlock,
        federation=_open_federation(ground),
        trace=trace,
        verifications=verifications,
        handlers=duties.handlers,
        chores=duties.chores,
    )


def _open_federation(ground: Ground) -> Federation:
    federation = open_federation(ground.settings, ground.home, ground.database, ground.policy)
    ground.duties.handlers[EXCHANGE] = federation.exchange.handler()
    ground.duties.chores["federation.exchange"] = federation.exchange.chore
    return federation


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
