"""Rude requests for pages, DICOMweb, the log's tiles and the hub: nothing answers with a 500."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from albufera.entrypoints.dicom import routes as dicom_routes
from albufera.entrypoints.http import CONTENT_SECURITY_POLICY
from albufera.entrypoints.node_app import create_node_app
from albufera.entrypoints.web import routes as web_routes
from albufera.entrypoints.web.environment import PROGRAM_PATHS
from albufera.governance.model import Role
from tests.nodes import PASSWORD
from tests.scenarios.furnished import Furnished, furnished_town
from tests.scenarios.rude import Address, Request, RudeCaller, addresses_of, hostile_reflections
from tests.scenarios.wire import Answer, Wire

pytestmark = pytest.mark.filterwarnings(
    # Starlette forgets to close the file of a part that is cut off; it goes with the request.
    "ignore:Exception ignored in. .function SpooledTemporaryFile"
)
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
def siege(furnished: Furnished) -> Iterator[Siege]:
    wire = Wire(create_node_app(furnished.town.node))
    yield Siege(wire, _caller(furnished, 7))
    wire.close()


def _caller(furnished: Furnished, seed: int) -> RudeCaller:
    town = furnished.town
    cookies = []
    for username in SIGNED_IN:
        token, session = town.node.identity.sign_in(username, PASSWORD, "127.0.0.1")
        cookies.append((token, session.csrf_token))
    actors = [None, town.operator, *(town.people["LUNG", role] for role in Role)]
    actors.append(town.people["BREAST", Role.STEWARD])
    ids = {**furnished.ids, "path": list(TILES), "hub_id": ["hub-none"], "frame": ["0", "1", "99"]}
    ids["instance_uid"] = furnished.instance_uids()
    return RudeCaller(seed, ids, actors, cookies, furnished.files())


PAGES = addresses_of([web_routes.router])
DICOMWEB = addresses_of([dicom_routes.router])


def test_pages_hold(siege: Siege) -> None:
    siege.lay(PAGES, 12)
    assert {200, 303, 404, 422} <= siege.seen


def test_dicomweb_holds(siege: Siege) -> None:
    siege.lay(DICOMWEB, 25)


@pytest.mark.heavy
def test_pages_hold_longer(furnished: Furnished, siege: Siege) -> None:
    siege.caller = _caller(furnished, 11)
    siege.lay(PAGES, 400)


@pytest.mark.heavy
def test_dicomweb_holds_longer(furnished: Furnished, siege: Siege) -> None:
    siege.caller = _caller(furnished, 13)
    siege.lay(DICOMWEB, 600)


@pytest.mark.postgres
def test_pages_hold_on_postgresql(
    tmp_path: Path, postgres_with_tables: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALBUFERA_DATABASE__URL", postgres_with_tables)
    with furnished_town(tmp_path) as built:
        wire = Wire(create_node_app(built.town.node))
        Siege(wire, _caller(built, 5)).lay([*PAGES, *DICOMWEB], 6)
        wire.close()
