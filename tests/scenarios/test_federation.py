"""A federation as people set it up: commands, real processes, real HTTP between them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from albufera.bootstrap.node import local_operator, open_node
from albufera.catalogue.model import Properties
from albufera.catalogue.query.expression import EVERYTHING
from albufera.settings import Settings
from tests.catalogue.lakes import fill
from tests.federation.world import all_of, people

pytestmark = pytest.mark.heavy

HUB_PASSWORD = "a password of some length"


def albufera(home: Path, *arguments: str) -> Any:
    """Run a command; return the document that it prints."""
    done = subprocess.run(_command(home, *arguments), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(home: Path, *arguments: str) -> str:
    """Run a command that is refused; return the error's code."""
    done = subprocess.run(_command(home, *arguments), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout
    return str(json.loads(done.stderr)["error"]["code"])


def _command(home: Path, *arguments: str) -> list[str]:
    program = [sys.executable, "-m", "albufera.entrypoints.cli.main", "--home", str(home)]
    return [*program, "--json", *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(home: Path, port: int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a home until the block ends."""
    command = _command(home, *arguments, "--port", str(port))
    log = (home / "serve.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(port))
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def eventually(look: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look until it is so."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


@dataclass
class Federation:
    """Homes and addresses of a hub and two nodes."""

    folder: Path
    hub_port: int

    @property
    def hub(self) -> Path:
        return self.folder / "hub"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.hub_port}"

    def node(self, name: str) -> Path:
        return self.folder / name


def make_node(home: Path, name: str, subjects: int) -> None:
    """A node with one published dataset."""
    albufera(home, "init", "--name", name, "--url", f"https://{name}.example")
    albufera(home, "project", "create", "LUNG")
    publish(home, f"Lung of {name}", subjects)


def publish(home: Path, title: str, subjects: int, first: int = 0) -> None:
    node = open_node(Settings(home=home))
    operator = local_operator(node).actor()
    fill(node, "LUNG", people(subjects, first=first))
    made = node.drafts.create(operator, "LUNG", Properties(title), EVERYTHING)
    node.worker().drain()
    node.lifecycle.release(operator, made.dataset_id)
    node.lifecycle.publish(operator, made.dataset_id)
    node.worker().drain()
    node.close()


def test_a_federation_from_nothing_to_an_answer(tmp_path: Path) -> None:
    place = Federation(tmp_path, free_port())
    made = albufera(place.hub, "hub", "init", "--name", "Atlas", "--url", place.url)
    person = albufera(place.hub, "hub", "user", "ruth", "--password", HUB_PASSWORD)
    assert person["username"] == "ruth"
    make_node(place.node("a"), "alpha", 23)
    make_node(place.node("b"), "beta", 3)
    token = albufera(place.hub, "hub", "enrol", "Hospital Alpha")
    assert token["fingerprint"] == made["fingerprint"]
    join = ("node", "join", place.url, "--token", token["token"], "--fingerprint")
    assert refused(place.node("a"), *join, made["fingerprint"]) == "hub-unreachable"
    with serving(place.hub, place.hub_port, "hub", "serve"):
        assert refused(place.node("a"), *join[:-1]) == "fingerprint-not-confirmed"
        assert refused(place.node("a"), *join, "SHA256:other") == "hub-fingerprint-differs"
        assert albufera(place.node("a"), *join, made["fingerprint"])["knownAs"] == "Hospital Alpha"
        second = albufera(place.hub, "hub", "enrol", "Hospital Beta")["token"]
        assert refused(place.node("b"), *join, made["fingerprint"]) == "enrolment-token-invalid"
        albufera(
            place.node("b"), "node", "join", place.url,
            "--token", second, "--fingerprint", made["fingerprint"],
        )  # fmt: skip
        assert_one_catalogue(place)
        assert_answers(place)
    assert_catches_up(place)
    assert_suspension(place)
    log = albufera(place.hub, "trace", "verify")
    assert log


def assert_one_catalogue(place: Federation) -> None:
    catalogue = httpx.get(f"{place.url}/api/v1/catalogue").json()["items"]
    assert {(item["nodeName"], item["dataset"]["title"]) for item in catalogue} == {
        ("Hospital Alpha", "Lung of alpha"),
        ("Hospital Beta", "Lung of beta"),
    }
    page = httpx.get(place.url, headers={"accept": "text/html"}).text
    assert "Lung of alpha" in page
    nodes = albufera(place.hub, "hub", "nodes")
    assert [(node["name"], node["state"], node["datasets"]) for node in nodes] == [
        ("Hospital Alpha", "enrolled", 1),
        ("Hospital Beta", "enrolled", 1),
    ]


def assert_answers(place: Federation) -> None:
    """Serve the nodes with their workers; the question is answered without anybody's doing."""
    client = httpx.Client(base_url=f"{place.url}/api/v1/")
    credentials = {"username": "ruth", "password": HUB_PASSWORD}
    token = client.post("session", json=credentials).json()["token"]
    client.headers["authorization"] = f"Bearer {token}"
    os.environ["ALBUFERA_FEDERATION__POLL_SECONDS"] = "0.5"
    try:
        with (
            serving(place.node("a"), free_port(), "serve"),
            serving(place.node("b"), free_port(), "serve"),
        ):
            asked = client.post("queries", json={"expression": all_of()}).json()
            address = f"queries/{asked['queryId']}"
            eventually(lambda: client.get(address).json()["answered"] == 2)
            answer = client.get(address).json()
    finally:
        del os.environ["ALBUFERA_FEDERATION__POLL_SECONDS"]
        client.close()
    told = {item["nodeName"]: item["subjects"] for item in answer["answers"]}
    assert told["Hospital Beta"] == {"resolution": 5, "atLeast": None, "fewerThan": 5}
    assert told["Hospital Alpha"]["atLeast"] in {15, 20}
    assert answer["subjectsAtLeast"] == told["Hospital Alpha"]["atLeast"]
    status = albufera(place.node("b"), "node", "status")
    assert [item["subjects"]["fewerThan"] for item in status[0]["answers"]] == [5]


def assert_catches_up(place: Federation) -> None:
    """While the hub is down a node publishes; the hub learns of it when it is back."""
    publish(place.node("b"), "More of beta", 20, first=3)
    assert refused(place.node("b"), "node", "sync") == "hub-unreachable"
    with serving(place.hub, place.hub_port, "hub", "serve"):
        moved = albufera(place.node("b"), "node", "sync")
        assert moved["offered"] == 1
        found = httpx.get(f"{place.url}/api/v1/catalogue", params={"q": "more"}).json()["items"]
        assert [item["dataset"]["subjects"]["atLeast"] for item in found] == [20]


def assert_suspension(place: Federation) -> None:
    node_id = albufera(place.hub, "hub", "nodes")[0]["nodeId"]
    albufera(place.hub, "hub", "suspend", node_id)
    with serving(place.hub, place.hub_port, "hub", "serve"):
        assert refused(place.node("a"), "node", "sync") == "node-suspended"
        albufera(place.hub, "hub", "resume", node_id)
        albufera(place.node("a"), "node", "sync")
        albufera(place.node("a"), "node", "leave")
        found = httpx.get(f"{place.url}/api/v1/catalogue").json()["items"]
        assert {item["nodeName"] for item in found} == {"Hospital Beta"}


def test_a_nodes_home_is_no_hub(tmp_path: Path) -> None:
    albufera(tmp_path / "a", "init")
    assert refused(tmp_path / "a", "hub", "serve") == "not-a-hub"
    assert refused(tmp_path / "a", "hub", "enrol", "X") == "not-a-hub"
    assert refused(tmp_path / "nothing", "hub", "serve") == "no-home"
