"""Rude requests for pages, DICOMweb, the log's tiles and the hub: nothing answers with a 500."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from albufera.bootstrap.hub import Hub, create_hub_home, open_hub
from albufera.entrypoints.dicom import routes as dicom_routes
from albufera.entrypoints.http import CONTENT_SECURITY_POLICY
from albufera.entrypoints.hub import pages_catalogue, pages_nodes, pages_queries, pages_session
from albufera.entrypoints.hub.app import create_hub_app
from albufera.entrypoints.node_app import create_node_app
from albufera.entrypoints.web import routes as web_routes
from albufera.entrypoints.web.environment import PROGRAM_PATHS
from albufera.governance.model import Role
from albufera.identity.backends.argon2 import Argon2Hasher
from albufera.kernel.actor import SYSTEM
from albufera.kernel.errors import Refusal
from albufera.kernel.pages import PageRequest
from albufera.settings import Settings
from tests.databases import new_sqlite
from tests.nodes import PASSWORD
from tests.scenarios.furnished import Furnished, furnished_town
from tests.scenarios.rude import (
    Address,
    Request,
    RudeCaller,
    addresses_of,
    addresses_of_document,
    hostile_reflections,
)
from tests.scenarios.wire import Answer, Wire

pytestmark = pytest.mark.filterwarnings(
    # Starlette forgets to close the file of a part that is cut off; it goes with the request.
    "ignore:Exception ignored in. .function SpooledTemporaryFile"
)
FIRST_PAGE = PageRequest(None, 10)
PROBLEM = "application/problem+json"
SIGNED_IN = ("lung.steward", "lung.researcher", "admin")
TILES = ("tile/0/000", "tile/0/000.p/5", "tile/entries/000.p/5", "tile/0/x999/999", "tile/63/000")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Complaints name the failures; the log would only repeat them."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    with furnished_town(tmp_path_factory.mktemp("rude") / "town") as built:
        yield built


class Siege:
    """An application under rude requests."""

    def __init__(self, wire: Wire, caller: RudeCaller) -> None:
        self.wire = wire
        self.caller = caller
        self.complaints: dict[str, str] = {}
        self.seen: set[int] = set()

    def lay(self, addresses: Sequence[Address], each: int) -> None:
        """Call every address `each` times; fail with the complaints, one of a kind."""
        for address in addresses:
            for _ in range(each):
                request = self.caller.request(address)
                answer = self.wire.send(
                    request.method, request.target, request.headers, request.body, request.actor
                )
                self.seen.add(answer.status)
                for complaint in judge(request, answer):
                    last = complaint.splitlines()[-1]
                    kind = last if answer.failure else f"{address.method} {address.path} {last}"
                    self.complaints.setdefault(kind, f"{complaint}\nfor {request}")
        told = "\n\n".join(self.complaints.values())
        assert not self.complaints, f"{len(self.complaints)} kinds of complaints:\n\n{told}"


def judge(request: Request, answer: Answer) -> list[str]:
    """What is wrong with an answer."""
    if answer.failure:
        return [answer.failure]
    wrong = hostile_reflections(answer.headers, answer.body, answer.media_type)
    if not 200 <= answer.status < 500:
        wrong.append(f"{answer.status}: {answer.body[:1500]!r}")
    if answer.headers.get("content-security-policy") != CONTENT_SECURITY_POLICY and (
        answer.media_type == "text/html"
    ):
        wrong.append("a page without the content security policy")
    if answer.status >= 400 and request.method != "HEAD" and answer.media_type != "text/html":
        if answer.media_type == PROBLEM:
            if answer.json()["status"] != answer.status:
                wrong.append("problem details of another status")
        elif answer.media_type != "application/dicom+json":
            wrong.append(f"an error {answer.status} as {answer.media_type}")
    if answer.media_type == "text/html" and request.method == "GET":
        if b"<h1" not in answer.body or b"<html lang=" not in answer.body:
            wrong.append("a page without a title or language")
        if request.target.startswith(tuple(path.encode() for path in PROGRAM_PATHS)):
            wrong.append("a page where a program expects none")
    return wrong


@pytest.fixture(scope="module")
def siege(furnished: Furnished, cookies: list[tuple[str, str]]) -> Iterator[Siege]:
    wire = Wire(create_node_app(furnished.town.node))
    yield Siege(wire, _caller(furnished, 7, cookies))
    wire.close()


def _caller(furnished: Furnished, seed: int, cookies: Sequence[tuple[str, str]]) -> RudeCaller:
    town = furnished.town
    actors = [None, town.operator, *(town.people["LUNG", role] for role in Role)]
    actors.append(town.people["BREAST", Role.STEWARD])
    ids = {**furnished.ids, "path": list(TILES), "hub_id": ["hub-none"], "frame": ["0", "1", "99"]}
    ids["instance_uid"] = furnished.instance_uids()
    return RudeCaller(seed, ids, actors, cookies, furnished.files())


def _sign_in(furnished: Furnished) -> list[tuple[str, str]]:
    """Sessions and their CSRF tokens, made before rude sign-ins close these accounts."""
    cookies = []
    for username in SIGNED_IN:
        token, session = furnished.town.node.identity.sign_in(username, PASSWORD, "127.0.0.1")
        cookies.append((token, session.csrf_token))
    return cookies


@pytest.fixture(scope="module")
def cookies(furnished: Furnished) -> list[tuple[str, str]]:
    return _sign_in(furnished)


PAGES = addresses_of([web_routes.router])
DICOMWEB = addresses_of([dicom_routes.router])


def test_pages_hold(siege: Siege) -> None:
    siege.lay(PAGES, 12)
    assert {200, 303, 404, 422} <= siege.seen


def test_dicomweb_holds(siege: Siege) -> None:
    siege.lay(DICOMWEB, 25)


@pytest.mark.heavy
def test_pages_hold_longer(
    furnished: Furnished, siege: Siege, cookies: list[tuple[str, str]]
) -> None:
    siege.caller = _caller(furnished, 11, cookies)
    siege.lay(PAGES, 400)


@pytest.mark.heavy
def test_dicomweb_holds_longer(
    furnished: Furnished, siege: Siege, cookies: list[tuple[str, str]]
) -> None:
    siege.caller = _caller(furnished, 13, cookies)
    siege.lay(DICOMWEB, 600)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("hub") / "home"
    create_hub_home(home, "Hub", "http://127.0.0.1:8090")
    new_sqlite(home / "albufera.sqlite")
    opened = open_hub(Settings(home=home), Argon2Hasher(memory_kibibytes=64, passes=1))
    yield opened
    opened.close()


def test_hub_holds(hub: Hub) -> None:
    _besiege_hub(hub, 12, 17)


@pytest.mark.heavy
def test_hub_holds_longer(hub: Hub) -> None:
    _besiege_hub(hub, 300, 19)


def _besiege_hub(hub: Hub, each: int, seed: int) -> None:
    """Call the hub's pages, REST and the counter for nodes, as its operator and as nobody."""
    try:
        operator = hub.identity.create_user(SYSTEM, "boss", PASSWORD, is_operator=True).actor()
    except Refusal:  # made by the other test
        operator = hub.identity.user_named("boss").actor()
    ids = {
        "kind": ["enrolments", "offers", "polls", "answers", "departures"],
        "node_id": ["no-none"],
        "query_id": [query.query_id for query in hub.questions.list(operator, FIRST_PAGE).items],
    }
    app = create_hub_app(hub)
    wire = Wire(app)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two pages may share a function's name
        pages = (pages_session, pages_catalogue, pages_queries, pages_nodes)
        addresses = addresses_of([*(module.router for module in pages)])
        addresses += addresses_of_document(app.openapi())
    caller = RudeCaller(seed, ids, [operator, None, hub.identity.user_named("boss").actor()])
    Siege(wire, caller).lay(addresses, each)
    wire.close()


@pytest.mark.postgres
def test_pages_hold_on_postgresql(
    tmp_path: Path, postgres_with_tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALBUFERA_DATABASE__URL", postgres_with_tables)
    with furnished_town(tmp_path) as built:
        wire = Wire(create_node_app(built.town.node))
        Siege(wire, _caller(built, 5, _sign_in(built))).lay([*PAGES, *DICOMWEB], 6)
        wire.close()
