"""The local registrar's own table: what was registered, and the metadata deposited with it."""

import sqlalchemy as sa

from albufera.kernel.database import Instant, Json, metadata
from albufera.publication.model import MAX_IDENTIFIER

registrations = sa.Table(
    "local_registrations",
    metadata,
    sa.Column("identifier", sa.String(MAX_IDENTIFIER), primary_key=True),
    sa.Column("dataset_id", sa.String(40), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("url", sa.String(1000), nullable=False),
    sa.Column("metadata", Json, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
)
