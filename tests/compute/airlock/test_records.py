"""The table of egress requests, on both databases."""

from pathlib import Path

import pytest

from albufera.compute.airlock import records
from albufera.compute.airlock.freezer import Freezer
from albufera.compute.airlock.model import EgressFile, EgressState, Finding, Severity
from albufera.compute.airlock.service import AirlockService
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.ids import new_id
from tests.compute.test_records import Place, at_once

FILES = (
    EgressFile("tables/é 😀.csv", 2**40, "ab" * 32, "csv", ()),
    EgressFile("a.dcm", 1, "cd" * 32, "dicom", (Finding("is-dicom", Severity.ALARM, "No."),)),
)


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


def add(place: Place, state: EgressState = EgressState.PENDING) -> str:
    request_id, job_id = new_id("eg"), place.add(state="finished")
    with place.database.write() as connection:
        connection.execute(
            records.egress_requests.insert().values(
                request_id=request_id,
                project_id=place.project_id,
                job_id=job_id,
                owner_id=place.owner.user_id,
                purpose="two\nlines",
                state=state.value,
                files=records.to_json(FILES),
                files_digest="ef" * 32,
                requested_at=clock.now(),
            )
        )
    return request_id


def test_a_request_comes_back_as_it_went_in(place: Place) -> None:
    request_id = add(place)
    with place.database.read() as connection:
        row = records.request_row(connection, request_id)
    assert row is not None
    found = records.to_request(row)
    assert found.files == FILES
    assert (found.size, found.alarms) == (2**40 + 1, 1)
    assert (found.owner, found.reviewer, found.reviewed_at) == ("olga", "", None)


def test_counts_and_what_is_held(place: Place) -> None:
    made = {state: add(place, state) for state in EgressState}
    with place.database.read() as connection:
        assert records.pending_of(connection, place.owner.user_id) == 1
        assert records.pending_of(connection, "us-other") == 0
        assert records.counts_by_state(connection) == dict.fromkeys(EgressState, 1)
        held = records.holding(connection, [*made.values(), "eg-none"])
    assert held == {made[EgressState.PENDING], made[EgressState.APPROVED]}


def test_two_reviews_at_the_same_moment_are_one(place: Place, tmp_path: Path) -> None:
    airlock = AirlockService(
        place.database, place.jobs.policy, place.jobs.workspace, Freezer(tmp_path, 1)
    )
    for _ in range(5):
        request_id = add(place)
        reviewer = _somebody_else(place)
        results = at_once(
            lambda: airlock.approve(reviewer, request_id, "fine"),  # noqa: B023
            lambda: airlock.reject(reviewer, request_id, "not fine"),  # noqa: B023
        )
        refused = [item for item in results if isinstance(item, Refusal)]
        assert [item.code for item in refused] == ["wrong-state"], results


def _somebody_else(place: Place) -> Actor:
    actor = Actor(new_id("us"), new_id("ot"), is_operator=True)
    place.enrol(actor)
    return actor
