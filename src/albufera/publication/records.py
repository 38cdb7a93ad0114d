"""The identifiers that this node's datasets were given, and what the public may see of datasets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from albufera.catalogue.records import DATASET_COLUMNS, datasets
from albufera.governance.records import projects
from albufera.kernel.actor import ANONYMOUS
from albufera.kernel.database import Instant, metadata
from albufera.kernel.policy import Policy
from albufera.publication.model import IdentifierState

identifiers = sa.Table(
    "identifiers",
    metadata,
    sa.Column("identifier", sa.String(200), primary_key=True),
    sa.Column("dataset_id", sa.ForeignKey("datasets.dataset_id"), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("metadata_sha256", sa.String(64), nullable=False, default=""),
    sa.Column("reserved_at", Instant, nullable=False),
    sa.Column("registered_at", Instant),
    sa.Column("tombstoned_at", Instant),
)


def public_condition(policy: Policy) -> sa.ColumnElement[bool]:
    """Tell which datasets the public knows: those anybody may view, and what was published once."""
    withdrawn = sa.and_(datasets.c.state == "invalidated", datasets.c.published_at.is_not(None))
    visible = policy.which(ANONYMOUS, "dataset.view", DATASET_COLUMNS)
    return sa.and_(sa.or_(visible, withdrawn), datasets.c.manifest_root.is_not(None))


def project_name(connection: Connection, project_id: str) -> str:
    """Return the name of a project."""
    mine = projects.c.project_id == project_id
    return str(connection.scalar(sa.select(projects.c.name).where(mine)) or "")


def identifier_of(connection: Connection, dataset_id: str) -> Row[Any] | None:
    """Return the identifier of a dataset, whatever its state."""
    mine = identifiers.c.dataset_id == dataset_id
    return connection.execute(identifiers.select().where(mine)).one_or_none()


def dataset_of(connection: Connection, identifier: str) -> str | None:
    """Return the dataset that an identifier was registered for, also when it is a tombstone."""
    return connection.scalar(
        sa.select(identifiers.c.dataset_id).where(
            identifiers.c.identifier == identifier,
            identifiers.c.state != IdentifierState.RESERVED.value,
        )
    )


def reserve(connection: Connection, identifier: str, dataset_id: str, at: datetime) -> None:
    """Remember which identifier a dataset is to have; once."""
    if identifier_of(connection, dataset_id) is None:
        connection.execute(
            identifiers.insert().values(
                identifier=identifier,
                dataset_id=dataset_id,
                state=IdentifierState.RESERVED.value,
                metadata_sha256="",
                reserved_at=at,
            )
        )


def move(
    connection: Connection, identifier: str, before: IdentifierState, **values: object
) -> bool:
    """Change an identifier that is in the state `before`; tell whether it was."""
    changed = connection.execute(
        identifiers.update()
        .where(identifiers.c.identifier == identifier, identifiers.c.state == before.value)
        .values(**values)
    )
    return bool(changed.rowcount)


def published(connection: Connection, policy: Policy, limit: int) -> Sequence[tuple[str, datetime]]:
    """Return (dataset id, moment of publication) of published datasets, the newest first."""
    query = (
        sa.select(datasets.c.dataset_id, datasets.c.published_at)
        .where(public_condition(policy), datasets.c.state == "published")
        .order_by(datasets.c.dataset_id.desc())
        .limit(limit)
    )
    return [(row.dataset_id, row.published_at) for row in connection.execute(query)]
