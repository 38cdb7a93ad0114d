"""Identifiers, events, errors, transitions, pages and moments."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from albufera.identity import events as identity_events
from albufera.kernel import clock
from albufera.kernel.database import Database, Instant, Json, metadata
from albufera.kernel.errors import CATALOGUE, Refusal, define
from albufera.kernel.events import REGISTRY, Event
from albufera.kernel.ids import is_id, new_id
from albufera.kernel.pages import PageRequest, cut
from albufera.kernel.transitions import Transitions
from tests.kernel.clocks import HandClock


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    WALLED = "walled up"


DOOR = Transitions(
    "door",
    {
        (Door.OPEN, "shut"): Door.SHUT,
        (Door.SHUT, "open"): Door.OPEN,
        (Door.SHUT, "wall up"): Door.WALLED,
    },
)


def test_ids_sort_by_birth_and_do_not_repeat() -> None:
    hand = HandClock()
    made = []
    with clock.installed(hand):
        for _ in range(50):
            made.append(new_id("ds"))
            hand.move(timedelta(milliseconds=1))
    assert made == sorted(made)
    assert len({new_id("ds") for _ in range(1000)}) == 1000
    assert all(is_id(item, "ds") and len(item) == 29 for item in made)
    assert not is_id(made[0], "pr")
    assert not is_id("ds-../../etc/passwd", "ds")


def test_a_transition_table_says_what_would_be_allowed() -> None:
    assert DOOR.after(Door.OPEN, "shut") is Door.SHUT
    assert DOOR.allowed(Door.SHUT) == ("open", "wall up")
    with pytest.raises(Refusal, match="nothing more") as caught:
        DOOR.after(Door.WALLED, "open")
    assert caught.value.code == "wrong-state"
    assert caught.value.facts == {"state": "walled up", "allowed": []}


def test_an_error_code_is_defined_once_and_has_a_remedy() -> None:
    with pytest.raises(ValueError, match="twice"):
        define("not-found", 404, "x", "y")
    for code, error in CATALOGUE.items():
        assert code == error.code
        assert 400 <= error.status < 600
        assert error.sentence.endswith((".", "!", "?"))
        assert error.remedy


def test_two_events_cannot_share_a_verb() -> None:
    with pytest.raises(TypeError, match="two events"):

        @dataclass(frozen=True, kw_only=True)
        class Impostor(Event):
            verb: ClassVar[str] = "user.created"

    assert REGISTRY["user.created"] is identity_events.UserCreated


@pytest.mark.parametrize("value", ["free text", "José", "x" * 257, "a\nb", 2**60, 1.5, True])
def test_an_event_takes_no_free_text_and_no_odd_numbers(value: object) -> None:
    event = identity_events.UserCreated(user_id=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no identifier or count"):
        event.subjects()


@given(st.lists(st.integers(0, 999), unique=True, max_size=30), st.integers(1, 7))
def test_pages_show_every_item_once(items: list[int], limit: int) -> None:
    ordered = sorted(items)
    seen: list[int] = []
    after = None
    while True:
        rest = [item for item in ordered if after is None or item > int(after)][: limit + 1]
        page = cut(rest, PageRequest(after, limit), str)
        seen += page.items
        after = page.next_after
        if after is None:
            break
    assert seen == ordered


moments = sa.Table(
    "test_moments",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Instant),
    sa.Column("document", Json),
)


def test_moments_and_documents_come_back_as_they_went(database: Database) -> None:
    at = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)
    document = {"ü": [1, None, {"a": "\u2028"}]}
    with database.write() as connection:
        connection.execute(moments.insert().values(id=1, at=at, document=document))
        connection.execute(moments.insert().values(id=2, at=None, document=None))
    with database.read() as connection:
        rows = connection.execute(moments.select().order_by(moments.c.id)).all()
        later = connection.scalars(sa.select(moments.c.id).where(moments.c.at > at)).all()
    assert (rows[0].at, rows[0].document) == (at, document)
    assert (rows[1].at, rows[1].document) == (None, None)
    assert later == []


def test_milliseconds_are_cut_not_rounded() -> None:
    assert clock.isoformat(datetime(2026, 1, 1, 0, 0, 0, 999999, tzinfo=UTC)) == (
        "2026-01-01T00:00:00.999Z"
    )
