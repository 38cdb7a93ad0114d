"""Events reach the log once, in order, whatever dies and whoever else appends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from albufera.kernel import merkle
from albufera.kernel.crashes import ENVIRONMENT_VARIABLE
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.outbox import events
from albufera.trace import appender, records
from albufera.trace.model import Checkpoint
from tests.trace.logbook import KEY, Logbook

HERE = Path(__file__).parents[2]


def logged_datasets(database: Database) -> list[str]:
    with database.read() as connection:
        wanted = sa.select(records.subjects.c.value).where(records.subjects.c.key == "dataset_id")
        return list(connection.scalars(wanted.order_by(records.subjects.c.entry_index)))


def test_waiting_events_become_entries_in_their_order(database: Database) -> None:
    book = Logbook(database)
    book.record(0, 5)
    assert book.trace.append() == 5
    assert book.trace.append() == 0
    assert logged_datasets(database) == [f"ds-{number}" for number in range(5)]
    head = book.trace.checkpoint()
    with database.read() as connection:
        leaves = records.leaves(connection, 0, 5)
        assert connection.scalar(sa.select(sa.func.count()).where(~events.c.logged)) == 0
    assert head.checkpoint.size == 5
    assert head.checkpoint.root == merkle.root(merkle.leaf_hash(leaf) for leaf in leaves)
    assert Checkpoint.open(head.note, [KEY.verify_key]) == head.checkpoint
    assert book.inspect().intact


def test_batches_of_any_size_make_the_same_tree(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "BATCH", 97)
    book = Logbook(sqlite_database)
    book.fill(1, 255, 1, 300, 1)
    report = book.inspect()
    assert (report.entries, report.intact) == (558, True), report.findings
    with sqlite_database.read() as connection:
        stored = records.read_tiles(connection, [(0, 0), (0, 1), (0, 2), (1, 0)])
    assert [len(stored[address]) // 32 for address in sorted(stored)] == [256, 256, 46, 2]


def test_a_large_log_is_appended_in_several_turns(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "BATCH", 10)
    monkeypatch.setattr(appender, "MAX_BATCHES", 3)
    book = Logbook(sqlite_database)
    book.record(0, 45)
    assert [book.trace.append(), book.trace.append(), book.trace.append()] == [30, 15, 0]


def test_of_checkpoints_within_a_second_the_last_is_kept(sqlite_database: Database) -> None:
    book = Logbook(sqlite_database)
    book.fill(*[1] * 20)
    with sqlite_database.read() as connection:
        found = connection.execute(records.checkpoints.select()).all()
    assert 1 <= len(found) < 10
    assert max(row.size for row in found) == 20
    assert len({row.second for row in found}) == len(found)


def test_an_event_that_is_shown_again_is_not_logged_again(database: Database) -> None:
    book = Logbook(database)
    book.fill(3)
    with database.write() as connection:
        connection.execute(events.update().values(logged=False))
    assert book.trace.append() == 0
    assert book.inspect().intact


# --- several writers ---------------------------------------------------------------------------


WRITER = """
import sys
import albufera.governance.records, albufera.identity.records
from albufera.kernel.database import Database
from tests.trace.logbook import Logbook
book = Logbook(Database(sys.argv[1]))
first = int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(first, first + int(sys.argv[3])):
    book.record(number)
    book.trace.append()
"""


def start(database: Database, *arguments: str, crash_at: str = "") -> subprocess.Popen[str]:
    url = database.engine.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, *arguments],
        cwd=HERE,
        env={**os.environ, ENVIRONMENT_VARIABLE: crash_at},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(*processes: subprocess.Popen[str]) -> list[int]:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("\n", timeout=60)
    return [process.returncode for process in processes]


def test_processes_that_append_at_once_make_one_log(database: Database) -> None:
    writers = [start(database, str(first), "40") for first in (0, 100, 200)]
    assert go(*writers) == [0, 0, 0]
    book = Logbook(database)
    assert book.trace.append() == 0
    found = logged_datasets(database)
    assert len(found) == len(set(found)) == 120
    for first in (0, 100, 200):  # each writer's own events keep their order
        own = [number for number in map(_number, found) if first <= number < first + 100]
        assert own == list(range(first, first + 40))
    report = book.inspect()
    assert (report.entries, report.intact) == (120, True), report.findings


def _number(dataset: str) -> int:
    return int(dataset.removeprefix("ds-"))


def test_threads_that_open_the_log_at_once_open_one(database: Database) -> None:
    book = Logbook(database)
    book.record(0, 50)
    barrier, counts = threading.Barrier(4), []

    def run() -> None:
        trace = book.trace
        barrier.wait()
        counts.append(trace.append())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 0, 0, 50]
    assert book.inspect().intact


# --- crashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        "trace.entries-written",
        "trace.tree-written",
        "trace.checkpoint-written",
        "trace.before-commit",
        "trace.after-commit",
    ],
)
def test_killed_at_any_point_the_log_verifies_and_goes_on(
    sqlite_database: Database, point: str
) -> None:
    book, passage = Logbook(sqlite_database), 2
    killed = start(sqlite_database, "0", "5", crash_at=f"{point}:{passage}")
    assert go(killed) == [-signal.SIGKILL]
    assert book.inspect().intact
    done = passage if point == "trace.after-commit" else passage - 1
    assert len(logged_datasets(sqlite_database)) == done
    assert book.trace.append() == passage - done
    assert logged_datasets(sqlite_database) == [f"ds-{number}" for number in range(passage)]
    assert book.inspect().intact


def test_killed_on_postgresql_too(database: Database) -> None:
    book = Logbook(database)
    assert go(start(database, "0", "5", crash_at="trace.before-commit:2")) == [-signal.SIGKILL]
    assert book.trace.append() == 1
    assert book.inspect().intact


# --- a log that was tampered with is not signed again ------------------------------------------


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM trace_head"],
        ["DELETE FROM trace_checkpoints"],
        ["UPDATE trace_checkpoints SET note = 'forged'"],
        ["DELETE FROM trace_entries", "DELETE FROM trace_head", "DELETE FROM trace_checkpoints"],
        ["UPDATE trace_tiles SET hashes = zeroblob(31)"],
    ],
)
def test_nothing_is_signed_on_top_of_a_changed_head(
    sqlite_database: Database, statements: list[str]
) -> None:
    book = Logbook(sqlite_database)
    book.fill(3, 3)
    book.tamper(*statements)
    book.record(6)
    with pytest.raises(Refusal) as refused:
        book.trace.append()
    assert refused.value.code == "trace-tampered"
    with sqlite_database.read() as connection:
        assert records.has_waiting(connection)


def test_the_chore_reports_a_broken_log_once_and_rests(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    book = Logbook(sqlite_database)
    book.fill(1)
    book.tamper("DELETE FROM trace_head")
    book.record(1)
    chore = book.trace.appender.chore
    chore()
    chore()
    assert caplog.text.count("Nothing is appended to the log.") == 1


def test_idle_turns_look_into_an_index_only(database: Database) -> None:
    book = Logbook(database)
    book.fill(200)
    with database.write() as connection:
        connection.exec_driver_sql("ANALYZE")
    with database.read() as connection:
        waiting = sa.select(events.c.sequence).where(sa.not_(events.c.logged)).limit(1)
        statement = str(waiting.compile(database.engine, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement))
    assert "ix_events_unlogged" in plan
