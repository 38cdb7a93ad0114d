"""The log's rows as they are stored, for whoever suspects them: nothing is interpreted here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.kernel.merkle import HASH_SIZE
from albufera.kernel.outbox import events
from albufera.trace.records import checkpoints, entries, head, subjects, tiles
from albufera.trace.tiles import WIDTH, Address


def _raw(column: sa.Column[Any]) -> sa.Label[Any]:
    """The column without its type's conversion, which would stumble over what is of another."""
    return sa.type_coerce(column, sa.types.NullType()).label(column.name)


@dataclass(frozen=True)
class LoggedRow:
    """A row of entries, its rows of subjects, and the event it stands for, all as stored.

    The types are those that the columns should have; a database may hold others.
    """

    entry_index: int
    event_id: str
    verb: str
    actor_id: str
    project_id: str | None
    at: str
    leaf: bytes
    leaf_hash: bytes
    subjects: frozenset[tuple[str, str]]
    event: Row[Any] | None


_JOINED = sa.select(
    *(_raw(column) for column in entries.c),
    events.c.event_id.label("of_event"),
    sa.type_coerce(events.c.at, sa.types.NullType()).label("event_at"),
    events.c.actor_id.label("event_actor"),
    events.c.verb.label("event_verb"),
    events.c.project_id.label("event_project"),
    sa.type_coerce(events.c.subjects, sa.types.NullType()).label("event_subjects"),
    events.c.logged.label("event_logged"),
).outerjoin(events, events.c.event_id == entries.c.event_id)


def chunks(connection: Connection, count: int) -> Iterator[list[LoggedRow]]:
    """Yield all entries in the order of their numbers, `count` at a time."""
    index = entries.c.entry_index
    after = None
    while True:
        wanted = _JOINED if after is None else _JOINED.where(index > after)
        found = connection.execute(wanted.order_by(index).limit(count)).all()
        if not found:
            return
        first, after = found[0].entry_index, found[-1].entry_index
        told = _subjects(connection, first, after)
        yield [_row(row, told.get(row.entry_index, frozenset())) for row in found]


def _subjects(
    connection: Connection, first: int, last: int
) -> dict[int, frozenset[tuple[str, str]]]:
    wanted = subjects.select().where(subjects.c.entry_index.between(first, last))
    found = connection.execute(wanted.order_by(subjects.c.entry_index))
    return {
        index: frozenset((row.key, row.value) for row in of_entry)
        for index, of_entry in groupby(found, key=lambda row: int(row.entry_index))
    }


def _row(row: Any, told: frozenset[tuple[str, str]]) -> LoggedRow:
    return LoggedRow(
        entry_index=row.entry_index,
        event_id=row.event_id,
        verb=row.verb,
        actor_id=row.actor_id,
        project_id=row.project_id,
        at=row.at,
        leaf=row.leaf,
        leaf_hash=row.leaf_hash,
        subjects=told,
        event=row if row.of_event is not None else None,
    )


def logged_without_entry(connection: Connection, limit: int) -> Sequence[str]:
    """Return events that are marked as logged and are not in the log."""
    present = sa.exists().where(entries.c.event_id == events.c.event_id)
    lost = sa.select(events.c.event_id).where(events.c.logged, ~present)
    return connection.scalars(lost.order_by(events.c.sequence).limit(limit)).all()


def subjects_without_entry(connection: Connection, limit: int) -> Sequence[int]:
    """Return numbers of entries that have subjects and do not exist."""
    present = sa.exists().where(entries.c.entry_index == subjects.c.entry_index)
    lost = sa.select(subjects.c.entry_index).where(~present).distinct()
    return connection.scalars(lost.order_by(subjects.c.entry_index).limit(limit)).all()


@dataclass(frozen=True)
class Head:
    """The stored head: the edge from which appending goes on."""

    size: int
    frontier: bytes


def stored_head(connection: Connection) -> Head | None:
    """Return the head, or None when there is no row of it."""
    wanted = sa.select(head.c.size, _raw(head.c.frontier)).where(head.c.log == 1)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else Head(row.size, row.frontier)


def last_index(connection: Connection) -> int:
    """Return the highest number of an entry, or -1."""
    highest = connection.scalar(sa.select(sa.func.max(entries.c.entry_index)))
    return -1 if highest is None else highest


def stored_checkpoints(connection: Connection, count: int) -> Iterator[Row[Any]]:
    """Yield the signed heads by size, reading `count` at a time."""
    after = -1
    while True:
        wanted = checkpoints.select().where(checkpoints.c.size > after)
        found = connection.execute(wanted.order_by(checkpoints.c.size).limit(count)).all()
        if not found:
            return
        yield from found
        after = found[-1].size


def stored_tile(connection: Connection, address: Address) -> bytes:
    """Return the hashes of a tile, whole ones only; nothing when it is missing or of no use."""
    level, number = address
    wanted = sa.select(_raw(tiles.c.hashes)).where(tiles.c.level == level, tiles.c.number == number)
    hashes = connection.scalar(wanted)
    if not isinstance(hashes, bytes) or len(hashes) > WIDTH * HASH_SIZE:
        return b""
    return hashes[: len(hashes) // HASH_SIZE * HASH_SIZE]


def count_tiles(connection: Connection) -> int:
    """Return how many tiles the stored tree has."""
    return connection.scalar(sa.select(sa.func.count()).select_from(tiles)) or 0
