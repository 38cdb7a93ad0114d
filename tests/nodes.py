"""A wired node for tests, with people of every role in two projects."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from albufera.bootstrap.home import create_home
from albufera.bootstrap.node import Node, open_node
from albufera.entrypoints.cli.client import LocalTransport
from albufera.entrypoints.node_app import create_node_app
from albufera.governance.model import Role
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.kernel.actor import SYSTEM, Actor
from albufera.settings import Settings
from tests.databases import new_sqlite

PASSWORD = "a password of some length"


@dataclass
class Town:
    """A node with an operator and, in each of two projects, one person of each role.

    `town.people["LUNG", Role.STEWARD]` is the actor; usernames are `lung.steward` and so on.
    """

    node: Node
    operator: Actor
    people: dict[tuple[str, Role], Actor]

    def client(self, actor: Actor) -> httpx.Client:
        """Return an HTTP client of the node's application, acting as `actor`."""
        transport = LocalTransport(create_node_app(self.node), actor)
        return httpx.Client(transport=transport, base_url="http://localhost")

    def drain(self) -> None:
        """Let the worker do everything that is due."""
        self.node.worker().drain()


def make_home(folder: Path) -> Settings:
    """Make a home with all tables, without running the migrations (tests of those are apart)."""
    create_home(folder, "Test node", "http://127.0.0.1:8080")
    new_sqlite(folder / "albufera.sqlite")
    return Settings(home=folder)


def open_quickly(folder: Path) -> Node:
    """Open the node of a home, with a password hasher that costs next to nothing."""
    return open_node(Settings(home=folder), Argon2Hasher(memory_kibibytes=64, passes=1))


@contextmanager
def town(folder: Path, projects: tuple[str, ...] = ("LUNG", "BREAST")) -> Iterator[Town]:
    """Open a node in a new home in `folder`, populated."""
    template = _template(projects)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(template.home, folder, dirs_exist_ok=True)
    node = open_quickly(folder)
    try:
        yield Town(node, template.operator, dict(template.people))
    finally:
        node.close()


@contextmanager
def town_elsewhere(folder: Path, projects: tuple[str, ...] = ("LUNG", "BREAST")) -> Iterator[Town]:
    """Open a populated node whose database, with all tables, `ALBUFERA_DATABASE__URL` names."""
    create_home(folder, "Test node", "http://127.0.0.1:8080")
    node = open_quickly(folder)
    try:
        yield Town(node, *_populate(node, projects))
    finally:
        node.close()


@dataclass(frozen=True)
class _Template:
    """A populated home from which towns are copied: making one takes a hundred transactions."""

    home: Path
    operator: Actor
    people: dict[tuple[str, Role], Actor]


@functools.cache
def _template(projects: tuple[str, ...]) -> _Template:
    folder = Path(tempfile.mkdtemp(prefix="albufera-town-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_home(folder / "home")
    node = open_quickly(folder / "home")
    operator, people = _populate(node, projects)
    with node.database.engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    node.close()
    return _Template(folder / "home", operator, people)


def _populate(node: Node, projects: tuple[str, ...]) -> tuple[Actor, dict[tuple[str, Role], Actor]]:
    operator = node.identity.create_user(SYSTEM, "admin", PASSWORD, is_operator=True).actor()
    people: dict[tuple[str, Role], Actor] = {}
    for code in projects:
        node.projects.create(operator, code)
        for role in Role:
            username = f"{code.lower()}.{role.value}"
            user = node.identity.create_user(SYSTEM, username, PASSWORD)
            node.projects.give_role(operator, code, username, role)
            people[code, role] = user.actor()
    return operator, people
