"""Tables of jobs, and the races for their rows, on both databases."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from albufera.compute import records
from albufera.compute.jobs import JobService
from albufera.compute.model import Job, JobState
from albufera.compute.runs import JobRuns
from albufera.compute.workspace import Workspace
from albufera.governance.policy import TablePolicy
from albufera.identity.records import users
from albufera.kernel import clock
from albufera.kernel.actor import Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.ids import new_id
from albufera.kernel.policy import Thing
from albufera.kernel.worker import Again
from tests.catalogue.lakes import bare_project
from tests.compute.yard import FLAVOURS, StandInRunner


class OpenDatasets:
    """A double of the catalogue: every dataset is released, and its view is one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def dataset_thing(self, connection: Connection, dataset_id: str) -> Thing | None:
        return Thing("dataset", dataset_id, state="released")

    def view(self, dataset_id: str) -> Path:
        return self.folder


class Place:
    """Services of jobs over a database; their owner is an operator, who may use any dataset."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.project_id = bare_project(database)
        self.owner = Actor(new_id("us"), "olga", is_operator=True)
        for name in ("jobs", "homes"):
            (folder / name).mkdir()
        self.enrol(self.owner)
        self.jobs = JobService(
            database,
            TablePolicy(),
            OpenDatasets(folder),
            StandInRunner(),
            Workspace(folder / "jobs", folder / "homes"),
            FLAVOURS,
        )

    def enrol(self, actor: Actor) -> None:
        """Insert an account."""
        account = {
            "user_id": actor.user_id,
            "username": actor.username,
            "name": actor.username,
            "email": "",
            "organisation": "",
            "password_hash": "",
            "is_operator": actor.is_operator,
            "disabled": False,
            "created_at": clock.now(),
        }
        with self.database.write() as connection:
            connection.execute(users.insert().values(**account))

    def add(self, **values: Any) -> str:
        """Insert a job; return its id."""
        job_id = new_id("jo")
        row = {
            "job_id": job_id,
            "project_id": self.project_id,
            "owner_id": self.owner.user_id,
            "dataset_ids": ["ds-1"],
            "command": ["python", "é\n\x1b[31m"],
            "flavour": "standard",
            "state": JobState.QUEUED.value,
            "submitted_at": clock.now(),
        }
        with self.database.write() as connection:
            connection.execute(records.jobs.insert().values({**row, **values}))
        return job_id

    def job(self, job_id: str) -> Job:
        with self.database.read() as connection:
            row = records.job_row(connection, job_id)
        assert row is not None
        return records.to_job(row)


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Do things in threads that begin together; return what each gave or raised."""
    results: list[object] = [None] * len(actions)
    barrier = threading.Barrier(len(actions))

    def act(position: int) -> None:
        barrier.wait()
        try:
            results[position] = actions[position]()
        except Exception as failure:
            results[position] = failure

    threads = [threading.Thread(target=act, args=(n,)) for n in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_job_comes_back_as_it_went_in(place: Place) -> None:
    job = place.job(place.add(exit_code=3, cpu_seconds=1.5, memory_peak_bytes=2**40))
    assert job.command == ("python", "é\n\x1b[31m")
    assert (job.owner, job.exit_code, job.cpu_seconds) == ("olga", 3, 1.5)
    assert (job.memory_peak_bytes, job.dataset_ids) == (2**40, ("ds-1",))
    assert (job.started_at, job.reason) == (None, "")


def test_a_slot_has_one_holder(place: Place) -> None:
    place.add(slot=0)
    place.add(slot=None)
    place.add(slot=None)
    with pytest.raises(IntegrityError):
        place.add(slot=0)
    with place.database.read() as connection:
        assert records.taken_slots(connection) == {0}


def test_which_jobs_use_a_dataset(place: Place) -> None:
    mine = place.add(dataset_ids=["ds-1", "ds-2"])
    place.add(dataset_ids=["ds-22"])
    with place.database.read() as connection:
        found = connection.scalars(sa.select(records.jobs.c.job_id).where(records.uses("ds-2")))
        assert list(found) == [mine]
        nothing = sa.select(records.jobs.c.job_id).where(records.uses("ds-_"))
        assert list(connection.scalars(nothing)) == []


def test_counts(place: Place) -> None:
    made = [place.add(state=state.value) for state in (*JobState, JobState.QUEUED)]
    with place.database.read() as connection:
        assert records.live_count(connection, place.owner.user_id) == 3
        assert records.live_count(connection, "us-other") == 0
        counted = records.counts_by_state(connection)
        assert counted.pop("queued") == 2
        assert counted == dict.fromkeys(set(JobState) - {JobState.QUEUED}, 1)
        assert records.known_ids(connection, [*made, "jo-none"]) == set(made)


def test_workers_that_begin_together_take_no_more_slots_than_there_are(place: Place) -> None:
    runs = JobRuns(place.jobs, 2)
    for _ in range(4):
        waiting = [place.job(place.add()) for _ in range(6)]
        for _ in range(3):  # whoever lost the race for a slot looks again
            results = at_once(*(partial(runs._begin, job) for job in waiting))
            assert all(isinstance(result, Job | Again) for result in results), results
            states = [place.job(job.job_id).state for job in waiting]
            assert 1 <= states.count(JobState.RUNNING) <= 2
        assert states.count(JobState.RUNNING) == 2
        assert states.count(JobState.QUEUED) == 4
        with place.database.write() as connection:
            ended = {"state": JobState.FINISHED.value, "slot": None}
            connection.execute(records.jobs.update().values(**ended))


def test_two_workers_that_begin_one_job_begin_it_once(place: Place) -> None:
    runs = JobRuns(place.jobs, 5)
    for _ in range(5):
        job = place.job(place.add())
        at_once(*[partial(runs._begin, job)] * 4)
        assert place.job(job.job_id).state is JobState.RUNNING
        with place.database.read() as connection:
            assert len(records.taken_slots(connection)) == 1
        with place.database.write() as connection:
            records.update_job(connection, job.job_id, slot=None)


def test_a_cancellation_and_a_beginning_at_the_same_moment(place: Place) -> None:
    """Either it never begins, or it runs and is asked to stop; it is never both or neither."""
    runs = JobRuns(place.jobs, 99)
    for _ in range(10):
        job = place.job(place.add())
        begun, cancelled = at_once(
            partial(runs._begin, job), partial(place.jobs.cancel, place.owner, job.job_id)
        )
        assert not isinstance(begun, Exception), begun
        assert not isinstance(cancelled, Exception), cancelled
        with place.database.read() as connection:
            row = records.job_row(connection, job.job_id)
        assert row is not None
        if row.state == JobState.RUNNING:
            assert row.cancel_requested
            assert row.slot is not None
        else:
            assert (row.state, row.slot) == (JobState.CANCELLED, None)


def test_two_cancellations_at_the_same_moment_end_a_job_once(place: Place) -> None:
    job_id = place.add()
    results = at_once(*[lambda: place.jobs.cancel(place.owner, job_id)] * 3)
    refused = [item for item in results if isinstance(item, Refusal)]
    assert [item.code for item in refused] == ["wrong-state"] * 2
