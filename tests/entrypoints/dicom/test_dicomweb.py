"""DICOMweb: search, retrieve, draw and store, as PS3.18 says and as the policy allows."""

import hashlib
import io
import json
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset

from albufera.governance.model import Role
from albufera.lake.model import SeriesQuery
from tests.ingest.dicoms import NAME, ct, write_study
from tests.nodes import Town, town

OTHER_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90'
SEARCHES = ("/studies", "/series", "/instances")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("dicomweb")
    write_study(folder / "in", series=2, slices=3)
    write_study(folder / "in" / "other", patient="HC-2", study="b", slices=2)
    with town(folder / "home") as made:
        made.node.ingests.ingest_paths(
            made.people["LUNG", Role.STEWARD], "LUNG", "main", [folder / "in"], lambda a, b: None
        )
        yield made


@pytest.fixture
def client(place: Town) -> httpx.Client:
    return of(place, "LUNG", Role.STEWARD)


def of(place: Town, code: str, role: Role) -> httpx.Client:
    client = place.client(place.people[code, role])
    client.base_url = httpx.URL("http://localhost/dicomweb")
    return client


def value(item: dict[str, Any], tag: str) -> Any:
    return item[tag]["Value"][0]


def largest(client: httpx.Client) -> dict[str, Any]:
    found: list[dict[str, Any]] = client.get("/studies").json()
    return max(found, key=lambda item: int(value(item, "00201208")))


def parts(answer: httpx.Response) -> list[bytes]:
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + answer.content)
    found = []
    for part in message.iter_parts():
        assert part.get_content_type() == "application/dicom"
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append(content)
    return found


def test_search_for_studies(client: httpx.Client) -> None:
    answer = client.get("/studies", params={"includefield": "all"})
    assert answer.headers["content-type"] == "application/dicom+json"
    assert len(answer.json()) == 2
    study = largest(client)
    assert value(study, "00080061") == "CT"
    assert (value(study, "00201206"), value(study, "00201208")) == (2, 6)
    assert value(study, "00100010") == {"Alphabetic": value(study, "00100020")}
    assert value(study, "00081190").endswith(value(study, "0020000D"))
    assert NAME not in answer.text


def test_conditions(client: httpx.Client) -> None:
    study = largest(client)
    uid, subject = value(study, "0020000D"), value(study, "00100020")
    day = value(study, "00080020")
    for condition, count in (
        ({"StudyInstanceUID": uid}, 1),
        ({"0020000D": uid}, 1),
        ({"StudyInstanceUID": f"{uid},1.2.3"}, 1),
        ({"PatientID": subject}, 1),
        ({"00100020": "SUBJ-*"}, 2),
        ({"PatientID": "SUBJ-%"}, 0),
        ({"PatientName": subject[:-1] + "?"}, 1),
        ({"ModalitiesInStudy": "CT"}, 2),
        ({"Modality": "MR"}, 0),
        ({"StudyDate": day, "PatientID": subject}, 1),
        ({"StudyDate": f"{day}-", "PatientID": subject}, 1),
        ({"StudyDate": f"-{day}", "PatientID": subject}, 1),
        ({"StudyDate": "20500101-20600101"}, 0),
        ({"limit": "1"}, 1),
        ({"offset": "1"}, 1),
        ({"limit": "0"}, 0),
        ({"NoSuchThing": "x"}, 2),
    ):
        answer = client.get("/studies", params=condition)
        assert answer.status_code == 200
        assert len(answer.json()) == count, condition


@pytest.mark.parametrize("path", SEARCHES)
@pytest.mark.parametrize(
    "condition",
    [
        {"StudyInstanceUID": "x"},
        {"StudyInstanceUID": ",".join(["1"] * 201)},
        {"StudyDate": "2019"},
        {"StudyDate": "20190101-x"},
        {"limit": "-1"},
        {"limit": "x"},
        {"offset": "x"},
    ],
)
def test_malformed_conditions(client: httpx.Client, path: str, condition: dict[str, str]) -> None:
    assert client.get(path, params=condition).status_code == 422


