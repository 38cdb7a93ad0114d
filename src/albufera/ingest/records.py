"""Tables of ingests and of their items."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from albufera.ingest.model import (
    TERMINAL,
    Ingest,
    IngestState,
    Item,
    ItemState,
    Origin,
    ReasonCount,
)
from albufera.kernel.database import Instant, metadata

ingests = sa.Table(
    "ingests",
    metadata,
    sa.Column("ingest_id", sa.String(40), primary_key=True),
    sa.Column("project_id", sa.ForeignKey("projects.project_id"), nullable=False, index=True),
    sa.Column("collection_id", sa.ForeignKey("collections.collection_id"), nullable=False),
    sa.Column("submitted_by", sa.String(40), nullable=False),
    sa.Column("username", sa.String(64), nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("submitted_at", Instant, nullable=False),
    sa.Column("started_at", Instant),
    sa.Column("beat_at", Instant),
    sa.Column("finished_at", Instant),
)

ingest_items = sa.Table(
    "ingest_items",
    metadata,
    sa.Column("ingest_id", sa.ForeignKey("ingests.ingest_id"), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("project_id", sa.String(40), nullable=False),
    sa.Column("item_key", sa.String(64), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("source_digest", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("series_id", sa.String(40)),
    sa.Column("instance_uid", sa.String(64)),
    sa.Column("at", Instant, nullable=False),
    sa.UniqueConstraint("ingest_id", "item_key"),
    sa.Index("ix_ingest_items_by_source", "project_id", "source_digest"),
    sa.Index("ix_ingest_items_by_state", "ingest_id", "state", "ordinal"),
)


def to_ingest(row: sa.Row[Any], counts: Mapping[ItemState, int]) -> Ingest:
    """Make an ingest of its row and its counts."""
    return Ingest(
        ingest_id=row.ingest_id,
        project_id=row.project_id,
        collection_id=row.collection_id,
        submitted_by=row.submitted_by,
        username=row.username,
        origin=Origin(row.origin),
        state=IngestState(row.state),
        note=row.note,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=dict(counts),
    )


def to_item(row: sa.Row[Any]) -> Item:
    """Make an item of its row."""
    return Item(
        ingest_id=row.ingest_id,
        ordinal=row.ordinal,
        path=row.path,
        state=ItemState(row.state),
        code=row.code,
        reason=row.reason,
        size=row.size,
        series_id=row.series_id,
        instance_uid=row.instance_uid,
        source_digest=row.source_digest,
        at=row.at,
    )


def counts_of(connection: Connection, ingest_ids: Sequence[str]) -> dict[str, dict[ItemState, int]]:
    """Return, for each ingest, how many files ended in each terminal state."""
    counts: dict[str, dict[ItemState, int]] = {
        ingest_id: dict.fromkeys(TERMINAL, 0) for ingest_id in ingest_ids
    }
    rows = connection.execute(
        sa.select(ingest_items.c.ingest_id, ingest_items.c.state, sa.func.count().label("files"))
        .where(ingest_items.c.ingest_id.in_(ingest_ids))
        .group_by(ingest_items.c.ingest_id, ingest_items.c.state)
    )
    for row in rows:
        counts[row.ingest_id][ItemState(row.state)] = row.files
    return counts


def ingest_by_id(connection: Connection, ingest_id: str) -> Ingest | None:
    """Return an ingest with its counts, or None."""
    row = connection.execute(ingests.select().where(ingests.c.ingest_id == ingest_id)).one_or_none()
    if row is None:
        return None
    return to_ingest(row, counts_of(connection, [ingest_id])[ingest_id])


def reasons_of(connection: Connection, ingest_id: str) -> Sequence[ReasonCount]:
    """Return why the files of an ingest ended as they did, the most frequent first."""
    count = sa.func.count().label("files")
    rows = connection.execute(
        sa.select(
            ingest_items.c.state,
            ingest_items.c.code,
            sa.func.min(ingest_items.c.reason).label("reason"),
            count,
        )
        .where(ingest_items.c.ingest_id == ingest_id, ingest_items.c.code != "")
        .group_by(ingest_items.c.state, ingest_items.c.code)
        .order_by(count.desc(), ingest_items.c.state, ingest_items.c.code)
    )
    return [ReasonCount(ItemState(r.state), r.code, r.reason, r.files) for r in rows]


def keys_present(connection: Connection, ingest_id: str, keys: Iterable[str]) -> set[str]:
    """Return which of the items have ended already in this ingest."""
    rows = connection.execute(
        sa.select(ingest_items.c.item_key).where(
            ingest_items.c.ingest_id == ingest_id, ingest_items.c.item_key.in_(list(keys))
        )
    )
    return {row.item_key for row in rows}


def sources_admitted(
    connection: Connection, project_id: str, digests: Iterable[str]
) -> dict[str, Any]:
    """Return, of the source digests given, those admitted in the project, with what they became."""
    rows = connection.execute(
        sa.select(
            ingest_items.c.source_digest, ingest_items.c.series_id, ingest_items.c.instance_uid
        ).where(
            ingest_items.c.project_id == project_id,
            ingest_items.c.source_digest.in_(list(digests)),
            ingest_items.c.state == ItemState.ADMITTED.value,
        )
    )
    return {row.source_digest: row for row in rows}


def next_ordinal(connection: Connection, ingest_id: str) -> int:
    """Return the number that the next item of an ingest gets."""
    last = connection.scalar(
        sa.select(sa.func.max(ingest_items.c.ordinal)).where(ingest_items.c.ingest_id == ingest_id)
    )
    return 0 if last is None else last + 1
