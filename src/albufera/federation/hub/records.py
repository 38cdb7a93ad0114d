"""Tables of the hub: nodes, tokens, nonces, listed datasets, questions and answers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.federation.hub.model import (
    EnrolledNode,
    Entry,
    NodeAnswer,
    NodeState,
    Query,
    Standing,
)
from albufera.federation.messages import DatasetOffer
from albufera.federation.model import Told
from albufera.identity.records import users
from albufera.kernel.database import Instant, Json, metadata
from albufera.kernel.policy import Columns

nodes = sa.Table(
    "hub_nodes",
    metadata,
    sa.Column("node_id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("own_name", sa.String(200), nullable=False),
    sa.Column("url", sa.String(300), nullable=False),
    sa.Column("contact", sa.String(300), nullable=False),
    sa.Column("vkey", sa.String(400), nullable=False, unique=True),
    sa.Column("key_identity", sa.String(300), nullable=False, index=True),
    sa.Column("fingerprint", sa.String(60), nullable=False),
    sa.Column("threshold", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("enrolled_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)

tokens = sa.Table(
    "hub_enrolment_tokens",
    metadata,
    sa.Column("token_id", sa.String(40), primary_key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created_by", sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("node_id", sa.ForeignKey("hub_nodes.node_id")),
)

nonces = sa.Table(
    "hub_nonces",
    metadata,
    sa.Column("vkey", sa.String(400), primary_key=True),
    sa.Column("nonce", sa.String(64), primary_key=True),
    sa.Column("at", Instant, nullable=False, index=True),
)

entries = sa.Table(
    "hub_entries",
    metadata,
    sa.Column("entry_id", sa.String(40), primary_key=True),
    sa.Column("node_id", sa.ForeignKey("hub_nodes.node_id"), nullable=False),
    sa.Column("dataset_id", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("searched", sa.Text, nullable=False),
    sa.Column("offer", Json, nullable=False),
    sa.Column("offered_at", Instant, nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.UniqueConstraint("node_id", "dataset_id"),
)

facets = sa.Table(
    "hub_entry_facets",
    metadata,
    sa.Column("entry_id", sa.ForeignKey("hub_entries.entry_id"), primary_key=True),
    sa.Column("facet", sa.String(40), primary_key=True),
    sa.Column("value", sa.String(200), primary_key=True),
    sa.Index("ix_hub_entry_facets_by_value", "facet", "value"),
)

queries = sa.Table(
    "hub_queries",
    metadata,
    sa.Column("query_id", sa.String(40), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("expression", Json, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("deadline", Instant, nullable=False, index=True),
    sa.Index("ix_hub_queries_by_user", "user_id", "asked_at"),
)

answers = sa.Table(
    "hub_answers",
    metadata,
    sa.Column("query_id", sa.ForeignKey("hub_queries.query_id"), primary_key=True),
    sa.Column("node_id", sa.ForeignKey("hub_nodes.node_id"), primary_key=True),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("subjects", Json),
    sa.Column("studies", Json),
    sa.Column("note", sa.String(300), nullable=False),
    sa.Column("answered_at", Instant, nullable=False),
)

_ANSWER = [answers.c[name] for name in ("outcome", "subjects", "studies", "note", "answered_at")]

QUERY_COLUMNS = Columns(id=queries.c.query_id, owner_id=queries.c.user_id)
"""Where the facts that the policy looks at are, in `hub_queries`."""

QUERIES = sa.select(queries, users.c.username).join(users, users.c.user_id == queries.c.user_id)
ENTRIES = sa.select(entries, nodes.c.name.label("node_name")).join(
    nodes, nodes.c.node_id == entries.c.node_id
)


def node_rows(connection: Connection, *conditions: sa.ColumnElement[bool]) -> Sequence[Row[Any]]:
    """Return nodes by name, each with the number of published datasets that it lists."""
    listed = (
        sa.select(sa.func.count())
        .where(entries.c.node_id == nodes.c.node_id, entries.c.state == "published")
        .scalar_subquery()
    )
    query = sa.select(nodes, listed.label("datasets")).where(*conditions)
    return connection.execute(query.order_by(nodes.c.name, nodes.c.node_id)).all()


def keys_named(connection: Connection, identity: str) -> Sequence[Row[Any]]:
    """Return the nodes whose key has this name and short id (which could collide)."""
    return connection.execute(nodes.select().where(nodes.c.key_identity == identity)).all()


def spend(connection: Connection, vkey: str, nonce: str, at: datetime, forget: datetime) -> None:
    """Remember a nonce, and forget those from before `forget`."""
    connection.execute(nonces.delete().where(nonces.c.at < forget))
    connection.execute(nonces.insert().values(vkey=vkey, nonce=nonce, at=at))


def replace_facets(connection: Connection, entry_id: str, rows: Sequence[tuple[str, str]]) -> None:
    """Set the (facet, value) pairs of a listed dataset."""
    connection.execute(facets.delete().where(facets.c.entry_id == entry_id))
    if rows:
        connection.execute(
            facets.insert(),
            [{"entry_id": entry_id, "facet": facet, "value": value} for facet, value in rows],
        )


def waiting_queries(
    connection: Connection, node_id: str, now: datetime, limit: int
) -> Sequence[Row[Any]]:
    """Return the oldest open questions that a node has not answered."""
    answered = sa.select(answers.c.query_id).where(answers.c.node_id == node_id)
    return connection.execute(
        queries.select()
        .where(queries.c.deadline > now, queries.c.query_id.not_in(answered))
        .order_by(queries.c.query_id)
        .limit(limit)
    ).all()


def answer_rows(connection: Connection, query_id: str) -> Sequence[Row[Any]]:
    """Return how every node that is heard, or that has answered, stands to a question."""
    mine = sa.and_(answers.c.node_id == nodes.c.node_id, answers.c.query_id == query_id)
    columns = (nodes.c.node_id, nodes.c.name, nodes.c.seen_at, *_ANSWER)
    query: sa.Select[Any] = (
        sa.select(*columns)
        .select_from(nodes.join(answers, mine, isouter=True))
        .where(sa.or_(nodes.c.state == NodeState.ENROLLED, answers.c.outcome.is_not(None)))
        .order_by(nodes.c.name, nodes.c.node_id)
    )
    return connection.execute(query).all()


def to_node(row: Row[Any]) -> EnrolledNode:
    """Make a node of a row of `node_rows`."""
    return EnrolledNode(
        node_id=row.node_id,
        name=row.name,
        own_name=row.own_name,
        url=row.url,
        contact=row.contact,
        fingerprint=row.fingerprint,
        threshold=row.threshold,
        state=NodeState(row.state),
        enrolled_at=row.enrolled_at,
        seen_at=row.seen_at,
        datasets=row.datasets,
    )


def to_entry(row: Row[Any]) -> Entry:
    """Make a listed dataset of a row of `ENTRIES`."""
    offer = DatasetOffer.model_validate(row.offer)
    return Entry(row.entry_id, row.node_id, row.node_name, offer, row.received_at)


def to_query(row: Row[Any]) -> Query:
    """Make a question of a row of `QUERIES`."""
    return Query(row.query_id, row.username, row.expression, row.digest, row.asked_at, row.deadline)


def to_answer(row: Row[Any], silent: datetime, *, expired: Standing | None) -> NodeAnswer:
    """Make what a node has said of a row of `answer_rows`; silent since `silent` is offline."""
    if row.outcome is None:
        unheard = Standing.OFFLINE if row.seen_at < silent else Standing.WAITING
        return NodeAnswer(row.node_id, row.name, expired or unheard)
    return NodeAnswer(
        node_id=row.node_id,
        node_name=row.name,
        standing=Standing(row.outcome),
        subjects=_told(row.subjects),
        studies=_told(row.studies),
        answered_at=row.answered_at,
        note=row.note,
    )


def _told(document: dict[str, Any] | None) -> Told | None:
    return None if document is None else Told(**document)
