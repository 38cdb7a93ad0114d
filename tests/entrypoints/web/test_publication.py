"""Landing pages and tombstones: what anybody sees, and what nobody does."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import pytest
import uvicorn
from playwright.sync_api import sync_playwright

from albufera.entrypoints.node_app import create_node_app
from albufera.entrypoints.web.negotiation import preferred
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS, Actor
from tests.catalogue.lakes import cohort
from tests.conftest import missing
from tests.nodes import Town, town
from tests.publication.library import (
    PROPERTIES,
    invalidate,
    publish,
    publish_next,
    release,
    steward,
)

HOSTILE = '</script><script>document.title="got"</script> “q” \u202ertl & <b>'
DATACITE = "application/vnd.datacite.datacite+json"
HTML = "text/html"


@dataclass
class Shelf:
    """Datasets of one node: a tombstone, its successor, one with a hostile title, one released."""

    town: Town
    withdrawn: str
    valid: str
    hostile: str
    released: str


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """The datasets that the tests of this module look at."""
    with town(tmp_path_factory.mktemp("landing") / "home") as made:
        first = publish(made, scans=cohort(8))
        second = publish_next(made, first)
        invalidate(made, first, "A patient withdrew: " + HOSTILE)
        hostile = publish(made, replace(PROPERTIES, name=HOSTILE, description=HOSTILE), [])
        yield Shelf(made, first, second, hostile, release(made, scans=[]).dataset_id)


def get(shelf: Shelf, path: str, actor: Actor = ANONYMOUS, accept: str = "*/*") -> tuple[int, str]:
    answer = shelf.town.client(actor).get(path, headers={"accept": accept})
    return answer.status_code, answer.text


def test_anybody_sees_metadata_and_how_to_cite_verify_and_apply(shelf: Shelf) -> None:
    status, page = get(shelf, f"/datasets/{shelf.valid}", accept=HTML)
    shown = shelf.town.node.publication.show(shelf.valid)
    assert status == 200
    command = f"albufera verify {shelf.valid}.citation.json"
    for text in (PROPERTIES.name, PROPERTIES.description, "CC-BY-4.0", shown.root, command,
                 "Sign in to apply", "@misc{"):  # fmt: skip
        assert text in page
    assert shown.identifier
    assert shown.identifier in page
    assert shown.resolver in page


def test_no_subject_and_no_small_count_is_on_the_page(shelf: Shelf) -> None:
    """Eight people, two or fewer in each year: their years are named, not counted."""
    for form in ("", "?format=json", "?format=datacite", "?format=jsonld", "/citation.json"):
        _, content = get(shelf, f"/datasets/{shelf.valid}{form}")
        assert "SUBJ-" not in content
        assert "2.25." not in content
    _, content = get(shelf, f"/datasets/{shelf.valid}?format=json")
    aggregate = json.loads(content)["aggregate"]
    assert {item["subjects"] for item in aggregate["year"]} == {None}
    assert {item["subjects"] for item in aggregate["sex"]} == {None}
    _, page = get(shelf, f"/datasets/{shelf.valid}", accept=HTML)
    assert "Not counted, because fewer than 5 subjects could be told: Female, Male." in page


def test_the_api_shows_strangers_no_small_count_either(shelf: Shelf) -> None:
    for form in ("", "/metadata"):
        path = f"/api/v1/datasets/{shelf.valid}{form}"
        assert json.loads(get(shelf, path)[1])["aggregate"]["sex"][0]["subjects"] is None
        mine = json.loads(get(shelf, path, steward(shelf.town))[1])
        assert mine["aggregate"]["sex"][0]["subjects"] == 4


def test_members_see_the_catalogues_page_and_may_see_the_publics(shelf: Shelf) -> None:
    _, page = get(shelf, f"/datasets/{shelf.valid}", steward(shelf.town), accept=HTML)
    assert "Integrity" in page
    _, public = get(shelf, f"/datasets/{shelf.valid}/landing", steward(shelf.town), accept=HTML)
    assert "How to verify" in public


def test_a_stranger_who_is_signed_in_sees_the_public_page(shelf: Shelf) -> None:
    stranger = shelf.town.people["BREAST", Role.RESEARCHER]
    _, page = get(shelf, f"/datasets/{shelf.valid}", stranger, accept=HTML)
    assert "Apply for access" in page
    assert "Not counted" in page


@pytest.mark.parametrize(
    "accept", ["text/html", DATACITE, "application/ld+json", "application/json"]
)
def test_a_tombstone_is_gone_in_every_form(shelf: Shelf, accept: str) -> None:
    status, content = get(shelf, f"/datasets/{shelf.withdrawn}", accept=accept)
    assert status == 410
    assert "A patient withdrew" in content
    successor = shelf.town.node.publication.show(shelf.valid)
    assert shelf.valid in content or successor.resolver in content


def test_a_tombstone_tells_when_and_counts_nothing(shelf: Shelf) -> None:
    _, page = get(shelf, f"/datasets/{shelf.withdrawn}", accept=HTML)
    assert re.search(r"Invalidated on \d{4}-\d\d-\d\d", page)
    assert "noindex" in page
    _, content = get(shelf, f"/datasets/{shelf.withdrawn}?format=json")
    assert json.loads(content)["aggregate"] == {}


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("project", ["BREAST", None])
def test_what_was_never_published_is_not_there_for_strangers(
    shelf: Shelf, accept: str, project: str | None
) -> None:
    actor = shelf.town.people[project, Role.STEWARD] if project else ANONYMOUS
    answer = shelf.town.client(actor).get(f"/datasets/{shelf.released}", headers={"accept": accept})
    assert answer.status_code in {303, 404}  # the page leads who is not signed in to sign in
    assert shelf.town.client(actor).get(f"/datasets/{shelf.released}/landing").status_code == 404


def test_what_is_only_released_is_public_for_nobody_in_any_format(shelf: Shelf) -> None:
    path = f"/datasets/{shelf.released}?format=json"
    assert get(shelf, path, steward(shelf.town))[0] == 404
    assert get(shelf, f"/datasets/{shelf.released}", steward(shelf.town), accept=HTML)[0] == 200


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (DATACITE, DATACITE),
        ("application/ld+json", "application/ld+json"),
        ("application/json", "application/json"),
        ("application/x-bibtex", "application/x-bibtex"),
        ("*/*", "text/html"),
        ("", "text/html"),
        ("image/png", "text/html"),
        ("text/html;q=0.2, application/json", "application/json"),
    ],
)
def test_the_accept_header_chooses(shelf: Shelf, accept: str, media: str) -> None:
    answer = shelf.town.client(ANONYMOUS).get(
        f"/datasets/{shelf.valid}", headers={"accept": accept}
    )
    assert answer.headers["content-type"].split(";")[0] == media
    assert "Accept" in answer.headers["vary"]


def test_an_unknown_format_is_refused(shelf: Shelf) -> None:
    assert get(shelf, f"/datasets/{shelf.valid}?format=xml")[0] == 422


def test_signposting_is_in_the_header_also_for_head(shelf: Shelf) -> None:
    shown = shelf.town.node.publication.show(shelf.valid)
    for method in ("GET", "HEAD"):
        answer = shelf.town.client(ANONYMOUS).request(method, f"/datasets/{shelf.valid}")
        assert f'<{shown.resolver}>; rel="cite-as"' in answer.headers["link"]
        assert 'rel="license"' in answer.headers["link"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_identifier_leads_to_its_page_also_when_withdrawn(shelf: Shelf, method: str) -> None:
    for dataset_id in (shelf.valid, shelf.withdrawn):
        identifier = shelf.town.node.publication.show(dataset_id).identifier
        answer = shelf.town.client(ANONYMOUS).request(method, f"/id/{identifier}")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/datasets/{dataset_id}"
    assert shelf.town.client(ANONYMOUS).get("/id/albufera:test-node/none").status_code == 404
    assert shelf.town.client(ANONYMOUS).get("/id/a%00b").status_code == 404


def test_the_bundle_is_a_file(shelf: Shelf) -> None:
    answer = shelf.town.client(ANONYMOUS).get(f"/datasets/{shelf.valid}/citation.json")
    assert f'filename="{shelf.valid}.citation.json"' in answer.headers["content-disposition"]
    assert answer.json()["format"] == "albufera-citation/1"


def test_the_sitemap_lists_published_pages_alone(shelf: Shelf) -> None:
    _, content = get(shelf, "/sitemap.xml")
    places = {item.text for item in ElementTree.fromstring(content).iter() if "loc" in item.tag}
    base = "http://127.0.0.1:8080/datasets/"
    assert places == {base + shelf.valid, base + shelf.hostile}


def test_robots_are_shown_what_is_public(shelf: Shelf) -> None:
    _, content = get(shelf, "/robots.txt")
    assert "Disallow: /\n" in content
    assert "Sitemap: http://127.0.0.1:8080/sitemap.xml" in content


def test_static_pages_of_datasets_are_not_taken_for_one(shelf: Shelf) -> None:
    assert get(shelf, "/datasets/new", steward(shelf.town), accept=HTML)[0] == 200


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("a/b", "a/b"), ("a/c;q=0.5, a/b;q=0.4", "a/c"), ("a/*;q=0.1, a/c", "a/c"),
        ("*/*;q=0", None), ("a/b;q=0, */*", "a/c"), ("x/y", None), ("nonsense", "a/b"),
        ("a/c;q=nan", None), ("a/c;q=²", None), (",;=,", "a/b"), ("A/C", "a/c"),
    ],
)  # fmt: skip
def test_preferences_follow_rfc_9110(accept: str, chosen: str | None) -> None:
    assert preferred(accept, ("a/b", "a/c")) == chosen


@pytest.fixture(scope="module")
def address(shelf: Shelf) -> Iterator[str]:
    """The address at which the node is really served."""
    server = uvicorn.Server(
        uvicorn.Config(create_node_app(shelf.town.node), port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_keeps_the_data_and_runs_nothing(shelf: Shelf, address: str, width: int) -> None:
    """JSON-LD is a data block: the strict policy lets it stand, and no title gets out of it."""
    program = shutil.which("chromium")
    if program is None:
        missing("Chromium")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        page = browser.new_page(viewport={"width": width, "height": 900})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        for dataset_id in (shelf.hostile, shelf.valid, shelf.withdrawn):
            page.goto(f"{address}/datasets/{dataset_id}")
            held = page.evaluate(
                "JSON.parse(document.querySelector('script[type=\"application/ld+json\"]').text)"
            )
            assert held["name"] == shelf.town.node.publication.show(dataset_id).name
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.title() != "got"
        browser.close()
    assert not [text for text in complaints if "410" not in text]
