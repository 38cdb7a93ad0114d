"""Whatever is done to the stored log is seen, and the first wrong entry is named."""

import pytest
import sqlalchemy as sa

from albufera.kernel import merkle
from albufera.kernel.database import Database
from albufera.kernel.merkle import Frontier
from albufera.kernel.signing import SigningKey
from albufera.trace import records
from albufera.trace.findings import MAX_FINDINGS
from albufera.trace.inspector import Inspector
from albufera.trace.model import Checkpoint
from tests.trace.logbook import KEY, Logbook

SIZE = 600
"""Two full tiles and a part of a third, with signed checkpoints at 300 and 600."""


@pytest.fixture
def book(database: Database) -> Logbook:
    made = Logbook(database)
    made.fill(300)
    a_second_passes(database)
    made.record(300, 300)
    made.trace.append()
    return made


def a_second_passes(database: Database) -> None:
    """Make the checkpoints so far older: of one second only the last would be kept."""
    with database.write() as connection:
        connection.execute(records.checkpoints.update().values(second="2020-01-01T00:00:00"))


def test_an_intact_log_is_verified(book: Logbook) -> None:
    report = book.inspect()
    assert report.findings == ()
    assert report.intact
    assert report.entries == SIZE
    assert report.checkpoints >= 1
    assert report.root == book.trace.checkpoint().checkpoint.root.hex()


def test_an_empty_log_is_verified(database: Database) -> None:
    report = Logbook(database).inspect()
    assert (report.entries, report.intact) == (0, True)


def test_progress_is_told(book: Logbook) -> None:
    seen: list[tuple[int, int]] = []
    Inspector(book.database, KEY.verify_key).inspect(lambda *step: seen.append(step))
    assert seen[-1] == (SIZE, SIZE)


SWAP = (
    "UPDATE trace_entries SET entry_index = -9 WHERE entry_index = 256",
    "UPDATE trace_entries SET entry_index = 256 WHERE entry_index = 257",
    "UPDATE trace_entries SET entry_index = 257 WHERE entry_index = -9",
)
ANOTHER = (
    "INSERT INTO trace_entries SELECT {index}, 'ev-forged', verb, actor_id, project_id, at, leaf, "
    "leaf_hash FROM trace_entries WHERE entry_index = 5"
)

