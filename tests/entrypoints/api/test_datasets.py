"""Datasets and cohorts over REST."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from albufera.catalogue.manifest import Entry, FileProof
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS
from tests.catalogue.lakes import cohort, fill
from tests.nodes import Town, town

API = "/api/v1"
NEW = {"project": "LUNG", "name": "Lung CT", "where": "modality = CT"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home") as place:
        fill(place.node, "LUNG", cohort())
        yield place


@pytest.fixture
def client(place: Town) -> httpx.Client:
    return place.client(place.people["LUNG", Role.STEWARD])


def made(place: Town, client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = client.post(f"{API}/datasets", json={**NEW, **more})
    assert answer.status_code == 201, answer.text
    place.drain()
    found: dict[str, Any] = client.get(f"{API}/datasets/{answer.json()['id']}").json()
    return found


def test_creating_is_asynchronous_and_says_how_far_it_is(place: Town, client: httpx.Client) -> None:
    answer = client.post(f"{API}/datasets", json=NEW)
    assert answer.status_code == 201
    seen = answer.json()
    assert answer.headers["location"] == f"{API}/datasets/{seen['id']}"
    assert seen["state"] == "creating"
    assert seen["progress"]["state"] == "queued"
    assert seen["allowedActions"] == ["cancel", "edit", "view"]
    place.drain()
    seen = client.get(answer.headers["location"]).json()
    assert (seen["state"], seen["progress"]) == ("ready", None)
    assert seen["counts"] == {
        "subjects": 8, "studies": 8, "series": 8, "images": 24, "bytes": seen["counts"]["bytes"]
    }  # fmt: skip
    assert seen["selection"] == {"where": "modality = CT", "listedStudies": 0}
    assert "release" in seen["allowedActions"]
    assert seen["editable"] == ["name", "description", "purpose", "licence", "contact"]
    assert seen["aggregate"]["modality"][0]["value"] == "CT"


def test_an_idempotency_key_makes_one_dataset(place: Town, client: httpx.Client) -> None:
    headers = {"idempotency-key": "key-1"}
    answers = [client.post(f"{API}/datasets", json=NEW, headers=headers) for _ in range(2)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(client.get(f"{API}/datasets").json()["items"]) == 1


def test_a_filter_may_be_json(place: Town, client: httpx.Client) -> None:
    tree = {
        "operand": "AND",
        "children": [
            {"key": "modality", "type": "EQUALS", "value": "CT"},
            {"key": "age", "type": "BETWEEN", "value": {"min": 50, "max": 90}},
        ],
    }
    seen = made(place, client, where=tree)
    assert seen["selection"]["where"] == "modality = CT and age between 50 and 90"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**NEW, "where": "modality ="}, "bad-filter"),
        ({**NEW, "where": {"key": "x"}}, "bad-filter"),
        ({**NEW, "where": "age > 200"}, "nothing-selected"),
        ({**NEW, "where": None}, "invalid-input"),
        ({**NEW, "studies": ["2.25.1000"]}, "invalid-input"),
        ({"project": "LUNG", "name": "x", "studies": ["2.25.404"]}, "unknown-studies"),
        ({"project": "LUNG", "name": "x", "studies": []}, "invalid-input"),
        ({**NEW, "name": "a\x00b"}, "invalid-input"),
        ({**NEW, "name": " "}, "invalid-input"),
        ({**NEW, "project": "NO\x00"}, "project-not-found"),
        ({**NEW, "licence": "whatever I like"}, "invalid-input"),
        ({**NEW, "extra": 1}, "invalid-input"),
    ],
)
def test_what_cannot_be_made_is_refused(client: httpx.Client, body: object, code: str) -> None:
    answer = client.post(f"{API}/datasets", json=body)
    assert answer.json()["code"] == code
    assert answer.status_code in (404, 422)
    assert answer.json()["remedy"]


def test_the_whole_life_over_rest(place: Town, client: httpx.Client) -> None:
    path = f"{API}/datasets/{made(place, client)['id']}"
    for verb, body, state in (
        ("release", None, "released"),
        ("publish", None, "published"),
        ("invalidate", {"reason": "Consent withdrawn."}, "invalidated"),
    ):
        answer = client.post(f"{path}/{verb}", json=body)
        assert (answer.status_code, answer.json()["state"]) == (200, state), answer.text
    assert client.post(f"{path}/release").json()["code"] == "wrong-state"
    newer = client.post(f"{path}/new-version", json={"name": "Lung CT, mended"})
    assert newer.status_code == 201
    assert (newer.json()["version"], newer.json()["name"]) == (2, "Lung CT, mended")
    assert client.get(path).json()["nextId"] == newer.json()["id"]
    cancelled = client.post(f"{API}/datasets/{newer.json()['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert client.post(f"{API}/datasets/{newer.json()['id']}/retry").json()["state"] == "creating"


def test_edits_are_guarded_by_entity_tags(place: Town, client: httpx.Client) -> None:
    path = f"{API}/datasets/{made(place, client)['id']}"
    tag = client.get(path).headers["etag"]
    first = client.patch(path, json={"description": "One"}, headers={"if-match": tag})
    assert (first.status_code, first.json()["description"]) == (200, "One")
    assert first.json()["name"] == "Lung CT"
    second = client.patch(path, json={"description": "Two"}, headers={"if-match": tag})
    assert (second.status_code, second.json()["code"]) == (412, "changed-meanwhile")
    third = client.patch(path, json={"name": "X"}, headers={"if-match": first.headers["etag"]})
    assert third.json()["name"] == "X"
    client.post(f"{path}/release")
    assert client.patch(path, json={"name": "Y"}).json()["code"] == "wrong-state"


def test_the_manifest_and_the_proof_of_one_file(place: Town, client: httpx.Client) -> None:
    seen = made(place, client)
    path = f"{API}/datasets/{seen['id']}/manifest"
    answer = client.get(path)
    assert hashlib.sha256(answer.content).hexdigest() == seen["manifest"]["sha256"]
    assert answer.headers["etag"] == f'"{seen["manifest"]["sha256"]}"'
    file = answer.json()["files"][5]
    told = client.get(f"{path}/proof", params={"path": file["path"]}).json()
    assert told["root"] == seen["manifest"]["root"]
    entry = Entry(**told["file"])
    FileProof(entry, told["index"], told["files"], told["root"], tuple(told["auditPath"])).verify()
    missing = client.get(f"{path}/proof", params={"path": "no/such/file\x00"})
    assert missing.json()["code"] == "manifest-file-not-found"


def test_verification_over_rest(place: Town, client: httpx.Client) -> None:
    path = f"{API}/datasets/{made(place, client)['id']}"
    asked = client.post(f"{path}/verify")
    assert asked.status_code == 202
    assert asked.json()["verification"]["state"] == "queued"
    place.drain()
    told = client.get(path).json()["verification"]
    assert (told["state"], told["passed"], told["files"], told["problems"]) == (
        "done",
        True,
        24,
        [],
    )


def test_series_and_lists_are_keyset_pages(place: Town, client: httpx.Client) -> None:
    path = f"{API}/datasets/{made(place, client)['id']}/series"
    first = client.get(path, params={"limit": 5})
    assert 'rel="next"' in first.headers["link"]
    second = client.get(path, params={"limit": 5, "after": first.json()["nextAfter"]})
    items = first.json()["items"] + second.json()["items"]
    assert len({item["seriesId"] for item in items}) == 8
    assert second.json()["nextAfter"] is None
    for wrong in ("\x00", "ü"):
        assert client.get(path, params={"after": wrong}).status_code == 422
        assert client.get(f"{API}/datasets", params={"after": wrong}).status_code == 422


@pytest.mark.parametrize("name", ["x", "ds-", "ds-" + "0" * 26, "%00", "ds-%00", "é" * 50])
def test_an_unknown_dataset_is_not_found_by_any_name(client: httpx.Client, name: str) -> None:
    for method, rest in (
        ("GET", ""), ("GET", "/manifest"), ("GET", "/series"), ("GET", "/metadata"),
        ("POST", "/release"), ("POST", "/verify"), ("POST", "/retry"),
        ("GET", "/manifest/proof?path=a"),
    ):  # fmt: skip
        answer = client.request(method, f"{API}/datasets/{name}{rest}")
        assert answer.status_code == 404, (method, rest, answer.text)


def test_a_published_dataset_is_metadata_alone_for_anybody(
    place: Town, client: httpx.Client
) -> None:
    path = f"{API}/datasets/{made(place, client)['id']}"
    anybody = place.client(ANONYMOUS)
    assert anybody.get(path).status_code == 401  # unknown, until one says who one is
    client.post(f"{path}/release")
    client.post(f"{path}/publish")
    client.post(f"{path}/verify")
    place.drain()
    seen = anybody.get(path).json()
    assert seen["state"] == "published"
    assert seen["aggregate"]["subjects"] == 8
    assert (seen["createdBy"], seen["selection"]) == (None, None)
    assert (seen["verification"]["passed"], seen["verification"]["problems"]) == (True, None)
    assert "SUBJ-" not in anybody.get(path).text
    told = anybody.get(f"{path}/metadata")
    assert told.json()["collection"]["size"] == 8
    assert "SUBJ-" not in told.text
    for rest in ("/series", "/manifest"):
        assert anybody.get(path + rest).status_code == 401
    researcher = place.client(place.people["BREAST", Role.RESEARCHER])
    assert researcher.get(path + "/series").status_code == 403
    assert [item["id"] for item in anybody.get(f"{API}/datasets").json()["items"]] == [seen["id"]]


def test_cohorts_are_counted_and_divided(place: Town, client: httpx.Client) -> None:
    told = client.post(f"{API}/cohorts/count", json={"where": "MODALITY = ct"}).json()
    assert told["where"] == "modality = ct"
    assert (told["counts"]["subjects"], told["counts"]["series"]) == (8, 8)
    stranger = place.client(place.people["BREAST", Role.STEWARD])
    assert stranger.post(f"{API}/cohorts/count", json={}).json()["counts"]["series"] == 0
    divided = client.post(f"{API}/cohorts/explore", json={"where": "sex = F"}).json()
    facets = {facet["key"]: facet["values"] for facet in divided["facets"]}
    assert facets["modality"][0] == {"value": "CT", "label": "CT", "subjects": 4, "series": 4}
    wrong = client.post(f"{API}/cohorts/count", json={"where": "age >"})
    assert (wrong.status_code, wrong.json()["position"]) == (422, 5)
    assert place.client(ANONYMOUS).post(f"{API}/cohorts/count", json={}).status_code == 401
    concepts = client.get(f"{API}/cohorts/concepts").json()
    assert {"modality", "age", "year"} <= {concept["key"] for concept in concepts}
