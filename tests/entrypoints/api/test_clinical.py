"""The e-form and clinical tables over REST, on the whole node."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from albufera.clinical.forms import demonstration_form
from albufera.governance.model import Role
from albufera.lake.records import subjects
from tests.nodes import Town, town

FORM = "/api/v1/projects/LUNG/clinical/form"
RECORDS = "/api/v1/projects/LUNG/clinical/records"
TABLE = (
    b"\xef\xbb\xbfpatient_id;diagnosis;sex;age_at_diagnosis;diagnosis_date;pack_years\r\n"
    b"MRN-1;Adenocarcinoma;female;63;2020-05-01;12,5\r\n"
    b"MRN-2;adenoma;female;200;2020-05-01;\r\n"
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as made:
        client = made.client(made.people["LUNG", Role.STEWARD])
        assert client.put(FORM, content=demonstration_form()).status_code == 200
        yield made


def as_role(place: Town, role: Role, project: str = "LUNG") -> httpx.Client:
    return place.client(place.people[project, role])


def load(client: httpx.Client, content: bytes, **fields: str) -> httpx.Response:
    return client.post(RECORDS, files={"table": ("table.csv", content)}, data=fields)


def test_a_table_goes_in_and_the_report_comes_back(place: Town) -> None:
    steward = as_role(place, Role.STEWARD)
    report = load(steward, TABLE).json()
    assert (report["rows"], report["new"], report["rejected"]) == (2, 1, 1)
    wrong = [(item["row"], item["column"]) for item in report["errors"]]
    assert wrong == [(3, "diagnosis"), (3, "age_at_diagnosis")]
    page: dict[str, Any] = steward.get(RECORDS).json()
    record = page["items"][0]
    assert record["values"]["pack_years"] == 12.5
    assert record["values"]["diagnosis_date"] < "2020-05-01"
    assert "MRN" not in repr(page) + repr(report)
    assert load(steward, TABLE).json()["unchanged"] == 1


def test_the_pseudonym_and_shift_are_those_of_the_images(place: Town) -> None:
    project = place.node.projects.show(place.operator, "LUNG").project_id
    names = place.node.clinical.names
    with place.node.database.write() as connection:
        name = names.pseudonym(project, "MRN-1")
        row = {"subject_id": "su-1", "project_id": project, "name": name, "sex": "F"}
        connection.execute(sa.insert(subjects).values(**row))
    report = load(as_role(place, Role.STEWARD), TABLE).json()
    assert report["unknownSubjects"] == 0
    breast = place.node.projects.show(place.operator, "BREAST").project_id
    assert names.pseudonym(breast, "MRN-1") != names.pseudonym(project, "MRN-1")


def test_the_form_has_versions_tags_and_a_dictionary(place: Town) -> None:
    steward = as_role(place, Role.STEWARD)
    shown = steward.get(FORM)
    tag = shown.headers["etag"]
    assert shown.json()["version"] == 1
    assert "load" in shown.json()["allowedActions"]
    assert shown.json()["variables"][0]["name"] == "diagnosis"
    changed = shown.json()["schema"] | {"title": "Changed"}
    assert steward.put(FORM, json=changed, headers={"if-match": tag}).json()["version"] == 2
    stale = steward.put(FORM, json=changed | {"title": "B"}, headers={"if-match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "changed-meanwhile")
    assert steward.get(FORM, params={"version": 1}).json()["title"] == "Lung cancer"
    assert steward.get(FORM, params={"version": 7}).status_code == 404
    assert steward.get(FORM, params={"version": 2**40}).status_code == 422


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"a": NaN}', b"{" * 300_000])
def test_what_is_no_form_is_refused(place: Town, content: bytes) -> None:
    answer = as_role(place, Role.STEWARD).put(FORM, content=content)
    assert (answer.status_code, answer.json()["code"]) == (422, "form-refused")


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff\xfe", b"a,b\n1,2\n", b"PK\x03\x04"])
def test_what_is_no_table_is_refused(place: Town, content: bytes) -> None:
    answer = load(as_role(place, Role.STEWARD), content)
    assert (answer.status_code, answer.json()["code"]) == (422, "table-refused")


@pytest.mark.parametrize("role", list(Role))
def test_who_may_do_what(place: Town, role: Role) -> None:
    client = as_role(place, role)
    keeper = role in {Role.STEWARD, Role.PROJECT_ADMINISTRATOR}
    assert client.get(FORM).status_code == 200
    assert client.get(RECORDS).status_code == (200 if keeper else 403)
    expected = 200 if role is Role.STEWARD else 403
    assert load(client, TABLE).status_code == expected
    assert client.put(FORM, content=demonstration_form()).status_code == (200 if keeper else 403)


@pytest.mark.parametrize("role", list(Role))
def test_the_other_tenant_learns_nothing(place: Town, role: Role) -> None:
    load(as_role(place, Role.STEWARD), TABLE)
    stranger = as_role(place, role, "BREAST")
    for path in (FORM, RECORDS, FORM.replace("form", "completeness")):
        missing = path.replace("LUNG", "NOWHERE")
        here, nowhere = stranger.get(path), stranger.get(missing)
        assert here.status_code == nowhere.status_code == 404
        assert here.json()["code"] == nowhere.json()["code"]


def test_records_come_in_linked_pages(place: Town) -> None:
    steward = as_role(place, Role.STEWARD)
    rows = "".join(f"P{n};carcinoid;male;5{n}\n" for n in range(3))
    load(steward, f"subject;diagnosis;sex;age_at_diagnosis\n{rows}".encode())
    first = steward.get(RECORDS, params={"limit": 2})
    assert 'rel="next"' in first.headers["link"]
    rest = steward.get(RECORDS, params={"limit": 2, "after": first.json()["nextAfter"]})
    assert len(rest.json()["items"]) == 1
    assert steward.get(RECORDS, params={"after": "a\0b"}).status_code in (200, 422)
