"""The hub's REST and pages, served whole."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from albufera.entrypoints.hub.app import create_hub_app
from albufera.entrypoints.hub.question_form import QuestionForm
from albufera.kernel.actor import ANONYMOUS
from albufera.kernel.errors import Refusal
from tests.federation.world import World, all_of, condition, exchange, federation, world
from tests.nodes import PASSWORD

IMAGE_CODE = (
    "pydicom", "numpy", "albufera.lake", "albufera.clinical", "albufera.ingest",
    "albufera.compute", "albufera.catalogue", "albufera.publication", "albufera.federation.node",
    "albufera.bootstrap.node",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hub with two nodes' datasets, one answered question, and a waiting one."""
    with federation(tmp_path_factory.mktemp("federation")) as (made, first, second):
        made.ask(condition("sex", "F"))
        exchange(first)
        exchange(second)
        made.ask(all_of(condition("modality", "CT"), condition("age", 50, "AT_LEAST")))
        yield made


def signed_in(place: World, username: str) -> httpx.Client:
    """A browser of a person, with the session's cookie."""
    app = create_hub_app(place.hub)
    transport = _Browser(app)
    client = httpx.Client(
        transport=transport, base_url="http://localhost", headers={"accept": "text/html"}
    )
    answer = client.post("/sign-in", data={"username": username, "password": PASSWORD})
    assert answer.status_code == 303
    return client


