"""Wires a hub: identity, policy, log, enrolment, catalogue and questions. Nothing of a node."""

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from albufera.bootstrap.home import Home, create_home
from albufera.bootstrap.schema import upgrade_schema
from albufera.federation.hub.catalogue import HubCatalogue
from albufera.federation.hub.desk import HubDesk
from albufera.federation.hub.enrolment import EnrolmentService
from albufera.federation.hub.questions import QuestionService
from albufera.federation.messages import Introduction
from albufera.governance.policy import TablePolicy
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.identity.model import User
from albufera.identity.ports import PasswordHasher
from albufera.identity.service import IdentityService
from albufera.kernel.actor import SYSTEM
from albufera.kernel.clock import random_token
from albufera.kernel.database import Database
from albufera.kernel.errors import define
from albufera.kernel.outbox import TaskQueue
from albufera.kernel.policy import Policy
from albufera.kernel.worker import Handler, Worker
from albufera.settings import Settings
from albufera.trace.service import TraceService

FIRST_ADMINISTRATOR = "admin"

NOT_A_HUB = define(
    "not-a-hub",
    409,
    "The home in that directory is a node's, not a hub's.",
    "Make a home of its own for the hub: `albufera --home DIR hub init`.",
)


@dataclass(frozen=True)
class Hub:
    """A hub with everything wired."""

    settings: Settings
    home: Home
    database: Database
    policy: Policy
    identity: IdentityService
    enrolment: EnrolmentService
    catalogue: HubCatalogue
    questions: QuestionService
    desk: HubDesk
    trace: TraceService
    handlers: Mapping[str, Handler]
    chores: Mapping[str, Callable[[], object]]

    def worker(self) -> Worker:
        """Return a worker over this hub's outbox."""
        return Worker(TaskQueue(self.database), self.handlers, self.chores)

    def close(self) -> None:
        """Let go of what the services hold."""
        self.database.close()


def open_hub(settings: Settings, hasher: PasswordHasher | None = None) -> Hub:
    """Open the hub of an existing home. Raises `no-home`, `not-a-hub`."""
    home = Home(settings.home)
    home.require()
    _require_hub(home.settings_file)
    database = Database(settings.database_url)
    policy = TablePolicy()
    enrolment = EnrolmentService(database, policy)
    catalogue = HubCatalogue(database)
    secret = hashlib.blake2b(home.master_secret(), person=b"hub-askers").digest()
    questions = QuestionService(database, policy, secret, settings.hub.questions_per_user)
    key = home.node_key()
    introduction = Introduction(
        protocol="albufera-federation/1",
        name=settings.hub.name,
        url=settings.node.url,
        vkey=key.verify_key.vkey,
        fingerprint=key.verify_key.fingerprint,
    )
    trace = TraceService(database, policy, home.log_key())
    return Hub(
        settings=settings,
        home=home,
        database=database,
        policy=policy,
        identity=IdentityService(database, policy, hasher or Argon2Hasher()),
        enrolment=enrolment,
        catalogue=catalogue,
        questions=questions,
        desk=HubDesk(database, key, introduction, enrolment, catalogue, questions),
        trace=trace,
        handlers={},
        chores={"trace.append": trace.appender.chore},
    )


def create_hub(settings: Settings) -> tuple[Hub, str]:
    """Make a hub's home with keys, database and first administrator; return it and the password.

    Raises `home-exists`.
    """
    create_hub_home(settings.home, settings.hub.name, settings.node.url)
    upgrade_schema(settings.database_url)
    hub = open_hub(settings)
    password = random_token(10)
    hub.identity.create_user(
        SYSTEM, FIRST_ADMINISTRATOR, password, name="Administrator", is_operator=True
    )
    return hub, password


def create_hub_home(root: Path, name: str, url: str) -> Home:
    """Make a home and mark it as a hub's. Raises `home-exists`."""
    home = create_home(root, name, url)
    settings = home.settings_file.read_text(encoding="utf-8")
    shown = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    temporary = home.settings_file.with_suffix(".new")
    temporary.write_text(f'{settings}\n[hub]\nname = "{shown}"\n', encoding="utf-8")
    temporary.replace(home.settings_file)
    return home


def local_operator(hub: Hub) -> User:
    """Return the account as which the command line acts on a local home."""
    return hub.identity.user_named(FIRST_ADMINISTRATOR)


def _require_hub(settings_file: Path) -> None:
    if "hub" not in tomllib.loads(settings_file.read_text(encoding="utf-8")):
        raise NOT_A_HUB(f"{settings_file.parent} is the home of a node.")
