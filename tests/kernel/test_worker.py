"""The worker does tasks, retries them, gives them up aloud, and stops when told."""

import threading
from datetime import timedelta

from albufera.kernel import clock
from albufera.kernel.actor import SYSTEM
from albufera.kernel.database import Database
from albufera.kernel.errors import define
from albufera.kernel.outbox import Task, TaskQueue, TaskState, request_cancel, task_progress
from albufera.kernel.unit_of_work import unit_of_work
from albufera.kernel.worker import MAX_ATTEMPTS, Again, Handler, TaskContext, Worker
from tests.kernel.clocks import HandClock

KIND = "test.work"
NO_LUCK = define("test-no-luck", 409, "No luck.", "Nothing to be done: a test's own error.")


def worker_of(database: Database, handler: Handler) -> Worker:
    with unit_of_work(database, SYSTEM) as work:
        work.enqueue(KIND, "k", {"n": 1})
    return Worker(TaskQueue(database), {KIND: handler}, {})


def outcome(database: Database) -> tuple[TaskState, str]:
    with database.read() as connection:
        progress = task_progress(connection, KIND, "k")
    assert progress is not None
    return progress.state, progress.note


def test_a_done_task_is_done_once(sqlite_database: Database) -> None:
    seen: list[object] = []
    worker = worker_of(sqlite_database, Handler(lambda context: seen.append(context.task.payload)))
    assert worker.drain() == 1
    assert worker.drain() == 0
    assert seen == [{"n": 1}]
    assert outcome(sqlite_database) == (TaskState.DONE, "")


def test_a_failure_is_retried_with_growing_pauses_and_then_given_up(
    sqlite_database: Database,
) -> None:
    given_up: list[str] = []

    def fail(_context: TaskContext) -> None:
        raise OSError("the disk is away")

    def told(_task: Task, note: str) -> None:
        given_up.append(note)

    hand = HandClock()
    with clock.installed(hand):
        worker = worker_of(sqlite_database, Handler(fail, failed=told))
        tries = 0
        while not given_up:
            tries += worker.drain()
            hand.move(timedelta(minutes=10))
            assert tries <= MAX_ATTEMPTS
    assert tries == MAX_ATTEMPTS
    assert given_up == ["OSError: the disk is away"]
    assert outcome(sqlite_database)[0] is TaskState.FAILED


def test_a_refusal_is_final(sqlite_database: Database) -> None:
    def refuse(_context: TaskContext) -> None:
        raise NO_LUCK("This will not work tomorrow either.")

    worker = worker_of(sqlite_database, Handler(refuse))
    worker.drain()
    assert outcome(sqlite_database) == (TaskState.FAILED, "This will not work tomorrow either.")


def test_a_task_that_is_not_over_is_looked_at_again(sqlite_database: Database) -> None:
    looks: list[int] = []

    def look(_context: TaskContext) -> None:
        looks.append(1)
        if len(looks) < 20:
            raise Again(timedelta(), "still running")

    worker = worker_of(sqlite_database, Handler(look))
    worker.drain()
    assert len(looks) == 20
    assert outcome(sqlite_database)[0] is TaskState.DONE


def test_cancelling_reaches_the_handler_at_its_next_report(sqlite_database: Database) -> None:
    cancelled: list[str] = []

    def run(context: TaskContext) -> None:
        with sqlite_database.write() as connection:
            request_cancel(connection, KIND, "k")
        context.progress(1, 2)
        raise AssertionError("not reached")

    handler = Handler(run, cancelled=lambda task: cancelled.append(task.key))
    worker_of(sqlite_database, handler).drain()
    assert cancelled == ["k"]
    assert outcome(sqlite_database)[0] is TaskState.CANCELLED


def test_a_failing_chore_does_not_stop_the_work(sqlite_database: Database) -> None:
    done = threading.Event()

    def chore() -> None:
        raise RuntimeError("a chore's own trouble")

    with unit_of_work(sqlite_database, SYSTEM) as work:
        work.enqueue(KIND, "k", {})
    handlers = {KIND: Handler(lambda _context: done.set())}
    worker = Worker(TaskQueue(sqlite_database), handlers, {"broken": chore})
    thread = threading.Thread(target=worker.run_forever, args=(0.01,))
    thread.start()
    assert done.wait(10)
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()
