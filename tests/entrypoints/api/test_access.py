"""Applications and grants over REST, with a real dataset."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from albufera.governance.model import Role
from albufera.kernel import clock
from tests.governance.datasets import release_dataset
from tests.nodes import Town, town

API = "/api/v1"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Town, str]]:
    with town(tmp_path / "home") as made:
        yield made, release_dataset(made)


def as_role(made: Town, role: Role, project: str = "LUNG") -> httpx.Client:
    return made.client(made.people[project, role])


def test_from_application_to_revocation(place: tuple[Town, str]) -> None:
    made, dataset_id = place
    researcher = as_role(made, Role.RESEARCHER)
    committee = as_role(made, Role.COMMITTEE_MEMBER)
    sent = researcher.post(
        f"{API}/datasets/{dataset_id}/applications", json={"purpose": "To learn"}
    )
    assert sent.status_code == 201
    assert sent.json()["allowedActions"] == ["view", "withdraw"]
    address = f"{API}/applications/{sent.json()['applicationId']}"
    waiting = committee.get(f"{API}/applications", params={"scope": "to-decide"}).json()["items"]
    assert [item["applicationId"] for item in waiting] == [sent.json()["applicationId"]]
    assert committee.get(address).json()["allowedActions"] == ["decide", "view"]
    assert researcher.post(f"{address}/approve", json={}).status_code == 403
    until = (clock.now() + timedelta(days=30)).isoformat()
    granted = committee.post(
        f"{address}/approve", json={"reason": "Sound", "endsAt": until, "conditions": "Cite it"}
    )
    assert granted.status_code == 200
    assert (granted.json()["state"], granted.json()["conditions"]) == ("active", "Cite it")
    again = committee.post(f"{address}/reject", json={"reason": "No"})
    assert (again.status_code, again.json()["code"]) == (409, "wrong-state")
    mine = researcher.get(f"{API}/grants", params={"scope": "own"}).json()["items"]
    assert [item["datasetId"] for item in mine] == [dataset_id]
    grant = f"{API}/grants/{granted.json()['grantId']}"
    assert committee.get(grant).json()["allowedActions"] == ["revoke", "view"]
    assert researcher.post(f"{grant}/revoke").status_code == 403
    assert committee.post(f"{grant}/revoke").json()["state"] == "revoked"
    assert committee.get(grant).json()["allowedActions"] == ["view"]


def test_giving_without_an_application(place: tuple[Town, str]) -> None:
    made, dataset_id = place
    committee = as_role(made, Role.COMMITTEE_MEMBER)
    body = {"datasetId": dataset_id, "username": "breast.researcher", "endsAt": "2030-01-01"}
    assert committee.post(f"{API}/grants", json=body).json()["endsAt"].startswith("2030-01-01")
    myself = {**body, "username": "lung.committee-member"}
    assert committee.post(f"{API}/grants", json=myself).status_code == 403
    assert as_role(made, Role.STEWARD).post(f"{API}/grants", json=body).status_code == 403
    stranger = as_role(made, Role.COMMITTEE_MEMBER, "BREAST")
    assert stranger.post(f"{API}/grants", json=body).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"endsAt": "0001-01-01T00:00:00+14:00"},
        {"endsAt": "9999-12-31T23:59:59-14:00"},
        {"endsAt": "never"},
        {"endsAt": 1e300},
        {"reason": "x" * 5000},
        {"unknown": 1},
    ],
)
def test_wrong_terms_are_refused(place: tuple[Town, str], body: dict[str, object]) -> None:
    made, dataset_id = place
    sent = as_role(made, Role.RESEARCHER).post(
        f"{API}/datasets/{dataset_id}/applications", json={"purpose": "To learn"}
    )
    address = f"{API}/applications/{sent.json()['applicationId']}/approve"
    assert as_role(made, Role.COMMITTEE_MEMBER).post(address, json=body).status_code == 422


@pytest.mark.parametrize("wrong", ["x", "ap-1", "%00", "a" * 3000, "%ff"])
def test_identifiers_that_are_none_are_not_found(place: tuple[Town, str], wrong: str) -> None:
    client = as_role(place[0], Role.COMMITTEE_MEMBER)
    for path in ("applications", "grants"):
        assert client.get(f"{API}/{path}/{wrong}").status_code in {404, 422}
    sent = client.post(f"{API}/datasets/{wrong}/applications", json={"purpose": "x"})
    assert sent.status_code in {404, 405, 422}