class _Browser(httpx.BaseTransport):
    """Serves requests by the application without naming a local actor."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        import asyncio

        async def serve() -> httpx.Response:
            inner = httpx.Request(
                request.method, request.url, headers=request.headers, content=request.read()
            )
            response = await self._inner.handle_async_request(inner)
            body = await response.aread()
            return httpx.Response(response.status_code, headers=response.headers, content=body)

        return asyncio.run(serve())


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found.group(1)


def test_a_hubs_process_never_loads_code_for_images() -> None:
    """What the import contract says, seen in a real process, page rendering included."""
    program = (
        "import sys; import albufera.entrypoints.hub.__main__;"
        f"print([n for n in sys.modules for p in {IMAGE_CODE!r} if (n + '.').startswith(p + '.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_anybody_reads_the_catalogue(place: World) -> None:
    client = place.client(ANONYMOUS)
    items = client.get("/api/v1/catalogue").json()["items"]
    assert {item["nodeName"] for item in items} == {"Hospital A", "Hospital B"}
    found = client.get("/api/v1/catalogue", params={"modality": "CT", "q": "lung"}).json()["items"]
    assert [item["nodeName"] for item in found] == ["Hospital A"]
    one = client.get(f"/api/v1/catalogue/{found[0]['entryId']}").json()
    assert one["dataset"]["subjects"] == {"resolution": 5, "atLeast": 20, "fewerThan": None}
    facets = client.get("/api/v1/catalogue/facets").json()
    assert {value["label"] for value in facets["node"]} == {"Hospital A", "Hospital B"}


def test_the_catalogue_goes_on_by_link(place: World) -> None:
    client = place.client(ANONYMOUS)
    first = client.get("/api/v1/catalogue", params={"limit": 1})
    link = re.search(r"<([^>]+)>", first.headers["link"])
    assert link
    second = client.get(link.group(1)).json()
    assert first.json()["items"] != second["items"]
    assert second["nextAfter"] is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/queries", None),
        ("POST", "/api/v1/queries", {"expression": {}}),
        ("GET", "/api/v1/nodes", None),
        ("POST", "/api/v1/enrolments", {"name": "X"}),
    ],
)
def test_strangers_ask_nothing(place: World, method: str, path: str, body: Any) -> None:
    answer = place.client(ANONYMOUS).request(method, path, json=body)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/nodes", None),
        ("POST", "/api/v1/enrolments", {"name": "X"}),
        ("POST", "/api/v1/nodes/hn-x/suspend", None),
        ("POST", "/api/v1/users", {"username": "eve", "password": PASSWORD}),
    ],
)
def test_researchers_do_not_govern(place: World, method: str, path: str, body: Any) -> None:
    assert place.client(place.researcher).request(method, path, json=body).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/catalogue/x", "/api/v1/catalogue/%00", "/api/v1/queries/hq-1",
        "/api/v1/catalogue/he-00000000000000000000000000", "/federation/v1/nothing",
    ],
)  # fmt: skip
def test_what_is_not_there(place: World, path: str) -> None:
    assert place.client(place.operator).get(path).status_code in {404, 405, 422}


def test_a_question_by_rest(place: World) -> None:
    client = place.client(place.researcher)
    made = client.post("/api/v1/queries", json={"expression": condition("sex", "M")})
    assert made.status_code == 201
    body = made.json()
    assert body["sentence"] == "sex = M"
    assert [answer["standing"] for answer in body["answers"]] == ["waiting", "waiting"]
    assert body["open"]
    bad = client.post("/api/v1/queries", json={"expression": condition("subject", "S")})
    assert (bad.status_code, bad.json()["code"]) == (422, "bad-question")
    listed = client.get("/api/v1/queries").json()["items"]
    assert body["queryId"] in {item["queryId"] for item in listed}
    assert client.get(f"/api/v1/queries/{body['queryId']}").json()["queryId"] == body["queryId"]


def test_a_token_is_shown_once_to_the_operator(place: World) -> None:
    made = place.client(place.operator).post("/api/v1/enrolments", json={"name": "Hospital C"})
    assert made.status_code == 201
    assert len(made.json()["token"]) == 64


def test_a_body_larger_than_a_message_is_refused(place: World) -> None:
    answer = place.client(ANONYMOUS).post("/federation/v1/polls", content=b"x" * (1024 * 1024 + 1))
    assert answer.status_code == 413


def test_the_pages_of_a_stranger(place: World) -> None:
    client = place.client(ANONYMOUS)
    page = client.get("/", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "Lung of A" in page.text
    assert "Hospital B" in page.text
    assert "At least 20" in page.text or "at least 20" in page.text
    link = re.search(r'href="(/datasets/he-[^"]+)">Lung of B', page.text)
    assert link
    dataset = client.get(link.group(1), headers={"accept": "text/html"})
    assert "fewer than 5" in dataset.text
    assert 'href="http://127.0.0.1:8080/datasets/ds-' in dataset.text
    assert "content-security-policy" in dataset.headers
    narrowed = client.get("/?modality=MR&q=lung", headers={"accept": "text/html"})
    assert "Lung of A" not in narrowed.text
    nothing = client.get("/?q=zebra", headers={"accept": "text/html"})
    assert "No dataset matches" in nothing.text


def test_a_question_in_the_browser(place: World) -> None:
    client = signed_in(place, "ruth")
    page = client.get("/queries")
    assert "at least" not in page.text
    form = {"csrf_token": token_of(page.text), "modality": "CT", "age_from": "50"}
    asked = client.post("/queries", data=form)
    assert asked.status_code == 303
    result = client.get(asked.headers["location"])
    assert "Modality = CT and age ≥ 50" in result.text
    assert "waiting" in result.text
    assert "data-live" in result.text
    wrong = client.post("/queries", data={**form, "age_from": "old"})
    assert wrong.status_code == 422
    assert "An age is a whole number" in wrong.text
    forged = client.post("/queries", data={"modality": "CT"})
    assert forged.status_code == 403
    assert client.get("/nodes").status_code == 403


def test_the_operators_pages(place: World) -> None:
    client = signed_in(place, "admin")
    page = client.get("/nodes")
    assert "Hospital A" in page.text
    token = token_of(page.text)
    made = client.post("/nodes", data={"csrf_token": token, "name": "Hospital D"})
    assert "albufera node join http://hub.example --token " in made.text
    empty = client.post("/nodes", data={"csrf_token": token, "name": ""})
    assert empty.status_code == 422
    node_id = place.hub.enrolment.nodes(place.operator)[-1].node_id
    assert "Suspend Hospital B?" in client.get(f"/nodes/{node_id}/suspend").text
    client.post(f"/nodes/{node_id}/suspend", data={"csrf_token": token})
    assert "Lung of B" not in client.get("/").text
    assert "suspended" in client.get("/nodes").text
    client.post(f"/nodes/{node_id}/resume", data={"csrf_token": token})
    assert "Lung of B" in client.get("/").text


def test_an_answered_question_shows_sums_and_no_small_number(place: World) -> None:
    client = signed_in(place, "ruth")
    links = re.findall(r'href="(/queries/[^"]+)"', client.get("/queries").text)
    page = client.get(links[-1])
    assert "2 of 2" in page.text
    assert "fewer than 5" in page.text
    assert re.search(r"at least (5|10)", page.text)


def test_an_empty_hub_has_pages(tmp_path: Path) -> None:
    with world(tmp_path / "hub") as made:
        client = made.client(made.operator)
        for path, words in (
            ("/", "No node has published anything yet"),
            ("/nodes", "No node yet"),
            ("/queries", "No question yet"),
        ):
            page = client.get(path, headers={"accept": "text/html"})
            assert page.status_code == 200
            assert words in page.text


def test_the_form_makes_an_expression() -> None:
    form = QuestionForm(modality="CT", sex="F", age_from="50", age_to="60")
    assert form.document() == all_of(
        condition("modality", "CT"),
        condition("sex", "F"),
        condition("age", 50, "AT_LEAST"),
        condition("age", 60, "AT_MOST"),
    )
    assert QuestionForm().document() == all_of()
    assert QuestionForm(expression='{"a": 1}').document() == {"a": 1}
    for wrong in ("{", "[" * 30_000):
        with pytest.raises(Refusal):
            QuestionForm(expression=wrong).document()
