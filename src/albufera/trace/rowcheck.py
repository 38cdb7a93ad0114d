"""One stored entry against its own leaf, its columns, its subjects and its event."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from albufera.kernel.canonical import CanonicalError, read_json
from albufera.trace.facts import entry_of, identifiers
from albufera.trace.model import Entry, InvalidEntry
from albufera.trace.rows import LoggedRow

_MAX_LEAF_BYTES = 2**16


@dataclass(frozen=True)
class _StoredFact:
    """An event as its row tells it."""

    event_id: str
    at: datetime
    actor_id: str
    verb: str
    project_id: str | None
    subjects: Mapping[str, object]


def check_row(row: LoggedRow, leaf_hash: bytes) -> list[str]:
    """Say what does not fit; nothing when all does."""
    problems = []
    if row.leaf_hash != leaf_hash:
        problems.append("its content does not have the hash beside it")
    entry = _of_event(row)
    if entry is not None and entry.leaf_bytes() == row.leaf:
        problems += _compare_columns(row, entry)
    else:
        problems += _diagnose(row, entry)
    if row.event is not None and not row.event.event_logged:
        problems.append("its event is marked as not yet logged")
    return problems


def _of_event(row: LoggedRow) -> Entry | None:
    """The entry that the event's row would make, or None when there is none that could."""
    event = row.event
    if event is None:
        return None
    try:
        at = datetime.strptime(event.event_at, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        told = json.loads(event.event_subjects)
        fact = _StoredFact(
            row.event_id, at, event.event_actor, event.event_verb, event.event_project, dict(told)
        )
        return entry_of(row.entry_index, fact)
    except (ValueError, TypeError, AttributeError):  # InvalidEntry is a ValueError
        return None


def _diagnose(row: LoggedRow, of_event: Entry | None) -> list[str]:
    """What is wrong with a leaf that is not the one that its event makes."""
    problems = []
    if row.event is None:
        problems.append(f"there is no event {row.event_id}")
    else:
        problems.append(f"it and the event {row.event_id} do not say the same")
    entry = of_event
    try:
        entry = Entry.parse(read_json(row.leaf, _MAX_LEAF_BYTES))
    except (InvalidEntry, CanonicalError, TypeError, AttributeError):
        problems.append("its leaf is not an entry")
    if entry is None:
        return problems
    if entry.index != row.entry_index:
        problems.append(f"by its content it is entry {entry.index}")
    return problems + _compare_columns(row, entry)


def _compare_columns(row: LoggedRow, entry: Entry) -> list[str]:
    pairs = (
        ("event", row.event_id, entry.event_id),
        ("verb", row.verb, entry.verb),
        ("actor", row.actor_id, entry.actor_id),
        ("project", row.project_id, entry.project_id),
        ("time", row.at, entry.at),
    )
    differing = [name for name, stored, hashed in pairs if stored != hashed]
    if row.subjects != frozenset(identifiers(entry)):
        differing.append("subjects")
    if not differing:
        return []
    return [f"the columns beside it ({', '.join(differing)}) say something else"]
