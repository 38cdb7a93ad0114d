"""A hub and nodes for tests, wired for real; only the network between them may be a double."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from albufera.bootstrap.hub import Hub, create_hub_home, open_hub
from albufera.entrypoints.cli.client import LocalTransport
from albufera.entrypoints.hub.app import create_hub_app
from albufera.federation.backends.in_process import InProcessPeers
from albufera.federation.hub.model import Query, Result
from albufera.federation.node.model import Exchanged, Membership
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import Database, metadata
from albufera.kernel.signing import SigningKey
from albufera.settings import Settings
from tests.catalogue.lakes import Scan
from tests.nodes import PASSWORD, Town, town
from tests.publication.library import PROPERTIES, publish

URL = "http://hub.example"


@dataclass
class World:
    """A hub with an operator and a researcher, and the wire by which nodes reach it."""

    hub: Hub
    operator: Actor
    researcher: Actor
    peers: InProcessPeers

    def client(self, actor: Actor) -> httpx.Client:
        """Return an HTTP client of the hub's application, acting as `actor`."""
        transport = LocalTransport(create_hub_app(self.hub), actor)
        return httpx.Client(transport=transport, base_url="http://localhost")

    def join(self, place: Town, name: str) -> Membership:
        """Enrol a node under a name, over the in-process wire."""
        memberships = place.node.federation.memberships
        memberships.peers = self.peers
        token = self.hub.enrolment.invite(self.operator, name).token
        fingerprint = self.hub.desk.introduction().fingerprint
        return memberships.join(place.operator, URL, token, fingerprint)

    def ask(self, expression: Any, actor: Actor | None = None) -> Query:
        """Ask all nodes."""
        return self.hub.questions.ask(actor or self.researcher, expression)

    def result(self, query: Query) -> Result:
        """What the nodes have answered."""
        return self.hub.questions.result(self.operator, query.query_id)


def make_hub(folder: Path, url: str = URL, **settings: Any) -> Hub:
    """Make and open a hub's home with all tables, without running the migrations."""
    create_hub_home(folder, "Test hub", url)
    chosen = Settings(home=folder, **settings)
    database = Database(chosen.database_url)
    metadata.create_all(database.engine)
    database.close()
    return open_hub(chosen, Argon2Hasher(memory_kibibytes=64, passes=1))


@contextmanager
def world(folder: Path, **settings: Any) -> Iterator[World]:
    """Open a hub in a new home in `folder`."""
    hub = make_hub(folder, **settings)
    operator = hub.identity.create_user(SYSTEM, "admin", PASSWORD, is_operator=True).actor()
    researcher = hub.identity.create_user(SYSTEM, "ruth", PASSWORD).actor()
    try:
        yield World(hub, operator, researcher, InProcessPeers({URL: hub.desk}))
    finally:
        hub.close()


@contextmanager
def federation(folder: Path) -> Iterator[tuple[World, Town, Town]]:
    """Open a hub and two nodes that have joined it; node A has 23 subjects published, B three."""
    with ExitStack() as stack:
        place = stack.enter_context(world(folder / "hub"))
        first = stack.enter_context(town(folder / "a"))
        second = stack.enter_context(town(folder / "b"))
        # Towns are copies of one home: give the second a key of its own, under the same name.
        second.node.federation.memberships.key = SigningKey.generate("test-node/node")
        publish(first, replace(PROPERTIES, name="Lung of A"), people(23))
        publish(second, replace(PROPERTIES, name="Lung of B"), people(3, modality="MR"))
        place.join(first, "Hospital A")
        place.join(second, "Hospital B")
        exchange(first)
        exchange(second)
        yield place, first, second


def people(count: int, *, first: int = 0, **changes: Any) -> list[Scan]:
    """One CT series for each of `count` subjects; every other one is a woman."""
    return [
        replace(
            Scan(
                subject=f"SUBJ-{letters(n)}",
                study=f"2.25.{5000 + n}",
                uid=f"2.25.{5000 + n}.1",
                sex="FM"[n % 2],
                age=40 + n % 40,
            ),
            **changes,
        )
        for n in range(first, first + count)
    ]


def letters(number: int) -> str:
    """Twelve letters, as a pseudonym has them, made of a number."""
    return "".join("ABCDEFGHIJ"[int(digit)] for digit in f"{number:012d}")


def exchange(place: Town) -> list[Exchanged]:
    """Let a node talk with all its hubs now."""
    services = place.node.federation
    return [
        services.exchange.sync(place.operator, membership.hub_id)
        for membership in services.memberships.joined()
    ]


def condition(key: str, value: Any, kind: str = "EQUALS") -> dict[str, Any]:
    """A condition of a question."""
    return {"key": key, "type": kind, "value": value}


def all_of(*children: dict[str, Any]) -> dict[str, Any]:
    """Conditions joined by AND."""
    return {"operand": "AND", "children": list(children)}


def publish_people(place: Town, scans: Sequence[Scan], **changes: str) -> str:
    """Publish a dataset of all that project LUNG has, after adding these scans."""
    return publish(place, replace(PROPERTIES, **changes), scans)
