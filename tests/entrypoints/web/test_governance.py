"""Pages of projects, access, users and the overview; the token that forms by cookie carry."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from albufera.entrypoints.http import CSRF_HEADER
from albufera.entrypoints.node_app import create_node_app
from albufera.governance.model import Role
from albufera.kernel.actor import Actor
from tests.governance.datasets import release_dataset
from tests.nodes import PASSWORD, Town, town

HTML = {"accept": "text/html"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as made:
        yield made


def browser(place: Town, actor: Actor) -> httpx.Client:
    client = place.client(actor)
    client.headers.update(HTML)
    return client


def as_role(place: Town, role: Role, project: str = "LUNG") -> httpx.Client:
    return browser(place, place.people[project, role])


def test_the_sections_are_those_of_the_role(place: Town) -> None:
    expected = {
        Role.RESEARCHER: (True, False, False),
        Role.COMMITTEE_MEMBER: (True, True, False),
        Role.AUDITOR: (True, True, False),
    }
    for role, seen in expected.items():
        page = as_role(place, role).get("/").text
        links = tuple(f'href="{path}"' in page for path in ("/access", "/applications", "/users"))
        assert links == seen, role
    assert 'href="/users"' in browser(place, place.operator).get("/").text


def test_a_committee_decides_on_pages(place: Town) -> None:
    dataset_id = release_dataset(place)
    researcher = as_role(place, Role.RESEARCHER)
    committee = as_role(place, Role.COMMITTEE_MEMBER)
    assert "Purpose" in researcher.get(f"/datasets/{dataset_id}/apply").text
    empty = researcher.post(f"/datasets/{dataset_id}/apply", data={"purpose": " "})
    assert (empty.status_code, "The application was not sent" in empty.text) == (422, True)
    sent = researcher.post(f"/datasets/{dataset_id}/apply", data={"purpose": "To <learn>"})
    assert sent.status_code == 303
    address = sent.headers["location"]
    assert "is with the committee" in researcher.get("/").text
    assert "1 application waits" in committee.get("/").text
    inbox = committee.get("/applications").text
    assert "lung.researcher" in inbox
    assert "To &lt;learn&gt;" in inbox
    for said in ({}, {"decision": "reject"}, {"decision": "approve", "until": "tomorrow"},
                 {"decision": "approve", "until": "1999-01-01"}):  # fmt: skip
        refused = committee.post(f"{address}/decide", data=said)
        assert refused.status_code == 422, said
        assert "needs mending" in refused.text
    approved = committee.post(f"{address}/decide", data={"decision": "approve", "until": ""})
    assert approved.status_code == 303
    assert "Cohort, version 1" in researcher.get("/access").text
    page = committee.get("/grants").text
    found = re.search(r'href="(/grants/[^"]+/revoke)"', page)
    assert found is not None
    assert "Revoke this grant?" in committee.get(found[1]).text
    assert committee.post(found[1], data={}).status_code == 303
    assert "revoked" in committee.get("/grants").text
    assert committee.get(found[1]).status_code == 200


def test_strangers_get_no_page_of_it(place: Town) -> None:
    dataset_id = release_dataset(place)
    sent = as_role(place, Role.RESEARCHER).post(
        f"/datasets/{dataset_id}/apply", data={"purpose": "Secret purpose"}
    )
    stranger = as_role(place, Role.COMMITTEE_MEMBER, "BREAST")
    paths = (f"/datasets/{dataset_id}/apply", sent.headers["location"], "/projects/LUNG")
    for path in paths:
        assert stranger.get(path).status_code == 404, path
    for path in ("/", "/applications", "/grants", "/projects", "/access"):
        shown = stranger.get(path)
        assert shown.status_code == 200, path
        assert "LUNG" not in shown.text.replace("lung", "")
        assert "Secret" not in shown.text


def test_roles_are_given_and_taken_on_the_projects_page(place: Town) -> None:
    administrator = as_role(place, Role.PROJECT_ADMINISTRATOR)
    given = {"username": "breast.steward", "role": "auditor"}
    assert administrator.post("/projects/LUNG/members", data=given).status_code == 303
    assert 'value="breast.steward"' in administrator.get("/projects/LUNG").text
    unknown = administrator.post("/projects/LUNG/members", data={**given, "username": "nobody"})
    assert (unknown.status_code, "There is no user" in unknown.text) == (422, True)
    wrong = administrator.post("/projects/LUNG/members", data={**given, "role": "king"})
    assert (wrong.status_code, "Choose a role" in wrong.text) == (422, True)
    assert administrator.post("/projects/LUNG/members/take", data=given).status_code == 303
    assert 'value="breast.steward"' not in administrator.get("/projects/LUNG").text
    steward = as_role(place, Role.STEWARD)
    assert "Give a role" not in steward.get("/projects/LUNG").text
    assert steward.post("/projects/LUNG/members", data=given).status_code == 403
    added = administrator.post("/projects/LUNG/collections", data={"collection": "screening"})
    assert added.status_code == 303
    twice = administrator.post("/projects/LUNG/collections", data={"collection": "screening"})
    assert twice.status_code == 422


def test_operators_make_projects_and_accounts(place: Town) -> None:
    operator = browser(place, place.operator)
    assert operator.post("/projects", data={"code": "COLON"}).status_code == 303
    assert operator.post("/projects", data={"code": "colon"}).status_code == 422
    account = {"username": "carla", "password": PASSWORD, "name": "Carla"}
    assert operator.post("/users", data=account).status_code == 303
    refused = operator.post("/users", data={**account, "username": "dora", "password": "short"})
    assert refused.status_code == 422
    assert "12 to 256" in refused.text
    assert 'value="dora"' in refused.text
    assert "short" not in refused.text.replace("shortcut", "")
    assert "Close the account carla?" in operator.get("/users/carla/disable").text
    assert operator.post("/users/carla/disable", data={}).status_code == 303
    steward = as_role(place, Role.STEWARD)
    for method, path in (("GET", "/users"), ("POST", "/users"), ("GET", "/users/admin/disable"),
                         ("POST", "/users/admin/disable"), ("POST", "/projects")):  # fmt: skip
        sent = steward.request(method, path, data={"code": "MINE", **account})
        assert sent.status_code == 403, (method, path)


def test_somebody_not_signed_in_sees_the_front_and_is_led_to_sign_in(place: Town) -> None:
    async def look() -> None:
        transport = httpx.ASGITransport(create_node_app(place.node))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            front = await client.get("/", headers=HTML)
            assert front.status_code == 200
            assert "Nothing published yet" in front.text
            for path in ("/projects", "/access", "/applications", "/users"):
                led = await client.get(path, headers=HTML)
                assert (led.status_code, led.headers["location"]) == (303, f"/sign-in?next={path}")

    asyncio.run(look())


def test_changes_by_cookie_need_the_sessions_token_on_pages_and_in_the_api(place: Town) -> None:
    async def attempt() -> None:
        transport = httpx.ASGITransport(create_node_app(place.node))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            signing = {"username": "lung.project-administrator", "password": PASSWORD, "next": "/"}
            assert (await client.post("/sign-in", data=signing)).status_code == 303
            page = await client.get("/projects/LUNG", headers=HTML)
            found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
            assert found is not None
            token = found[1]
            form = {"username": "breast.steward", "role": "auditor"}
            away = {"sec-fetch-site": "cross-site"}
            url, api = "/projects/LUNG/members", "/api/v1/projects/LUNG/members"
            statuses = [
                (await client.post(url, data=form)).status_code,
                (await client.post(url, data={**form, "csrf_token": "0" * 64})).status_code,
                (
                    await client.post(url, data={**form, "csrf_token": token}, headers=away)
                ).status_code,
                (await client.post(api, json=form)).status_code,
                (await client.post(api, json=form, headers={CSRF_HEADER: "x"})).status_code,
            ]
            assert statuses == [403] * 5
            assert "breast.steward" not in (await client.get(url[:-8], headers=HTML)).text
            right = await client.post(api, json=form, headers={CSRF_HEADER: token})
            assert right.status_code == 201
            form["role"] = "steward"
            assert (await client.post(url, data={**form, "csrf_token": token})).status_code == 303

    asyncio.run(attempt())
