"""`/egress-requests` over HTTP."""

import io
import json
import zipfile
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import httpx
import pytest

from albufera.compute.airlock.model import EgressFile
from albufera.entrypoints.api.egress import zip_names
from albufera.governance.model import Role
from tests.compute.airlock.samples import DICOM
from tests.compute.yard import Yard

ADDRESS = "/api/v1/egress-requests"


def ask(place: Yard, **outputs: bytes) -> dict[str, Any]:
    job = place.finished(**outputs)
    with place.town.client(place.researcher) as client:
        answer = client.post(ADDRESS, json={"jobId": job.job_id, "paths": ["."], "purpose": "p"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def decide(place: Yard, found: dict[str, Any], verb: str, **body: str) -> httpx.Response:
    with place.town.client(place.person(Role.OUTPUT_REVIEWER)) as client:
        return client.post(f"{ADDRESS}/{found['requestId']}/{verb}", json=body)


def test_the_whole_way_out(place: Yard) -> None:
    asked = ask(place, **{"scores.csv": b"a,b\n1,2\n", "scan.dcm": DICOM})
    assert [(item["path"], item["kind"]) for item in asked["files"]] == [
        ("scan.dcm", "dicom"),
        ("scores.csv", "csv"),
    ]
    assert asked["files"][0]["findings"][0]["code"] == "is-dicom"
    assert asked["files"][0]["findings"][0]["severity"] == "alarm"
    assert asked["allowedActions"] == ["view"]
    content = f"{ADDRESS}/{asked['requestId']}/content"
    with place.town.client(place.person(Role.OUTPUT_REVIEWER)) as client:
        looked = client.get(f"{ADDRESS}/{asked['requestId']}/files/1")
        assert looked.content == b"a,b\n1,2\n"
        assert looked.headers["content-disposition"] == 'attachment; filename="scores.csv"'
        assert looked.headers["content-type"] == "application/octet-stream"
        assert "sandbox" in looked.headers["content-security-policy"]
        assert client.get(content).status_code == 403
    with place.town.client(place.researcher) as client:
        assert client.get(content).json()["code"] == "egress-not-approved"
    assert decide(place, asked, "approve").status_code == 422
    approved = decide(place, asked, "approve", reason="A phantom.").json()
    assert (approved["state"], approved["reviewer"]) == ("approved", "lung.output-reviewer")
    with place.town.client(place.researcher) as client:
        answer = client.get(content)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["scan.dcm", "scores.csv"]
        assert archive.read("scan.dcm") == DICOM


def test_a_rejection(place: Yard) -> None:
    asked = ask(place, **{"a.txt": b"x"})
    assert decide(place, asked, "reject").status_code == 422
    rejected = decide(place, asked, "reject", reason="No.").json()
    assert (rejected["state"], rejected["reason"]) == ("rejected", "No.")
    assert decide(place, asked, "approve").json()["code"] == "wrong-state"


def test_ones_own_request(place: Yard) -> None:
    asked = ask(place, **{"a.txt": b"x"})
    operator = place.town.operator
    place.town.node.projects.give_role(operator, "LUNG", "lung.researcher", Role.OUTPUT_REVIEWER)
    with place.town.client(place.researcher) as client:
        refused = client.post(f"{ADDRESS}/{asked['requestId']}/approve", json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "own-request")
        assert client.get(f"{ADDRESS}/{asked['requestId']}/files/0").status_code == 403


def test_another_tenant_sees_nothing(place: Yard) -> None:
    asked = ask(place, **{"a.txt": b"x"})
    for role in Role:
        with place.town.client(place.person(role, "BREAST")) as client:
            assert client.get(ADDRESS).json()["items"] == []
            for path in ("", "/content", "/files/0"):
                assert client.get(f"{ADDRESS}/{asked['requestId']}{path}").status_code == 404


def test_the_list_by_state(place: Yard) -> None:
    asked = ask(place, **{"a.txt": b"x"})
    with place.town.client(place.person(Role.AUDITOR)) as client:
        pending = client.get(ADDRESS, params={"state": "pending"}).json()["items"]
        assert [item["requestId"] for item in pending] == [asked["requestId"]]
        assert client.get(ADDRESS, params={"state": "approved"}).json()["items"] == []
        assert client.get(ADDRESS, params={"state": "odd"}).status_code == 422
        assert client.get(ADDRESS, params={"after": "\0"}).status_code == 422


@pytest.mark.parametrize(
    ("path", "status"),
    [("../run/log", 422), ("/etc/passwd", 422), ("a\0", 422), ("\ud800", 422), ("x" * 9000, 422),
     ("nothing", 404), ("", 404)],
    ids=["climbing", "absolute", "nul", "surrogate", "long", "absent", "empty"],
)  # fmt: skip
def test_paths_that_are_no_outputs(place: Yard, path: str, status: int) -> None:
    job = place.finished()
    with place.town.client(place.researcher) as client:
        content = json.dumps({"jobId": job.job_id, "paths": [path]})
        headers = {"content-type": "application/json"}
        answer = client.post(ADDRESS, content=content, headers=headers)
    assert answer.status_code in {status, 422}, answer.text


@pytest.mark.parametrize("index", ["-1", "1", "x", str(2**80)])
def test_files_that_are_not_there(place: Yard, index: str) -> None:
    asked = ask(place, **{"a.txt": b"x"})
    with place.town.client(place.person(Role.OUTPUT_REVIEWER)) as client:
        answer = client.get(f"{ADDRESS}/{asked['requestId']}/files/{index}")
    assert answer.status_code in {404, 422}


def test_names_in_the_zip_lead_nowhere_on_any_system(place: Yard) -> None:
    odd = ["..\\..\\evil.exe", "C:evil.exe", "\\\\host\\share", "nul:", "a*b?", "a_b_", "fine.csv"]
    asked = ask(place, **dict.fromkeys(odd, b"x"))
    decide(place, asked, "approve")
    with place.town.client(place.researcher) as client:
        answer = client.get(f"{ADDRESS}/{asked['requestId']}/content")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
    assert len(set(names)) == len(odd)
    for name in names:
        assert not PurePosixPath(name).is_absolute()
        assert ".." not in PurePosixPath(name).parts
        windows = PureWindowsPath(name)
        assert not windows.drive
        assert not windows.root
        assert ".." not in windows.parts


def test_names_that_become_the_same_stay_apart() -> None:
    files = [EgressFile(path, 1, "ab", "text", ()) for path in ("a:b", "a_b", "a?b", "a_b.2")]
    names = zip_names(files)
    assert len(set(names)) == 4