def test_search_below(client: httpx.Client) -> None:
    study = value(largest(client), "0020000D")
    series = client.get(f"/studies/{study}/series").json()
    assert [value(item, "00201209") for item in series] == [3, 3]
    assert len(client.get("/series").json()) == 3
    one = value(series[0], "0020000E")
    instances = client.get(f"/studies/{study}/series/{one}/instances").json()
    assert len(instances) == 3
    assert {value(item, "00280010") for item in instances} == {16}
    assert len(client.get(f"/studies/{study}/instances").json()) == 6
    assert len(client.get("/instances", params={"limit": 5}).json()) == 5
    assert len(client.get("/instances", params={"offset": 6}).json()) == 2
    wanted = value(instances[0], "00080018")
    found = client.get("/instances", params={"SeriesInstanceUID": one, "SOPInstanceUID": wanted})
    assert [value(item, "00080018") for item in found.json()] == [wanted]
    assert client.get("/instances", params={"SOPInstanceUID": wanted}).status_code == 422
    assert client.get("/studies/1.2.3/series").json() == []


def test_retrieve_what_was_stored(place: Town, client: httpx.Client) -> None:
    study = value(largest(client), "0020000D")
    answer = client.get(f"/studies/{study}")
    assert answer.status_code == 200
    sent = parts(answer)
    operator = place.operator
    digests = {
        instance.sha256
        for series, _ in place.node.lake.search_series(operator, SeriesQuery((study,)), 10, 0)
        for instance in place.node.lake.read_instances(series.series_id)
    }
    assert {hashlib.sha256(content).hexdigest() for content in sent} == digests
    assert all(NAME.encode() not in content for content in sent)
    series = value(client.get(f"/studies/{study}/series").json()[0], "0020000E")
    assert len(parts(client.get(f"/studies/{study}/series/{series}"))) == 3


def test_retrieve_one(client: httpx.Client) -> None:
    found = client.get("/instances", params={"limit": 1}).json()[0]
    address = value(found, "00081190").replace("http://localhost/dicomweb", "")
    (whole,) = parts(client.get(address))
    single = client.get(address, headers={"accept": "application/dicom"})
    assert single.headers["content-type"] == "application/dicom"
    assert single.content == whole
    data = pydicom.dcmread(io.BytesIO(whole))
    assert data.PatientIdentityRemoved == "YES"
    assert data.SOPInstanceUID == value(found, "00080018")


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ('multipart/related; type="application/dicom"', 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1', 200),
        (OTHER_SYNTAX, 406),
        ('multipart/related; type="application/octet-stream"', 406),
        ("image/jpeg", 406),
        (",,;;", 406),
    ],
)  # fmt: skip
def test_accept(client: httpx.Client, accept: str, status: int) -> None:
    study = value(largest(client), "0020000D")
    assert client.get(f"/studies/{study}", headers={"accept": accept}).status_code == status


def test_accept_of_searches_and_metadata(client: httpx.Client) -> None:
    study = value(largest(client), "0020000D")
    for path in ("/studies", f"/studies/{study}/metadata"):
        xml = {"accept": 'multipart/related; type="application/dicom+xml"'}
        assert client.get(path, headers=xml).status_code == 406
        for accept in ("application/json", "application/dicom+json, */*;q=0.1"):
            assert client.get(path, headers={"accept": accept}).status_code == 200


def test_metadata_is_the_header_without_pixels(client: httpx.Client) -> None:
    study = value(largest(client), "0020000D")
    answer = client.get(f"/studies/{study}/metadata")
    headers = answer.json()
    assert len(headers) == 6
    data = Dataset.from_json(headers[0])
    assert data.Modality == "CT"
    assert data.PatientIdentityRemoved == "YES"
    assert "PixelData" not in data
    assert NAME not in answer.text
    one = client.get("/instances", params={"limit": 1}).json()[0]
    address = value(one, "00081190").replace("http://localhost/dicomweb", "")
    assert len(client.get(f"{address}/metadata").json()) == 1


def test_rendered(client: httpx.Client) -> None:
    one = client.get("/instances", params={"limit": 1}).json()[0]
    address = value(one, "00081190").replace("http://localhost/dicomweb", "")
    series = address.rpartition("/instances")[0]
    for path in (f"{series}/rendered", f"{address}/rendered", f"{address}/frames/1/rendered"):
        answer = client.get(path, params={"window": "40,400,linear", "viewport": "64,64"})
        assert answer.headers["content-type"] == "image/png"
    assert client.get(f"{address}/frames/2/rendered").status_code == 404
    assert client.get(f"{address}/rendered", headers={"accept": "image/jpeg"}).status_code == 406
    for wrong in ({"window": "x"}, {"window": "1"}, {"window": "1,0"}, {"viewport": "x"}):
        assert client.get(f"{address}/rendered", params=wrong).status_code == 422