TAMPERING: dict[str, tuple[int | None, str, tuple[str, ...]]] = {
    "an edited verb": (
        7, "columns", ("UPDATE trace_entries SET verb = 'x' WHERE entry_index = 7",),
    ),
    "an edited actor": (
        0, "columns", ("UPDATE trace_entries SET actor_id = 'us-x' WHERE entry_index = 0",),
    ),
    "an edited project": (
        599, "columns", ("UPDATE trace_entries SET project_id = NULL WHERE entry_index = 599",),
    ),
    "an edited time": (
        300, "columns",
        ("UPDATE trace_entries SET at = '2020-01-01T00:00:00.000Z' WHERE entry_index = 300",),
    ),
    "another event": (
        8, "no event", ("UPDATE trace_entries SET event_id = 'ev-x' WHERE entry_index = 8",),
    ),
    "an edited subject": (
        9, "subjects",
        ("UPDATE trace_subjects SET value = 'ds-1000' WHERE entry_index = 9 AND value = 'ds-9'",),
    ),
    "a dropped subject": (
        9, "subjects", ("DELETE FROM trace_subjects WHERE entry_index = 9 AND key = 'dataset_id'",),
    ),
    "an added subject": (
        10, "subjects", ("INSERT INTO trace_subjects VALUES (10, 'dataset_id', 'ds-99')",),
    ),
    "subjects of no entry": (
        9999, "which no entry has", ("INSERT INTO trace_subjects VALUES (9999, 'a', 'b')",),
    ),
    "a leaf of another entry": (
        7, "do not say the same",
        ("UPDATE trace_entries SET leaf = (SELECT leaf FROM trace_entries WHERE entry_index = 8) "
         "WHERE entry_index = 7",),
    ),
    "an edited leaf hash": (
        12, "hash beside it",
        ("UPDATE trace_entries SET leaf_hash = (SELECT leaf_hash FROM trace_entries "
         "WHERE entry_index = 8) WHERE entry_index = 12",),
    ),
    "reordered rows": (256, "it is entry 257", SWAP),
    "a dropped row": (44, "Entry 44 is missing", (
        "DELETE FROM trace_entries WHERE entry_index = 44",)),
    "dropped rows": (40, "The entries 40 to 49 are missing", (
        "DELETE FROM trace_entries WHERE entry_index BETWEEN 40 AND 49",)),
    "a dropped tail": (590, "The entries 590 to 599 are missing", (
        "DELETE FROM trace_entries WHERE entry_index >= 590",)),
    "the first row dropped": (0, "Entry 0 is missing", (
        "DELETE FROM trace_entries WHERE entry_index = 0",)),
    "a row behind the end": (600, "added outside", (ANOTHER.format(index=600),)),
    "a row before the beginning": (-1, "added outside", (ANOTHER.format(index=-1),)),
    "an edited event": (
        7, "do not say the same", (
            "UPDATE events SET verb = 'grant.revoked' WHERE event_id = "
            "(SELECT event_id FROM trace_entries WHERE entry_index = 7)",),
    ),
    "an event's malformed subjects": (
        7, "do not say the same", (
            "UPDATE events SET subjects = 'nothing' WHERE event_id = "
            "(SELECT event_id FROM trace_entries WHERE entry_index = 7)",),
    ),
    "a dropped event": (
        7, "no event", (
            "DELETE FROM events WHERE event_id = "
            "(SELECT event_id FROM trace_entries WHERE entry_index = 7)",),
    ),
    "an event marked as waiting": (
        7, "not yet logged", (
            "UPDATE events SET logged = (1 = 0) WHERE event_id = "
            "(SELECT event_id FROM trace_entries WHERE entry_index = 7)",),
    ),
    "a logged event that the log never had": (
        None, "the log does not hold it", (
            "INSERT INTO events (sequence, event_id, at, actor_id, verb, subjects, logged) SELECT "
            "999, 'ev-x', at, actor_id, verb, subjects, logged FROM events WHERE sequence = 1",),
    ),
    "a dropped leaf tile": (256, "stored tree", (
        "DELETE FROM trace_tiles WHERE level = 0 AND number = 1",)),
    "an edited upper tile": (None, "Tile 0 of level 1", (
        "UPDATE trace_tiles SET hashes = (SELECT hashes FROM trace_tiles WHERE level = 0 "
        "AND number = 2) WHERE level = 1",)),
    "an added tile": (None, "too many tiles", (
        "INSERT INTO trace_tiles SELECT 2, 0, hashes FROM trace_tiles WHERE level = 1",)),
    "a forged checkpoint": (300, "does not hold", (
        "UPDATE trace_checkpoints SET note = replace(note, '600', '599') WHERE size = 600",)),
    "a checkpoint under another size": (
        300, "of another size", ("UPDATE trace_checkpoints SET size = 9 WHERE size = 600",),
    ),
    "the checkpoints dropped": (0, "No signed checkpoint", ("DELETE FROM trace_checkpoints",)),
    "the head dropped": (None, "head of the log is gone", ("DELETE FROM trace_head",)),
    "a head of more": (600, "Entry 600 is missing", ("UPDATE trace_head SET size = 601",)),
    "a head of far more": (600, "are missing", (
        "UPDATE trace_head SET size = 4611686018427387904",)),
    "a head of less": (599, "added outside", ("UPDATE trace_head SET size = 599",)),
    "an edited head": (None, "stored head of the log", (
        "UPDATE trace_head SET frontier = (SELECT leaf_hash FROM trace_entries "
        "WHERE entry_index = 1)",)),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_seen_and_its_first_entry_named(book: Logbook, what: str) -> None:
    index, words, statements = TAMPERING[what]
    book.tamper(*statements)
    report = book.inspect()
    assert not report.intact
    assert report.findings[0].index == index, report.findings
    assert words in "\n".join(finding.sentence for finding in report.findings)


def test_one_edited_row_is_one_finding(book: Logbook) -> None:
    book.tamper(
        "UPDATE trace_entries SET leaf = (SELECT leaf FROM trace_entries WHERE entry_index = 8) "
        "WHERE entry_index = 7"
    )
    assert [finding.index for finding in book.inspect().findings] == [7]


def test_values_of_another_type_do_not_stop_the_verification(sqlite_database: Database) -> None:
    book = Logbook(sqlite_database)
    book.fill(10)
    book.tamper(
        "UPDATE trace_entries SET leaf = 'text', leaf_hash = 7, verb = x'00ff' "
        "WHERE entry_index = 3",
        "UPDATE trace_tiles SET hashes = 'text'",
        "UPDATE trace_head SET frontier = 'text'",
        "UPDATE events SET at = 'yesterday', subjects = '7' WHERE sequence = 6",
    )
    report = book.inspect()
    assert report.findings[0].index == 0  # its tile is of no use, so no entry can be confirmed
    assert report.total_findings >= 10


def test_of_many_findings_the_first_are_kept_and_all_counted(book: Logbook) -> None:
    book.tamper("UPDATE trace_entries SET verb = 'x'")
    report = book.inspect()
    assert report.total_findings == SIZE
    assert [f.index for f in report.findings] == list(range(MAX_FINDINGS))


# --- an attacker who rewrites everything but cannot sign ---------------------------------------


def rewrite(book: Logbook, start: int) -> None:
    """Change what entry `start` says and make all rows fit again, but for signed checkpoints."""
    with book.database.write() as connection:
        rows = connection.execute(records.entries.select().order_by("entry_index")).all()
        frontier, tiles = Frontier(), {}  # type: ignore[var-annotated]
        for row in rows:
            leaf = row.leaf
            if row.entry_index == start:
                leaf = leaf.replace(b'"us-operator"', b'"us-innocent"')
                assert leaf != row.leaf
                connection.exec_driver_sql(
                    f"UPDATE events SET actor_id = 'us-innocent' WHERE event_id = '{row.event_id}'"
                )
            digest = merkle.leaf_hash(leaf)
            here = records.entries.c.entry_index == row.entry_index
            actor = "us-innocent" if row.entry_index == start else row.actor_id
            connection.execute(
                records.entries.update()
                .where(here)
                .values(leaf=leaf, leaf_hash=digest, actor_id=actor)
            )
            for level, position, node in frontier.append(digest):
                if level % 8 == 0:
                    address = (level // 8, position // 256)
                    tiles[address] = tiles.get(address, b"") + node
        records.write_tiles(connection, tiles, tiles)
        records.move_head(connection, frontier)


def test_a_thorough_rewriting_fails_against_the_signed_root(database: Database) -> None:
    book = Logbook(database)
    book.fill(5)
    a_second_passes(database)
    book.record(5, 10)
    book.trace.append()
    rewrite(book, 8)
    [finding] = book.inspect().findings
    assert finding.index == 5
    assert "of the entries 5 to 14 one was changed" in finding.sentence


def test_a_log_rewound_with_its_checkpoints_fails_against_one_that_was_kept(
    database: Database,
) -> None:
    book = Logbook(database)
    book.fill(5)
    with database.read() as connection:
        before = {
            table: connection.execute(table.select()).mappings().all()
            for table in (records.head, records.tiles, records.checkpoints)
        }
    book.record(5, 3)
    book.trace.append()
    kept = book.trace.checkpoint().checkpoint
    with database.write() as connection:
        for table, rows in before.items():
            connection.execute(table.delete())
            connection.execute(table.insert(), [dict(row) for row in rows])
        for table in (records.entries, records.subjects):
            connection.execute(table.delete().where(table.c.entry_index >= 5))
        connection.exec_driver_sql("DELETE FROM events WHERE sequence > 5")
    assert book.inspect().intact  # nothing inside can tell
    report = book.inspect(kept)
    assert [f.sentence for f in report.findings] == [
        "The log was cut: a signed checkpoint has 8 entries, the log 5."
    ]


def test_a_kept_checkpoint_of_any_earlier_size_is_compared(book: Logbook) -> None:
    with book.database.read() as connection:
        leaves = records.leaves(connection, 0, SIZE)
    for size in (0, 1, 255, 256, 300, 599, SIZE):
        root = merkle.root(merkle.leaf_hash(leaf) for leaf in leaves[:size])
        assert book.inspect(Checkpoint(KEY.verify_key.name, size, root)).intact
    other = Checkpoint(KEY.verify_key.name, 255, bytes(32))
    assert not book.inspect(other).intact


def test_a_checkpoint_signed_by_another_key_is_no_checkpoint(book: Logbook) -> None:
    stranger = SigningKey.generate(KEY.verify_key.name)
    note = book.trace.checkpoint().checkpoint.sign(stranger)
    with book.database.write() as connection:
        newest = records.checkpoints.c.size == SIZE
        connection.execute(sa.update(records.checkpoints).where(newest).values(note=note))
    told = [finding.sentence for finding in book.inspect().findings]
    assert any("does not hold" in sentence for sentence in told)
