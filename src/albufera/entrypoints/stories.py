"""Entries of the log with the names that people know, and the sentence of what happened."""

from dataclasses import dataclass
from datetime import UTC, datetime

from albufera.bootstrap.node import Node
from albufera.kernel.actor import SYSTEM, Actor
from albufera.kernel.errors import Refusal
from albufera.kernel.events import REGISTRY
from albufera.kernel.ids import is_id
from albufera.kernel.pages import Page
from albufera.trace.model import Entry
from albufera.trace.records import EntryQuery, Order

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_NOBODY = "-"
"""An identifier that nothing has: a name that is not known matches no entry."""


@dataclass(frozen=True)
class Story:
    """An entry as people read it: the actor's name, the project's code, a sentence."""

    entry: Entry
    actor: str
    project: str | None
    sentence: str


def sentence_of(verb: str) -> str:
    """Say what a verb means; the verb itself where this version does not know it."""
    event = REGISTRY.get(verb)
    return (event.__doc__ or verb).strip().partition("\n")[0] if event else verb


def stories(node: Node, actor: Actor, page: Page[Entry]) -> Page[Story]:
    """Name the people and the projects of a page of entries, in two queries for all."""
    names = node.identity.names_of({entry.actor_id for entry in page.items})
    codes = {project.project_id: project.code for project in node.projects.list(actor)}
    told = [
        Story(
            entry,
            names.get(entry.actor_id, entry.actor_id),
            codes.get(entry.project_id, entry.project_id) if entry.project_id else None,
            sentence_of(entry.verb),
        )
        for entry in page.items
    ]
    return Page(told, page.next_after)


def tell(node: Node, actor: Actor, entry: Entry) -> Story:
    """Name who and what one entry is about."""
    return stories(node, actor, Page([entry], None)).items[0]


def asked(
    node: Node,
    actor: Actor,
    *,
    about: str | None = None,
    project: str | None = None,
    user: str | None = None,
    verb: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    order: Order = Order.NEWEST_FIRST,
) -> EntryQuery:
    """Make a query of what a person typed. Raises `project-not-found`."""
    return EntryQuery(
        verb=verb or None,
        actor_id=_user_id(node, user) if user else None,
        project_id=node.projects.show(actor, project).project_id if project else None,
        about=about or None,
        since=_aware(since),
        until=_aware(until),
        order=order,
    )


def _user_id(node: Node, name: str) -> str:
    """The identifier behind a user name; an identifier stands for itself."""
    if "\x00" in name:
        return _NOBODY
    if name == SYSTEM.user_id or is_id(name, "us"):
        return name
    try:
        return node.identity.user_named(name).user_id
    except Refusal:
        return _NOBODY


def _aware(moment: datetime | None) -> datetime | None:
    """A time without a zone is taken as UTC, as the log writes its own."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return min(max(aware, _EPOCH), _LATEST)
