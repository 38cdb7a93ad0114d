"""`/ingests`: uploads streamed to the worker, runs, items and reasons."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from albufera.governance.model import Role
from tests.ingest.dicoms import ct, write
from tests.nodes import Town, town


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as made:
        yield made


def files(tmp_path: Path, count: int = 3) -> list[tuple[str, tuple[str, bytes]]]:
    paths = [write(tmp_path / f"Quintero_{n}.dcm", ct(number=n)) for n in range(count)]
    return [("file", (path.name, path.read_bytes())) for path in paths]


def send(
    client: httpx.Client, sent: list[tuple[str, tuple[str, bytes]]], **fields: str
) -> httpx.Response:
    return client.post("/api/v1/ingests", files=sent, data=fields)


def zipped(sent: list[tuple[str, tuple[str, bytes]]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _, (name, content) in sent:
            archive.writestr(f"folder/{name}", content)
    return buffer.getvalue()


def test_upload_then_report(place: Town, tmp_path: Path) -> None:
    client = place.client(place.people["LUNG", Role.STEWARD])
    archive = ("file", ("all.zip", zipped(files(tmp_path))))
    answer = send(client, [*files(tmp_path, 2), archive, ("file", ("x.txt", b"x"))], project="LUNG")
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "queued"
    address = answer.headers["location"]
    place.drain()
    shown = client.get(address).json()
    assert shown["state"] == "finished"
    assert shown["counts"] == {"admitted": 3, "duplicate": 2, "quarantined": 0, "refused": 1}
    assert shown["allowedActions"] == ["view"]
    items = client.get(f"{address}/items", params={"limit": 4}).json()
    assert items["items"][2]["path"] == "all.zip!/folder/Quintero_0.dcm"
    following = client.get(f"{address}/items", params={"after": items["nextAfter"]}).json()
    assert len(items["items"]) + len(following["items"]) == 6
    reasons = client.get(f"{address}/reasons").json()
    assert {(each["code"], each["count"]) for each in reasons} == {
        ("same-object", 2), ("not-dicom", 1),
    } or {each["code"] for each in reasons} == {"same-source", "not-dicom"}  # fmt: skip


def test_query_parameters_will_do(place: Town, tmp_path: Path) -> None:
    client = place.client(place.people["LUNG", Role.STEWARD])
    answer = client.post("/api/v1/ingests?project=LUNG&collection=main", files=files(tmp_path))
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"project": "NOPE"}, 404), ({"project": "LUNG", "collection": "no"}, 404), ({}, 404)],
)
def test_wrong_destinations(
    place: Town, tmp_path: Path, fields: dict[str, str], status: int
) -> None:
    client = place.client(place.people["LUNG", Role.STEWARD])
    assert send(client, files(tmp_path), **fields).status_code == status
    assert list(place.node.home.uploads.iterdir()) == []


@pytest.mark.parametrize("role", Role)
def test_another_project_is_unknown(place: Town, tmp_path: Path, role: Role) -> None:
    mine = send(
        place.client(place.people["LUNG", Role.STEWARD]), files(tmp_path), project="LUNG"
    ).json()["ingestId"]
    other = place.client(place.people["BREAST", role])
    assert send(other, files(tmp_path), project="LUNG").status_code == 404
    assert other.get("/api/v1/ingests").json()["items"] == []
    assert other.get("/api/v1/ingests", params={"project": "LUNG"}).status_code == 404
    for way in ("", "/items", "/reasons"):
        assert other.get(f"/api/v1/ingests/{mine}{way}").status_code == 404
    for way in ("cancel", "resume"):
        assert other.post(f"/api/v1/ingests/{mine}/{way}").status_code == 404


def test_a_researcher_may_not(place: Town, tmp_path: Path) -> None:
    client = place.client(place.people["LUNG", Role.RESEARCHER])
    assert send(client, files(tmp_path), project="LUNG").status_code == 403


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"x", 415),
        ("multipart/form-data; boundary=b", b"", 422),
        ("multipart/form-data; boundary=b", b"--b\r\n", 422),
        ("multipart/form-data; boundary=b", b"junk" * 100, 422),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 422),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut off',
            422,
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"y" * 5000,
            422,
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 20000, 422),
    ],
)
def test_bodies_that_are_not_forms(
    place: Town, content_type: str, body: bytes, status: int
) -> None:
    client = place.client(place.people["LUNG", Role.STEWARD])
    answer = client.post(
        "/api/v1/ingests?project=LUNG", content=body, headers={"content-type": content_type}
    )
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(place.node.home.uploads.iterdir()) == []


def test_cancel_and_resume_say_what_is_possible(place: Town, tmp_path: Path) -> None:
    client = place.client(place.people["LUNG", Role.STEWARD])
    ingest_id = send(client, files(tmp_path), project="LUNG").json()["ingestId"]
    assert client.get(f"/api/v1/ingests/{ingest_id}").json()["allowedActions"] == ["cancel", "view"]
    assert client.post(f"/api/v1/ingests/{ingest_id}/cancel").json()["state"] == "cancelled"
    for way in ("cancel", "resume"):
        assert client.post(f"/api/v1/ingests/{ingest_id}/{way}").status_code == 409


def test_lists_page_by_key(place: Town, tmp_path: Path) -> None:
    client = place.client(place.people["LUNG", Role.STEWARD])
    sent = [send(client, files(tmp_path, 1), project="LUNG").json()["ingestId"] for _ in range(3)]
    first = client.get("/api/v1/ingests", params={"limit": 2})
    assert 'rel="next"' in first.headers["link"]
    rest = client.get("/api/v1/ingests", params={"after": first.json()["nextAfter"]})
    listed = [item["ingestId"] for item in first.json()["items"] + rest.json()["items"]]
    assert listed == sent[::-1]


def test_names_cannot_leave_the_spool(place: Town, tmp_path: Path) -> None:
    client = place.client(place.people["LUNG", Role.STEWARD])
    content = files(tmp_path, 1)[0][1][1]
    answer = send(client, [("file", ("../../../escaped", content))], project="LUNG")
    assert answer.status_code == 202
    assert not list(tmp_path.rglob("escaped*"))
    place.drain()
    shown = client.get(answer.headers["location"]).json()
    assert shown["counts"]["admitted"] == 1
