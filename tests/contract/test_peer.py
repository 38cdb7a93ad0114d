"""The contract of the Peer port, over every backend."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response

from albufera.entrypoints.http import problem_of
from albufera.federation.backends.https import HttpsPeers
from albufera.federation.backends.in_process import InProcessPeers
from albufera.federation.hub.model import NODE_SUSPENDED
from albufera.federation.messages import MAX_MESSAGE_BYTES, Introduction, Kind
from albufera.federation.model import HUB_UNREACHABLE
from albufera.federation.ports import Peers
from albufera.kernel.errors import Refusal

INTRODUCTION = Introduction(
    protocol="albufera-federation/1",
    name="Hub",
    url="http://hub.example",
    vkey="hub/node+12345678+" + "A" * 44,
    fingerprint="SHA256:x",
)


class RecordingDesk:
    """A double of a hub: keeps what it is given and answers as it is told."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.received: list[tuple[Kind, bytes]] = []
        self.answer: Any = {"payload": {}, "text": "für Ä ✓"}

    def introduction(self) -> Introduction:
        return INTRODUCTION

    def receive(self, kind: Kind, body: bytes) -> dict[str, object]:
        self.received.append((kind, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: dict[str, object] = self.answer
        return answer


@dataclass
class Wire:
    """A backend with a hub behind it."""

    desk: RecordingDesk
    peers: Peers
    url: str
    nowhere: str


def desk_app(desk: RecordingDesk) -> FastAPI:
    app = FastAPI()

    @app.get("/federation/v1/hub")
    def introduction() -> Introduction:
        return desk.introduction()

    @app.post("/federation/v1/{kind}")
    async def receive(kind: Kind, request: Request) -> Any:
        return desk.receive(kind, await request.body())

    @app.get("/html/federation/v1/hub")
    def page() -> Response:
        return Response("<html>not a hub</html>", media_type="text/html")

    @app.get("/moved/federation/v1/hub")
    def moved() -> Response:
        return Response(status_code=302, headers={"location": "/federation/v1/hub"})

    @app.exception_handler(Refusal)
    async def refuse(_request: Request, failure: Exception) -> Response:
        return problem_of(failure)

    return app


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[RecordingDesk, str]]:
    """A recording desk behind real HTTP on a free port."""
    desk = RecordingDesk()
    config = uvicorn.Config(desk_app(desk), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield desk, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(params=["in-process", "https"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    if request.param == "in-process":
        desk = RecordingDesk()
        yield Wire(desk, InProcessPeers({"http://hub": desk}), "http://hub", "http://nowhere")
        return
    desk, url = request.getfixturevalue("served")
    desk.forget()
    peers = HttpsPeers()
    yield Wire(desk, peers, url, "http://127.0.0.1:1")
    peers.close()


def code_of(act: Any) -> str:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value.code


def test_a_hub_introduces_itself(wire: Wire) -> None:
    assert wire.peers.at(wire.url).introduction() == INTRODUCTION
    assert wire.peers.at(wire.url + "/").introduction() == INTRODUCTION


def test_an_envelope_arrives_whole_and_once(wire: Wire) -> None:
    answer = wire.peers.at(wire.url).send("polls", {"b": "für Ä ✓", "a": [1, 2.5, None]})
    assert answer == {"payload": {}, "text": "für Ä ✓"}
    expected = '{"a":[1,2.5,null],"b":"für Ä ✓"}'.encode()
    assert wire.desk.received == [("polls", expected)]


def test_a_refusal_of_the_hub_is_the_senders(wire: Wire) -> None:
    wire.desk.answer = NODE_SUSPENDED("Ask Ruth.")
    with pytest.raises(Refusal) as caught:
        wire.peers.at(wire.url).send("polls", {})
    assert (caught.value.code, caught.value.detail) == ("node-suspended", "Ask Ruth.")
    assert len(wire.desk.received) == 1


def test_where_nobody_answers_is_said(wire: Wire) -> None:
    peer = wire.peers.at(wire.nowhere)
    assert code_of(peer.introduction) == HUB_UNREACHABLE.code
    assert code_of(lambda: peer.send("polls", {})) == HUB_UNREACHABLE.code


def test_a_failure_is_not_tried_again_by_the_peer(wire: Wire) -> None:
    wire.desk.answer = HUB_UNREACHABLE("broken")
    assert code_of(lambda: wire.peers.at(wire.url).send("polls", {})) == HUB_UNREACHABLE.code
    assert len(wire.desk.received) == 1


@pytest.fixture
def https(served: tuple[RecordingDesk, str]) -> Iterator[tuple[RecordingDesk, HttpsPeers, str]]:
    desk, url = served
    desk.forget()
    peers = HttpsPeers()
    yield desk, peers, url
    peers.close()


def test_an_endless_answer_is_cut_off(https: tuple[RecordingDesk, HttpsPeers, str]) -> None:
    desk, peers, url = https
    desk.answer = {"x": "y" * (MAX_MESSAGE_BYTES + 1)}
    assert code_of(lambda: peers.at(url).send("polls", {})) == "federation-bad-message"


def test_what_is_no_hub_is_said(https: tuple[RecordingDesk, HttpsPeers, str]) -> None:
    _, peers, url = https
    assert code_of(peers.at(url + "/html").introduction) == "federation-bad-message"
    assert code_of(peers.at(url + "/nothing").introduction) == "hub-unreachable"


def test_redirections_are_not_followed(https: tuple[RecordingDesk, HttpsPeers, str]) -> None:
    _, peers, url = https
    assert code_of(peers.at(url + "/moved").introduction) == "hub-unreachable"


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example",
        "ftp://hub.example",
        "http://10.0.0.1",
        "file:///etc",
        "https://",
        "http://[::1",
    ],
)
def test_plain_http_goes_to_this_machine_only(url: str) -> None:
    peers = HttpsPeers()
    try:
        assert code_of(lambda: peers.at(url).introduction()) in {
            "hub-plain-http",
            "hub-unreachable",
        }
    finally:
        peers.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "https://xn--/", "https://a..b:1"])
def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    peers = HttpsPeers()
    assert code_of(lambda: peers.at(url).introduction()) == "hub-unreachable"
    peers.close()


def test_plain_http_can_be_allowed() -> None:
    peers = HttpsPeers(allow_plain=True)
    assert peers.at("http://hub.example")
    peers.close()
