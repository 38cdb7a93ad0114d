"""Tables of the log: entries, the tree over them, signed checkpoints, verifications.

Nothing here is ever updated but the right edge of the tree and the state of a verification. There
are no foreign keys: what keeps the rows honest is the signed root, which is checked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.kernel import clock
from albufera.kernel.database import Instant, Json, metadata
from albufera.kernel.merkle import Coordinate, Frontier
from albufera.kernel.outbox import events
from albufera.kernel.pages import PageRequest
from albufera.trace.tiles import Address, tile_of

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

head = sa.Table(
    "trace_head",
    metadata,
    sa.Column("log", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("size", _Number, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
)

entries = sa.Table(
    "trace_entries",
    metadata,
    sa.Column("entry_index", _Number, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.String(256), nullable=False, unique=True),
    sa.Column("verb", sa.String(256), nullable=False),
    sa.Column("actor_id", sa.String(256), nullable=False),
    sa.Column("project_id", sa.String(256)),
    sa.Column("at", sa.String(24), nullable=False, index=True),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
    sa.Index("ix_trace_entries_by_verb", "verb", "entry_index"),
    sa.Index("ix_trace_entries_by_actor", "actor_id", "entry_index"),
    sa.Index("ix_trace_entries_by_project", "project_id", "entry_index"),
)
"""`at` is written as in the leaf (milliseconds, `Z`), so that it sorts and compares as text."""

subjects = sa.Table(
    "trace_subjects",
    metadata,
    sa.Column("entry_index", _Number, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(256), primary_key=True),
    sa.Column("value", sa.String(256), primary_key=True),
    sa.Index("ix_trace_subjects_by_value", "value", "entry_index"),
)

tiles = sa.Table(
    "trace_tiles",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", _Number, primary_key=True, autoincrement=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)

checkpoints = sa.Table(
    "trace_checkpoints",
    metadata,
    sa.Column("size", _Number, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("second", sa.String(19), nullable=False, index=True),
    sa.Column("signed_at", Instant, nullable=False),
)

verifications = sa.Table(
    "trace_verifications",
    metadata,
    sa.Column("verification_id", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("requested_by", sa.String(64), nullable=False),
    sa.Column("requested_at", Instant, nullable=False),
    sa.Column("finished_at", Instant),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("report", Json),
)


class Order(StrEnum):
    """In what order entries are read."""

    NEWEST_FIRST = "newest-first"
    OLDEST_FIRST = "oldest-first"


@dataclass(frozen=True)
class EntryQuery:
    """Which entries are wanted; what is None does not matter.

    `about` is an identifier (of a dataset, a person, a job …) among an entry's subjects.
    """

    verb: str | None = None
    actor_id: str | None = None
    project_id: str | None = None
    about: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    order: Order = Order.NEWEST_FIRST


def entries_matching(
    connection: Connection,
    query: EntryQuery,
    visible: sa.ColumnElement[bool],
    page: PageRequest,
) -> Sequence[Row[Any]]:
    """Return up to one more than `page.limit` rows of visible entries that match."""
    index = entries.c.entry_index
    ascending = query.order is Order.OLDEST_FIRST
    wanted = sa.select(entries).where(visible, *_conditions(query))
    if page.after is not None:
        after = int(page.after)
        wanted = wanted.where(index > after if ascending else index < after)
    wanted = wanted.order_by(index if ascending else index.desc()).limit(page.limit + 1)
    return connection.execute(wanted).all()


def _conditions(query: EntryQuery) -> list[sa.ColumnElement[bool]]:
    equal = (
        (entries.c.verb, query.verb),
        (entries.c.actor_id, query.actor_id),
        (entries.c.project_id, query.project_id),
    )
    found = [column == value for column, value in equal if value is not None]
    if query.since is not None:
        found.append(entries.c.at >= clock.isoformat(query.since))
    if query.until is not None:
        found.append(entries.c.at < clock.isoformat(query.until))
    if query.about is not None:
        about = sa.select(subjects.c.entry_index).where(subjects.c.value == query.about)
        found.append(entries.c.entry_index.in_(about))
    return found


def entries_with_subject(
    connection: Connection, key: str, value: str, limit: int
) -> Sequence[Row[Any]]:
    """Return the oldest entries that have this subject."""
    about = sa.select(subjects.c.entry_index).where(
        subjects.c.value == value, subjects.c.key == key
    )
    wanted = entries.select().where(entries.c.entry_index.in_(about))
    return connection.execute(wanted.order_by(entries.c.entry_index).limit(limit)).all()


def entry_at(connection: Connection, index: int) -> Row[Any] | None:
    """Return the entry at a place, or None."""
    wanted = entries.select().where(entries.c.entry_index == index)
    return connection.execute(wanted).one_or_none()


def entry_of_event(connection: Connection, event_id: str) -> Row[Any] | None:
    """Return the entry of an event, or None while the log has not taken it."""
    wanted = entries.select().where(entries.c.event_id == event_id)
    return connection.execute(wanted).one_or_none()


def leaves(connection: Connection, start: int, count: int) -> Sequence[bytes]:
    """Return the leaves of entries `start` to `start + count`, in order."""
    index = entries.c.entry_index
    wanted = sa.select(entries.c.leaf).where(index >= start, index < start + count)
    return connection.scalars(wanted.order_by(index)).all()


def has_waiting(connection: Connection) -> bool:
    """Tell whether an event waits for the log; one look into the index of those that do."""
    waiting = sa.select(events.c.sequence).where(sa.not_(events.c.logged)).limit(1)
    return connection.scalar(waiting) is not None


def has_logged(connection: Connection) -> bool:
    """Tell whether any event was ever taken into the log."""
    logged = sa.select(events.c.sequence).where(events.c.logged).limit(1)
    return connection.scalar(logged) is not None


def already_logged(connection: Connection, event_ids: Sequence[str]) -> frozenset[str]:
    """Return which of these events have an entry."""
    present = sa.select(entries.c.event_id).where(entries.c.event_id.in_(event_ids))
    return frozenset(connection.scalars(present))


def lock_head(connection: Connection) -> Frontier | None:
    """Return the right edge of the tree, locked until the transaction ends, so that one appends."""
    row = connection.execute(head.select().where(head.c.log == 1).with_for_update()).one_or_none()
    return None if row is None else Frontier.from_bytes(row.frontier)


def open_log(connection: Connection) -> None:
    """Begin the log: an empty tree."""
    empty = Frontier()
    connection.execute(head.insert().values(log=1, size=0, frontier=empty.to_bytes()))


def move_head(connection: Connection, frontier: Frontier) -> None:
    """Store the right edge of the tree."""
    values = {"size": frontier.size, "frontier": frontier.to_bytes()}
    connection.execute(head.update().where(head.c.log == 1).values(**values))


def read_tiles(connection: Connection, addresses: Iterable[Address]) -> dict[Address, bytes]:
    """Return the tiles at these addresses, as far as there are any."""
    wanted = sorted(set(addresses))
    if not wanted:
        return {}
    key = sa.tuple_(tiles.c.level, tiles.c.number)
    rows = connection.execute(tiles.select().where(key.in_(wanted)))
    return {(row.level, row.number): row.hashes for row in rows}


def tiles_of(connection: Connection, nodes: Iterable[Coordinate]) -> dict[Address, bytes]:
    """Return the tiles from which these subtrees' hashes are computed."""
    return read_tiles(connection, (tile_of(node) for node in nodes))


