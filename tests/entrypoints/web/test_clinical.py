"""The clinical page: by role, its forms, and the report of a table."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from albufera.clinical.forms import demonstration_form
from albufera.entrypoints.node_app import create_node_app
from albufera.governance.model import Role
from tests.nodes import PASSWORD, Town, town

PAGE = "/projects/LUNG/clinical"
HTML = {"accept": "text/html"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as made:
        yield made


def define(place: Town) -> None:
    steward = place.people["LUNG", Role.STEWARD]
    place.node.clinical.define_form(steward, "LUNG", demonstration_form())


def as_role(place: Town, role: Role, project: str = "LUNG") -> httpx.Client:
    client = place.client(place.people[project, role])
    client.headers.update(HTML)
    return client


def test_the_page_before_and_after_the_form(place: Town) -> None:
    steward = as_role(place, Role.STEWARD)
    empty = steward.get(PAGE)
    assert empty.status_code == 200
    assert "No e-form yet" in empty.text
    sent = steward.post(f"{PAGE}/form", files={"schema": ("f.json", demonstration_form())})
    assert (sent.status_code, sent.headers["location"]) == (303, PAGE)
    shown = steward.get(PAGE).text
    assert "Histological diagnosis" in shown
    assert "Load a table" in shown


def test_a_table_is_reported_row_by_row(place: Town) -> None:
    define(place)
    steward = as_role(place, Role.STEWARD)
    table = b"patient_id,diagnosis,sex,age_at_diagnosis\nMRN-1,carcinoid,male,50\nMRN-2,x,male,50\n"
    answer = steward.post(f"{PAGE}/table", files={"table": ("t.csv", table)}, data={"key": ""})
    assert answer.status_code == 200
    assert "Some rows were not stored" in answer.text
    assert "The form allows" in answer.text
    assert "MRN" not in answer.text
    assert "SUBJ-" in answer.text
    assert "Completeness of the variables" in answer.text


@pytest.mark.parametrize(
    ("path", "files", "says"),
    [
        ("table", {"table": ("t.csv", b"a,b\n")}, "The table was not read"),
        ("table", {}, "Choose a file first"),
        ("form", {"schema": ("f.json", b'{"type": "array"}')}, "The e-form was not taken"),
        ("form", {}, "Choose a file first"),
    ],
)
def test_refusals_are_shown_on_the_page(
    place: Town, path: str, files: dict[str, tuple[str, bytes]], says: str
) -> None:
    define(place)
    client = as_role(place, Role.STEWARD)
    answer = client.post(f"{PAGE}/{path}", files=files or None, data={"key": ""})
    assert answer.status_code == 422
    assert says in answer.text


def test_a_member_reads_the_dictionary_and_no_record(place: Town) -> None:
    define(place)
    shown = as_role(place, Role.RESEARCHER).get(PAGE).text
    assert "Histological diagnosis" in shown
    assert "Load a table" not in shown
    assert 'id="records"' not in shown
    table = {"table": ("t.csv", b"subject,diagnosis\n")}
    assert as_role(place, Role.RESEARCHER).post(f"{PAGE}/table", files=table).status_code == 403


def test_strangers_and_the_unknown_are_the_same(place: Town) -> None:
    define(place)
    stranger = as_role(place, Role.STEWARD, "BREAST")
    assert (
        stranger.get(PAGE).status_code == stranger.get("/projects/NO/clinical").status_code == 404
    )


def test_a_form_sent_by_cookie_needs_its_token(place: Town) -> None:
    define(place)
    transport = httpx.ASGITransport(create_node_app(place.node))

    async def send() -> tuple[int, int]:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.post(
                "/sign-in", data={"username": "lung.steward", "password": PASSWORD, "next": "/"}
            )
            assert answer.status_code == 303
            page = await client.get(PAGE, headers=HTML)
            found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page.text)
            assert found is not None
            files = {"table": ("t.csv", b"subject,diagnosis,sex,age_at_diagnosis\n")}
            bare = await client.post(f"{PAGE}/table", files=files)
            signed = await client.post(
                f"{PAGE}/table", files=files, data={"csrf_token": found[1], "key": ""}
            )
            return bare.status_code, signed.status_code

    assert asyncio.run(send()) == (403, 200)
