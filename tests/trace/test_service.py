"""Reading and proving, under the policy."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from albufera.governance.events import RoleGiven
from albufera.governance.model import Role
from albufera.kernel.actor import ANONYMOUS, Actor
from albufera.kernel.database import Database
from albufera.kernel.errors import Refusal
from albufera.kernel.pages import PageRequest
from albufera.kernel.unit_of_work import unit_of_work
from albufera.trace.model import Entry
from albufera.trace.proof import read_proof, verify
from albufera.trace.records import EntryQuery, Order
from albufera.trace.tiles import TileRequest, read_bundle
from tests.nodes import Town, town
from tests.trace.logbook import KEY, OPERATOR, Logbook

ALL = PageRequest(limit=500)


def indexes(book: Logbook, query: EntryQuery, page: PageRequest = ALL) -> list[int]:
    return [entry.index for entry in book.trace.entries(OPERATOR, query, page).items]


def test_entries_are_found_by_what_they_are_about(database: Database) -> None:
    book = Logbook(database)
    book.record(0, 4)
    book.record(4, 2, Actor("us-7", "seven"))
    with unit_of_work(database, OPERATOR) as work:
        work.record(RoleGiven(project_id="pr-9", user_id="us-7", role="auditor"))
    book.trace.append()
    assert indexes(book, EntryQuery()) == [6, 5, 4, 3, 2, 1, 0]
    assert indexes(book, EntryQuery(order=Order.OLDEST_FIRST)) == list(range(7))
    assert indexes(book, EntryQuery(about="ds-3")) == [3]
    assert indexes(book, EntryQuery(about="us-7")) == [6]
    assert indexes(book, EntryQuery(actor_id="us-7")) == [5, 4]
    assert indexes(book, EntryQuery(project_id="pr-1")) == [5, 3, 1]
    assert indexes(book, EntryQuery(project_id="pr-1", actor_id="us-7")) == [5]
    assert indexes(book, EntryQuery(verb="project.role-given")) == [6]
    assert indexes(book, EntryQuery(since=datetime(2999, 1, 1, tzinfo=UTC))) == []
    assert indexes(book, EntryQuery(until=datetime(2999, 1, 1, tzinfo=UTC), verb="x")) == []
    assert indexes(book, EntryQuery(about="a\x00b")) == []
    with database.read() as connection:
        about = book.trace.entries_about(connection, "dataset_id", "ds-2")
        assert [entry.index for entry in about] == [2]
        assert book.trace.entries_about(connection, "user_id", "ds-2") == []


def test_pages_follow_each_other(database: Database) -> None:
    book = Logbook(database)
    book.fill(7)
    for order, expected in (
        (Order.NEWEST_FIRST, [6, 5, 4, 3, 2, 1, 0]),
        (Order.OLDEST_FIRST, [0, 1, 2, 3, 4, 5, 6]),
    ):
        seen: list[int] = []
        after: str | None = None
        while True:
            request = PageRequest(after, 3)
            page = book.trace.entries(OPERATOR, EntryQuery(order=order), request)
            seen += [entry.index for entry in page.items]
            if (after := page.next_after) is None:
                break
        assert seen == expected


@pytest.mark.parametrize("after", ["x", "", "-1", "1.5", "٣"])
def test_a_page_after_nothing_known_is_refused(sqlite_database: Database, after: str) -> None:
    with pytest.raises(Refusal) as refused:
        Logbook(sqlite_database).trace.entries(OPERATOR, EntryQuery(), PageRequest(after))
    assert refused.value.code == "invalid-input"


def test_look_ups_are_by_index(sqlite_database: Database) -> None:
    Logbook(sqlite_database).fill(10)
    queries = (
        "SELECT * FROM trace_entries WHERE entry_index IN (SELECT entry_index FROM trace_subjects "
        "WHERE value = 'ds-3') ORDER BY entry_index DESC",
        "SELECT * FROM trace_entries WHERE actor_id = 'x' ORDER BY entry_index DESC",
        "SELECT * FROM trace_entries WHERE project_id = 'x' ORDER BY entry_index DESC",
        "SELECT * FROM trace_entries WHERE verb = 'x' ORDER BY entry_index DESC",
        "SELECT * FROM trace_entries WHERE at >= '2999'",
        "SELECT * FROM trace_entries WHERE event_id = 'x'",
    )
    with sqlite_database.read() as connection:
        for query in queries:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query).all()
            assert not any("SCAN trace" in row[3] for row in plan), (query, plan)


def test_every_entry_is_proved_offline(database: Database) -> None:
    book = Logbook(database)
    book.fill(255, 3, 260)
    for index in (0, 1, 254, 255, 256, 257, 300, 511, 512, 517):
        proof = book.trace.proof(OPERATOR, index)
        sent = json.dumps(proof.document()).encode()
        verdict = verify(read_proof(sent), KEY.verify_key.vkey)
        assert verdict.entry == book.trace.entry(OPERATOR, index)
        assert verdict.trusted
    with database.read() as connection:
        event = book.trace.entry(OPERATOR, 300).event_id
        assert book.trace.proof_of_event(connection, event).entry.index == 300
        with pytest.raises(Refusal) as refused:
            book.trace.proof_of_event(connection, "ev-unknown")
    assert refused.value.code == "trace-entry-not-found"
    assert book.trace.entry_of_event(OPERATOR, event).index == 300


def test_a_proof_reads_tiles_and_not_the_log(sqlite_database: Database) -> None:
    book = Logbook(sqlite_database)
    book.fill(1000)
    statements: list[str] = []
    sa.event.listen(
        sqlite_database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_: statements.append(statement),
    )
    book.trace.proof(OPERATOR, 3)
    assert len(statements) <= 5
    tiles = [statement for statement in statements if "FROM trace_tiles" in statement]
    assert tiles
    assert tiles[0].count("?") <= 2 * 6


def test_no_proof_is_handed_out_that_does_not_hold(sqlite_database: Database) -> None:
    book = Logbook(sqlite_database)
    book.fill(5)
    book.tamper("UPDATE trace_tiles SET hashes = zeroblob(160)")
    with pytest.raises(Refusal) as refused:
        book.trace.proof(OPERATOR, 3)
    assert refused.value.code == "trace-tampered"


def test_tiles_hold_the_hashes_of_the_bundles(database: Database) -> None:
    book = Logbook(database)
    book.fill(300)
    trace = book.trace
    for number, width in ((0, 256), (1, 44), (1, 3), (0, 200)):
        hashes = trace.tile(TileRequest(0, number, width))
        leaves = read_bundle(trace.bundle(OPERATOR, TileRequest(None, number, width)))
        entries = [Entry.parse(json.loads(leaf)) for leaf in leaves]
        assert hashes == b"".join(entry.leaf_hash() for entry in entries)
        assert [entry.index for entry in entries] == list(range(number * 256, number * 256 + width))
    assert len(trace.tile(TileRequest(1, 0, 1))) == 32
    for level, number, width in ((0, 1, 45), (0, 1, 256), (0, 2, 1), (1, 0, 2), (2, 0, 1)):
        with pytest.raises(Refusal) as refused:
            trace.tile(TileRequest(level, number, width))
        assert refused.value.code == "trace-tile-not-found"
    with pytest.raises(Refusal):
        trace.bundle(OPERATOR, TileRequest(None, 1, 45))


def test_an_empty_log_has_no_checkpoint(sqlite_database: Database) -> None:
    with pytest.raises(Refusal) as refused:
        Logbook(sqlite_database).trace.checkpoint()
    assert refused.value.code == "trace-log-empty"


# --- who sees what -----------------------------------------------------------------------------

SEE_THE_PROJECT = {Role.STEWARD, Role.PROJECT_ADMINISTRATOR, Role.AUDITOR}


def record_for(here: Town, code: str, role: Role) -> None:
    actor = here.people[code, role]
    project = here.node.projects.show(actor, code).project_id
    with unit_of_work(here.node.database, actor) as work:
        work.record(RoleGiven(project_id=project, user_id=actor.user_id, role=f"of-{code}"))


def test_no_tenant_sees_another(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        for code in ("LUNG", "BREAST"):
            for role in Role:
                record_for(here, code, role)
        here.drain()
        trace = here.node.trace
        everything = trace.entries(here.operator, EntryQuery(), ALL).items
        lung = here.node.projects.show(here.operator, "LUNG").project_id
        for (code, role), actor in here.people.items():
            seen = trace.entries(actor, EntryQuery(), ALL).items
            own = here.node.projects.show(actor, code).project_id
            allowed = {
                entry.index
                for entry in everything
                if entry.actor_id == actor.user_id
                or (role in SEE_THE_PROJECT and entry.project_id == own)
            }
            assert {entry.index for entry in seen} == allowed
            assert any(entry.actor_id == actor.user_id for entry in seen)
            assert not {e.project_id for e in seen} - {own, None}
            for entry in everything:
                assert_agrees(trace.entry, actor, entry.index, entry.index in allowed)
                assert_agrees(trace.entry_of_event, actor, entry.event_id, entry.index in allowed)
            if code != "LUNG":
                assert not trace.entries(actor, EntryQuery(project_id=lung), ALL).items
        assert not trace.entries(ANONYMOUS, EntryQuery(), ALL).items


def assert_agrees(ask, actor: Actor, key: object, allowed: bool) -> None:  # type: ignore[no-untyped-def]
    if allowed:
        ask(actor, key)
        return
    with pytest.raises(Refusal) as refused:
        ask(actor, key)
    assert refused.value.code == "trace-entry-not-found"


def test_bundles_are_for_whoever_may_verify_the_whole_log(tmp_path: Path) -> None:
    with town(tmp_path / "home") as here:
        here.drain()
        request = TileRequest(None, 0, 1)
        assert here.node.trace.bundle(here.operator, request)
        for actor in (*here.people.values(), ANONYMOUS):
            with pytest.raises(Refusal):
                here.node.trace.bundle(actor, request)