def write_tiles(
    connection: Connection, changed: dict[Address, bytes], present: Iterable[Address]
) -> None:
    """Store tiles: those in `present` have grown, the others are new."""
    old = set(present)
    rows = [
        {"at_level": level, "at_number": number, "hashes": hashes}
        for (level, number), hashes in changed.items()
        if (level, number) in old
    ]
    new = [
        {"level": level, "number": number, "hashes": hashes}
        for (level, number), hashes in changed.items()
        if (level, number) not in old
    ]
    if rows:
        at = (
            tiles.c.level == sa.bindparam("at_level"),
            tiles.c.number == sa.bindparam("at_number"),
        )
        grown = tiles.update().where(*at).values(hashes=sa.bindparam("hashes"))
        connection.execute(grown, rows)
    if new:
        connection.execute(tiles.insert(), new)


def store_checkpoint(connection: Connection, size: int, note: str, at: datetime) -> None:
    """Store a signed head; of those signed within one second of the clock the last is kept."""
    second = clock.isoformat(at)[:19]
    connection.execute(checkpoints.delete().where(checkpoints.c.second == second))
    values = {"size": size, "note": note, "second": second, "signed_at": at}
    connection.execute(checkpoints.insert().values(**values))


def latest_checkpoint(connection: Connection) -> Row[Any] | None:
    """Return the newest signed head, or None while the log is empty."""
    newest = checkpoints.select().order_by(checkpoints.c.size.desc()).limit(1)
    return connection.execute(newest).one_or_none()


def latest_verification(
    connection: Connection, verification_id: str | None = None
) -> Row[Any] | None:
    """Return a verification by its id, or the one that was asked for last."""
    wanted = verifications.select()
    if verification_id is not None:
        wanted = wanted.where(verifications.c.verification_id == verification_id)
    newest = wanted.order_by(verifications.c.verification_id.desc()).limit(1)
    return connection.execute(newest).one_or_none()
