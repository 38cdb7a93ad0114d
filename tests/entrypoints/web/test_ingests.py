"""Pages of taking files in and of studies."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from albufera.entrypoints.cli.client import LocalTransport
from albufera.entrypoints.node_app import create_node_app
from albufera.governance.model import Role
from albufera.kernel.pages import PageRequest
from tests.ingest.dicoms import ct, write, write_study
from tests.nodes import PASSWORD, Town, town


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("pages")
    write_study(folder / "in", series=2, slices=3)
    (folder / "in" / "Amparo_Quintero.txt").write_text("x")
    with town(folder / "home") as made:
        made.node.ingests.ingest_paths(
            made.people["LUNG", Role.STEWARD], "LUNG", "main", [folder / "in"], lambda a, b: None
        )
        yield made


class Browser(LocalTransport):
    """Reaches the application as a browser does: known by its cookie alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)


def signed_in(place: Town, username: str) -> httpx.Client:
    client = httpx.Client(
        transport=Browser(create_node_app(place.node)),
        base_url="http://localhost",
        headers={"accept": "text/html"},
        follow_redirects=True,
    )
    client.post("/sign-in", data={"username": username, "password": PASSWORD})
    return client


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


def test_the_upload_form_sends_files_to_a_run(place: Town, tmp_path: Path) -> None:
    client = signed_in(place, "lung.steward")
    page = client.get("/ingests")
    assert "LUNG – main" in page.text
    sent = {"csrf_token": token_of(page), "destination": "LUNG/main"}
    path = write(tmp_path / "x", ct(series="uploaded"))
    answer = client.post("/ingests", data=sent, files=[("files", ("x", path.read_bytes()))])
    assert answer.url.path.startswith("/ingests/in-")
    assert "data-live" in answer.text
    assert "Stop the run" in answer.text
    place.drain()
    ended = client.get(answer.url.path)
    assert "data-live" not in ended.text
    assert "Stop the run" not in ended.text
    assert "finished" in ended.text


def test_a_form_without_its_token_is_refused(place: Town) -> None:
    client = signed_in(place, "lung.steward")
    uploads = list(place.node.home.uploads.iterdir())
    for token in ("", "0" * 32):
        sent = {"csrf_token": token, "destination": "LUNG/main"}
        answer = client.post("/ingests", data=sent, files=[("files", ("x", b"x"))])
        assert answer.status_code == 403
    assert list(place.node.home.uploads.iterdir()) == uploads


def test_a_form_without_files_says_so(place: Town) -> None:
    client = signed_in(place, "lung.steward")
    token = token_of(client.get("/ingests"))
    sent = {"csrf_token": token, "destination": "LUNG/main"}
    answer = client.post("/ingests", data=sent, files=[("files", ("", b""))])
    assert answer.status_code == 422
    assert "Choose at least one file" in answer.text


def test_a_run_with_its_reasons_by_state(place: Town) -> None:
    client = signed_in(place, "lung.steward")
    (*_, address) = re.findall(r'href="(/ingests/in-[0-9a-z]+)"', client.get("/ingests").text)
    page = client.get(address)
    assert "This is not a DICOM file" in page.text
    refused = client.get(address, params={"state": "refused"})
    assert "Amparo_Quintero.txt" in refused.text
    assert "Amparo_Quintero_0" not in refused.text
    hidden = signed_in(place, "lung.project-administrator").get(address)
    assert hidden.status_code == 200
    assert "Quintero" not in hidden.text
    assert "only stewards see them" in hidden.text


def test_studies_and_a_study_with_its_pictures(place: Town) -> None:
    client = signed_in(place, "lung.steward")
    listed = client.get("/studies", params={"modality": "CT"})
    (address,) = set(re.findall(r'href="(/studies/st-[0-9a-z]+)"', listed.text))
    assert "No study is like that" in client.get("/studies", params={"modality": "MR"}).text
    page = client.get(address, params={"slice": 2, "window": "-600,1500"})
    assert 'data-slices="3"' in page.text
    assert "2 / 3" in page.text
    assert "Soft tissue" in page.text
    source = re.search(r'<img src="(/series/[^"]+)"', page.text)
    assert source is not None
    picture = client.get(source[1].replace("&amp;", "&"))
    assert picture.headers["content-type"] == "image/png"
    assert client.get(address, params={"slice": 99}).status_code == 200
    assert client.get(address, params={"window": "nonsense"}).status_code == 422


def test_what_cannot_be_drawn_shows_a_placeholder(place: Town, tmp_path: Path) -> None:
    steward = place.people["LUNG", Role.STEWARD]
    odd = ct(series="odd", study="odd")
    odd.PhotometricInterpretation = "HSV"
    node = place.node
    path = write(tmp_path / "odd", odd)
    ingest = node.ingests.ingest_paths(steward, "LUNG", "main", [path], lambda a, b: None)
    item = node.ingests.items(steward, ingest.ingest_id, None, PageRequest()).items[0]
    answer = signed_in(place, "lung.steward").get(f"/series/{item.series_id}/picture")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "No picture can be drawn" in answer.text


@pytest.mark.parametrize("role", Role)
def test_navigation_and_pages_by_role(place: Town, role: Role) -> None:
    client = signed_in(place, f"lung.{role.value}")
    shown = 'href="/ingests"' in client.get("/trace").text
    assert shown == (role in (Role.STEWARD, Role.PROJECT_ADMINISTRATOR))
    page = client.get("/ingests")
    assert ("Send files" in page.text) == (role is Role.STEWARD)


@pytest.mark.parametrize("role", Role)
def test_another_project_sees_nothing(place: Town, role: Role) -> None:
    mine = signed_in(place, "lung.steward")
    (address, *_) = re.findall(r'href="(/ingests/in-[0-9a-z]+)"', mine.get("/ingests").text)
    study = re.findall(r'href="(/studies/st-[0-9a-z]+)"', mine.get("/studies").text)[0]
    source = re.search(r'<img src="(/series/[^"]+)"', mine.get(study).text)
    assert source is not None
    other = signed_in(place, f"breast.{role.value}")
    assert "Nothing has been taken in yet" in other.get("/ingests").text
    assert "No studies yet" in other.get("/studies").text
    for path in (address, study, source[1].replace("&amp;", "&")):
        assert other.get(path).status_code == 404
