"""Wires a node: picks the backends, makes the services, lists the worker's handlers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from albufera.bootstrap.home import Home, create_home
from albufera.bootstrap.schema import upgrade_schema
from albufera.governance.policy import TablePolicy
from albufera.governance.projects import ProjectService
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.identity.model import User
from albufera.identity.ports import PasswordHasher
from albufera.identity.service import IdentityService
from albufera.kernel.actor import SYSTEM
from albufera.kernel.clock import random_token
from albufera.kernel.database import Database
from albufera.kernel.outbox import TaskQueue
from albufera.kernel.policy import Policy
from albufera.kernel.worker import Handler, Worker
from albufera.settings import Settings

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
    handlers: Mapping[str, Handler]
    chores: Mapping[str, Callable[[], object]]

    def worker(self) -> Worker:
        """Return a worker over this node's outbox."""
        return Worker(TaskQueue(self.database), self.handlers, self.chores)

    def close(self) -> None:
        """Let go of what the services hold."""
        self.database.close()


def open_node(settings: Settings, hasher: PasswordHasher | None = None) -> Node:
    """Open the node of an existing home. Raises `no-home`.

    `hasher` replaces the costly password hasher where a test makes many accounts.
    """
    home = Home(settings.home)
    home.require()
    database = Database(settings.database_url)
    policy = TablePolicy()
    identity = IdentityService(database, policy, hasher or Argon2Hasher())
    projects = ProjectService(database, policy)
    # Each domain adds its services, its handlers of tasks and its chores below this line.
    handlers: dict[str, Handler] = {}
    chores: dict[str, Callable[[], object]] = {}
    return Node(
        settings=settings,
        home=home,
        database=database,
        policy=policy,
        identity=identity,
        projects=projects,
        handlers=handlers,
        chores=chores,
    )


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
