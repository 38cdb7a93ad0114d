"""The node's pages and REST of its part in a federation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.federation.world import URL, World, condition, exchange, federation, world
from tests.nodes import Town, town

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Town]]:
    with federation(tmp_path_factory.mktemp("federation")) as (place, first, _):
        place.ask(condition("sex", "F"))
        exchange(first)
        yield place, first


def test_the_page_of_a_hub_says_what_was_sent_and_told(joined: tuple[World, Town]) -> None:
    _, first = joined
    client = first.client(first.operator)
    page = client.get("/federation", headers=HTML).text
    link = re.search(r'href="(/federation/fh-[^"]+)"', page)
    assert link
    hub = client.get(link.group(1), headers=HTML).text
    assert "Lung of A" in hub
    assert "sex = F" in hub
    assert re.search(r"at least (5|10)", hub)
    assert "Leave Test hub?" in client.get(link.group(1) + "/leave", headers=HTML).text


def test_the_state_by_rest(joined: tuple[World, Town]) -> None:
    _, first = joined
    client = first.client(first.operator)
    hubs = client.get("/api/v1/federation/hubs").json()
    assert [(hub["name"], hub["knownAs"], hub["state"]) for hub in hubs] == [
        ("Test hub", "Hospital A", "joined")
    ]
    status = client.get(f"/api/v1/federation/hubs/{hubs[0]['hubId']}").json()
    assert [offer["current"] for offer in status["offers"]] == [True]
    assert [answer["sentence"] for answer in status["answers"]] == ["sex = F"]
    moved = client.post(f"/api/v1/federation/hubs/{hubs[0]['hubId']}/sync").json()
    assert moved == {"offered": 0, "refused": 0, "answered": 0}
    for path in ("hubs/nothing", "hubs/%00", "hubs/fh-00000000000000000000000000"):
        assert client.get(f"/api/v1/federation/{path}").status_code == 404


def test_joining_in_two_steps_shows_the_fingerprint_first(tmp_path: Path) -> None:
    with town(tmp_path / "a") as first, world(tmp_path / "hub") as place:
        first.node.federation.memberships.peers = place.peers
        client = first.client(first.operator)
        assert "stands alone" in client.get("/federation", headers=HTML).text
        away = client.post("/federation/look", data={"url": "http://nowhere"}, headers=HTML)
        assert away.status_code == 503
        assert "nobody there" in away.text
        shown = client.post("/federation/look", data={"url": URL}, headers=HTML).text
        fingerprint = place.hub.desk.introduction().fingerprint
        assert fingerprint.replace("+", "&#43;") in shown or fingerprint in shown
        form = {"url": URL, "fingerprint": fingerprint, "hub_name": "Test hub", "contact": ""}
        wrong = client.post("/federation/join", data={**form, "token": "00" * 32}, headers=HTML)
        assert wrong.status_code == 403
        assert "unknown, used or expired" in wrong.text
        token = place.hub.enrolment.invite(place.operator, "Hospital A").token
        done = client.post("/federation/join", data={**form, "token": token}, headers=HTML)
        assert done.status_code == 303
        hub = done.headers["location"]
        assert "Known there as Hospital A" in client.get(hub, headers=HTML).text
        place.peers.unreachable = True
        assert client.post(hub + "/sync", headers=HTML).status_code == 303
        assert "The last contact failed" in client.get(hub, headers=HTML).text
        assert client.post(hub + "/leave", headers=HTML).status_code == 303
        assert first.node.federation.memberships.joined() == []


def test_the_pages_are_the_operators(joined: tuple[World, Town]) -> None:
    _, first = joined
    for actor in first.people.values():
        client = first.client(actor)
        assert client.get("/federation", headers=HTML).status_code == 403
        assert 'href="/federation"' not in client.get("/", headers=HTML).text
