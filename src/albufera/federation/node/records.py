"""Tables of a node's part in federations: memberships, offers, answers, and what was told."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.federation.model import Told
from albufera.federation.node.disclosure import Anchor, Measured, Sketch
from albufera.federation.node.model import AnsweredQuestion, Membership, MembershipState
from albufera.kernel.database import Instant, Json, metadata
from albufera.kernel.ids import new_id

memberships = sa.Table(
    "federation_memberships",
    metadata,
    sa.Column("hub_id", sa.String(40), primary_key=True),
    sa.Column("url", sa.String(300), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("known_as", sa.String(200), nullable=False),
    sa.Column("node_id", sa.String(40), nullable=False),
    sa.Column("vkey", sa.String(400), nullable=False, unique=True),
    sa.Column("fingerprint", sa.String(60), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("joined_at", Instant, nullable=False),
    sa.Column("last_contact_at", Instant),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
)

offers = sa.Table(
    "federation_offers",
    metadata,
    sa.Column("hub_id", sa.ForeignKey("federation_memberships.hub_id"), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("acknowledged_digest", sa.String(64)),
    sa.Column("acknowledged_at", Instant),
    sa.Column("refusal", sa.String(300), nullable=False),
)

answers = sa.Table(
    "federation_answers",
    metadata,
    sa.Column("hub_id", sa.ForeignKey("federation_memberships.hub_id"), primary_key=True),
    sa.Column("query_id", sa.String(40), primary_key=True),
    sa.Column("expression", Json, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("asker", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("subjects", Json),
    sa.Column("studies", Json),
    sa.Column("note", sa.String(300), nullable=False),
    sa.Column("answered_at", Instant, nullable=False),
    sa.Column("delivered_at", Instant),
    sa.Index("ix_federation_answers_by_time", "hub_id", "answered_at"),
)

anchors = sa.Table(
    "federation_told_counts",
    metadata,
    sa.Column("told_id", sa.String(40), primary_key=True),
    sa.Column("measure", sa.String(16), nullable=False),
    sa.Column("threshold", sa.Integer, nullable=False),
    sa.Column("subjects", sa.BigInteger, nullable=False),
    sa.Column("sketch", sa.LargeBinary, nullable=False),
    sa.Column("at_least", sa.BigInteger, nullable=False),
    sa.Column("told_at", Instant, nullable=False),
    sa.Index("ix_federation_told_counts_by_size", "measure", "threshold", "subjects"),
)


def told_before(
    connection: Connection, name: str, measured: Measured, threshold: int
) -> Iterator[Anchor]:
    """Give the counts told before of sets that may differ by fewer than `threshold` people.

    Only sets of nearly the same size can, so the index finds them.
    """
    table = anchors
    near = table.c.subjects.between(
        measured.subjects - threshold + 1, measured.subjects + threshold - 1
    )
    rows = connection.execute(
        sa.select(table.c.sketch, table.c.at_least)
        .where(table.c.measure == name, table.c.threshold == threshold, near)
        .order_by(table.c.told_id)
        .execution_options(yield_per=50)
    )
    for row in rows:
        yield Anchor(Sketch(row.sketch), Told(threshold, at_least=row.at_least))


def remember_told(
    connection: Connection, name: str, measured: Measured, told: Told, at: datetime
) -> None:
    """Keep a count that was computed and told, for later questions to be compared with."""
    connection.execute(
        anchors.insert().values(
            told_id=new_id("ft"),
            measure=name,
            threshold=told.resolution,
            subjects=measured.subjects,
            sketch=measured.sketch.content,
            at_least=told.at_least,
            told_at=at,
        )
    )


def membership_rows(
    connection: Connection, *conditions: sa.ColumnElement[bool]
) -> Sequence[Membership]:
    """Return memberships, the oldest first."""
    query = memberships.select().where(*conditions).order_by(memberships.c.hub_id)
    return [to_membership(row) for row in connection.execute(query)]


def put_offer(connection: Connection, hub_id: str, dataset_id: str, values: dict[str, Any]) -> None:
    """Set how far a dataset has come to a hub."""
    mine = sa.and_(offers.c.hub_id == hub_id, offers.c.dataset_id == dataset_id)
    if connection.execute(offers.update().where(mine).values(**values)).rowcount == 0:
        connection.execute(
            offers.insert().values(
                hub_id=hub_id, dataset_id=dataset_id, **{"refusal": "", **values}
            )
        )


def as_document(told: Told | None) -> dict[str, Any] | None:
    """Write a told count for a column."""
    return None if told is None else asdict(told)


def to_membership(row: Row[Any]) -> Membership:
    """Make a membership of a row."""
    return Membership(**{**row._mapping, "state": MembershipState(row.state)})


def to_answered(row: Row[Any]) -> AnsweredQuestion:
    """Make what was asked and told of a row of `answers`."""
    return AnsweredQuestion(
        query_id=row.query_id,
        expression=row.expression,
        asker=row.asker,
        outcome=row.outcome,
        subjects=None if row.subjects is None else Told(**row.subjects),
        studies=None if row.studies is None else Told(**row.studies),
        note=row.note,
        answered_at=row.answered_at,
        delivered_at=row.delivered_at,
    )
