"""Events and tasks commit with what caused them, are claimed once, and are never lost."""

import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa

from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.database import Database
from albufera.kernel.events import Event
from albufera.kernel.outbox import (
    LeaseLost,
    Task,
    TaskCancelled,
    TaskQueue,
    TaskState,
    events,
    mark_logged,
    oldest_waiting,
    request_cancel,
    task_progress,
    tasks,
    waiting_events,
)
from albufera.kernel.unit_of_work import unit_of_work
from tests.kernel.clocks import HandClock

KIND = "test.count"


@dataclass(frozen=True, kw_only=True)
class Counted(Event):
    """A test's own event."""

    verb: ClassVar[str] = "test.counted"
    number: int


def enqueue(database: Database, key: str = "k", **payload: object) -> None:
    with unit_of_work(database, SYSTEM) as work:
        work.enqueue(KIND, key, dict(payload))


def claim(queue: TaskQueue, owner: str) -> Task:
    task = queue.claim(owner, [KIND])
    assert task is not None
    return task


def state_of(database: Database, key: str = "k") -> TaskState:
    with database.read() as connection:
        progress = task_progress(connection, KIND, key)
    assert progress is not None
    return progress.state


def test_events_and_tasks_vanish_with_the_rows_when_the_verb_fails(database: Database) -> None:
    def verb() -> None:
        with unit_of_work(database, SYSTEM) as work:
            work.record(Counted(number=1))
            work.enqueue(KIND, "k", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        verb()
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(events)) == 0
        assert connection.scalar(sa.select(sa.func.count()).select_from(tasks)) == 0


def test_an_event_keeps_who_what_and_about_what(database: Database) -> None:
    actor = Actor("us-1", "anna")
    with unit_of_work(database, actor) as work:
        work.record(Counted(project_id="pr-1", number=7))
    with database.read() as connection:
        (row,) = waiting_events(connection, 10)
    assert (row.actor_id, row.verb, row.project_id) == ("us-1", "test.counted", "pr-1")
    assert row.subjects == {"number": 7}


def test_events_wait_in_order_until_they_are_logged(database: Database) -> None:
    for number in range(5):
        with unit_of_work(database, SYSTEM) as work:
            work.record(Counted(number=number))
    with database.write() as connection:
        first = waiting_events(connection, 2)
        assert [row.subjects["number"] for row in first] == [0, 1]
        mark_logged(connection, [row.sequence for row in first])
    with database.read() as connection:
        assert [row.subjects["number"] for row in waiting_events(connection, 9)] == [2, 3, 4]
        assert oldest_waiting(connection) is not None


def test_the_same_key_makes_one_task_and_an_ended_one_starts_afresh(database: Database) -> None:
    enqueue(database, value=1)
    enqueue(database, value=2)
    queue = TaskQueue(database)
    task = claim(queue, "a")
    assert task.payload == {"value": 1}
    assert queue.claim("b", [KIND]) is None
    queue.finish(task, "a", TaskState.DONE)
    enqueue(database, value=3)
    again = claim(queue, "b")
    assert (again.payload, again.attempts) == ({"value": 3}, 1)


def test_a_lease_that_ran_out_goes_to_another_and_the_first_is_told(database: Database) -> None:
    hand = HandClock()
    with clock.installed(hand):
        enqueue(database)
        queue = TaskQueue(database, lease=timedelta(seconds=30))
        task = claim(queue, "a")
        queue.beat(task, "a", 1, 2, "half")
        hand.move(timedelta(seconds=29))
        assert queue.claim("b", [KIND]) is None
        hand.move(timedelta(seconds=2))
        taken = claim(queue, "b")
        assert taken.attempts == 2
        with pytest.raises(LeaseLost):
            queue.beat(task, "a", 2, 2, "")
        queue.finish(task, "a", TaskState.DONE)
        assert state_of(database) is TaskState.RUNNING


def test_a_task_put_back_waits_its_delay(database: Database) -> None:
    hand = HandClock()
    with clock.installed(hand):
        enqueue(database)
        queue = TaskQueue(database)
        queue.put_back(claim(queue, "a"), "a", timedelta(seconds=10), "later", attempts=1)
        assert queue.claim("a", [KIND]) is None
        hand.move(timedelta(seconds=11))
        assert claim(queue, "a").attempts == 2


def test_cancelling_a_waiting_task_ends_it_and_a_running_one_hears_of_it(
    database: Database,
) -> None:
    enqueue(database, "waits")
    enqueue(database, "runs")
    queue = TaskQueue(database)
    with database.write() as connection:
        request_cancel(connection, KIND, "waits")
    assert state_of(database, "waits") is TaskState.CANCELLED
    task = claim(queue, "a")
    assert task.key == "runs"
    with database.write() as connection:
        request_cancel(connection, KIND, "runs")
    with pytest.raises(TaskCancelled):
        queue.beat(task, "a", 0, 0, "")


def test_many_workers_claim_every_task_exactly_once(database: Database) -> None:
    for number in range(40):
        enqueue(database, f"k{number}")
    claimed: list[str] = []

    def work(owner: str) -> None:
        queue = TaskQueue(database)
        while (task := queue.claim(owner, [KIND])) is not None:
            claimed.append(task.key)
            queue.finish(task, owner, TaskState.DONE)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(f"k{number}" for number in range(40))


def test_a_commit_is_durable_before_the_caller_is_told(tmp_path: Path) -> None:
    """The process dies by kill -9 right after the block: what was recorded is there."""
    script = f"""
import os, signal
from albufera.kernel.actor import SYSTEM
from albufera.kernel.database import Database, metadata
from albufera.kernel.unit_of_work import unit_of_work
from tests.kernel.test_outbox import Counted
database = Database("sqlite:///{tmp_path}/x.sqlite")
metadata.create_all(database.engine)
with unit_of_work(database, SYSTEM) as work:
    work.record(Counted(number=1))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    assert done.returncode == -9
    with Database(f"sqlite:///{tmp_path}/x.sqlite").read() as connection:
        assert len(waiting_events(connection, 9)) == 1
