"""A creation repeated with the same Idempotency-Key is made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from albufera.governance.model import Role
from tests.nodes import Town, town

HEADERS = {"idempotency-key": "one"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "home", ("LUNG",)) as made:
        yield made


def test_the_same_key_gives_the_first_answer_and_makes_one_thing(place: Town) -> None:
    client = place.client(place.operator)
    body = {"code": "COLON", "name": "Colon"}
    first = client.post("/api/v1/projects", json=body, headers=HEADERS)
    again = client.post("/api/v1/projects", json=body, headers=HEADERS)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert client.post("/api/v1/projects", json=body).status_code == 409


def test_another_body_under_the_same_key_is_refused(place: Town) -> None:
    client = place.client(place.operator)
    client.post("/api/v1/projects", json={"code": "COLON"}, headers=HEADERS)
    other = client.post("/api/v1/projects", json={"code": "RECTUM"}, headers=HEADERS)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


def test_a_key_belongs_to_its_caller(place: Town) -> None:
    body = {"code": "COLON"}
    steward = place.client(place.people["LUNG", Role.STEWARD])
    assert steward.post("/api/v1/projects", json=body, headers=HEADERS).status_code == 403
    operator = place.client(place.operator)
    assert operator.post("/api/v1/projects", json=body, headers=HEADERS).status_code == 201


def test_a_key_too_long_is_refused(place: Town) -> None:
    headers = {"idempotency-key": "x" * 201}
    answer = place.client(place.operator).post("/api/v1/projects", json={}, headers=headers)
    assert answer.status_code == 422