@pytest.mark.parametrize("role", Role)
def test_another_project_knows_nothing(place: Town, client: httpx.Client, role: Role) -> None:
    other = of(place, "BREAST", role)
    for path in SEARCHES:
        assert other.get(path).json() == []
    one = client.get("/instances", params={"limit": 1}).json()[0]
    address = value(one, "00081190").replace("http://localhost/dicomweb", "")
    series = address.rpartition("/instances")[0]
    study = series.rpartition("/series")[0]
    assert other.get(f"{study}/series").json() == []
    for path in (study, series, address):
        assert other.get(path).status_code == 404
        assert other.get(f"{path}/metadata").status_code == 404
    for path in (series, address, f"{address}/frames/1"):
        assert other.get(f"{path}/rendered").status_code == 404
    assert store(other, [ct()], project="LUNG").status_code == 404


def test_who_may_look_may_not_retrieve(place: Town) -> None:
    administrator = of(place, "LUNG", Role.PROJECT_ADMINISTRATOR)
    assert len(administrator.get("/studies").json()) == 2
    study = value(largest(administrator), "0020000D")
    assert administrator.get(f"/studies/{study}/metadata").status_code == 200
    assert administrator.get(f"/studies/{study}").status_code == 403
    assert of(place, "LUNG", Role.RESEARCHER).get("/studies").json() == []


@pytest.mark.parametrize("path", ["/studies/%00", "/studies/1/series/%00", "/studies/x/metadata"])
def test_odd_identifiers(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def body(contents: list[bytes], boundary: str = "BB") -> bytes:
    written = b"".join(
        f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + content + b"\r\n"
        for content in contents
    )
    return written + f"--{boundary}--\r\n".encode()


def store(
    client: httpx.Client, data: list[Dataset | bytes], project: str = "LUNG"
) -> httpx.Response:
    contents = []
    for item in data:
        if isinstance(item, bytes):
            contents.append(item)
            continue
        buffer = io.BytesIO()
        item.save_as(buffer, enforce_file_format=True)
        contents.append(buffer.getvalue())
    media = 'multipart/related; type="application/dicom"; boundary=BB'
    return client.post(
        "/studies",
        params={"project": project} if project else {},
        content=body(contents),
        headers={"content-type": media, "accept": "application/dicom+json"},
    )


def test_store_then_find(client: httpx.Client) -> None:
    answer = store(client, [ct("HC-9", "stow", number=n) for n in range(3)])
    assert answer.status_code == 200, answer.text
    stored = answer.json()["00081199"]["Value"]
    assert len(stored) == 3
    assert "0008119A" not in answer.json()
    address = value(stored[0], "00081190").replace("http://localhost/dicomweb", "")
    (content,) = parts(client.get(address))
    assert pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID == value(stored[0], "00081155")
    again = store(client, [ct("HC-9", "stow", number=0)])
    assert again.status_code == 200
    assert json.dumps(again.json()["00081199"]["Value"][0]) in json.dumps(stored)


def test_store_in_part_and_in_vain(client: httpx.Client) -> None:
    other = ct("HC-9", "stow 2", pixels=bytes(512))
    store(client, [ct("HC-9", "stow 2")])
    answer = store(client, [ct("HC-9", "stow 2", number=7), b"not DICOM", other])
    assert answer.status_code == 202
    failures = answer.json()["0008119A"]["Value"]
    assert [value(item, "00081197") for item in failures] == [0xC000, 0x0111]
    assert store(client, [b"nothing"]).status_code == 409


def test_store_needs_a_place_and_a_body(place: Town, client: httpx.Client) -> None:
    assert store(client, [ct("HC-9", "stow 3")], project="").status_code == 200
    nobody = of(place, "LUNG", Role.RESEARCHER)
    assert store(nobody, [ct()], project="").status_code == 422
    assert store(nobody, [ct()]).status_code == 403
    assert store(client, []).status_code == 422
    wrong = client.post("/studies?project=LUNG", content=b"x", headers={"content-type": "a/b"})
    assert wrong.status_code == 415
    assert list(place.node.home.uploads.iterdir()) == []
