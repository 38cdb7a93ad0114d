"""How a recorded event becomes an entry of the log.

The log can refuse no event: an action that happened must be in it. A value that has no place there
(a text with spaces, letters beyond ASCII, too long) is told by its digest instead.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Protocol

from albufera.kernel import clock
from albufera.kernel.canonical import MAX_INTEGER
from albufera.trace.model import MAX_SUBJECTS, Entry

_TOKEN = re.compile(r"[!-~]{1,256}")


class Fact(Protocol):
    """A row of the outbox's `events`."""

    @property
    def event_id(self) -> str:
        """Identifier of the event."""
        ...

    @property
    def at(self) -> datetime:
        """When it happened, aware."""
        ...

    @property
    def actor_id(self) -> str:
        """Who did it."""
        ...

    @property
    def verb(self) -> str:
        """What was done."""
        ...

    @property
    def project_id(self) -> str | None:
        """The tenant."""
        ...

    @property
    def subjects(self) -> Mapping[str, object]:
        """What it was done to."""
        ...


def entry_of(index: int, fact: Fact) -> Entry:
    """The entry that stands for an event at a place in the log; always the same for the same."""
    return Entry(
        index=index,
        event_id=_token(fact.event_id),
        verb=_token(fact.verb),
        at=clock.isoformat(fact.at),
        actor_id=_token(fact.actor_id) if fact.actor_id else "",
        project_id=None if fact.project_id is None else _token(fact.project_id),
        subjects=_subjects(fact.subjects),
    )


def identifiers(entry: Entry) -> Iterator[tuple[str, str]]:
    """The (key, value) pairs under which an entry is found: its texts, and not its counts.

    A subject that names several things, separated by commas, is found under each.
    """
    for key, value in entry.subjects.items():
        if isinstance(value, str):
            for part in dict.fromkeys(filter(None, value.split(","))):
                yield key, part


def _subjects(subjects: Mapping[str, object]) -> dict[str, str | int]:
    if len(subjects) > MAX_SUBJECTS:
        return {"subjects": _digest(repr(sorted(subjects.items())))}
    return {_token(key): _value(value) for key, value in subjects.items()}


def _value(value: object) -> str | int:
    if isinstance(value, int):
        number = int(value)  # of a bool too
        return number if abs(number) <= MAX_INTEGER else str(number)[:256]
    return _token(value) if isinstance(value, str) and value else _digest(str(value))


def _token(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else _digest(text)


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
