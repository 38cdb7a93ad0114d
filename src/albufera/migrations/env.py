"""Alembic's entry: runs the migrations over the database that `bootstrap.schema` names."""

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from albufera.kernel.database import Instant, Json, metadata


def render_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our own column types as what they are in the database."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.String(27)"
    if kind == "type" and isinstance(item, Json):
        return "sa.Text()"
    return False


engine = sa.create_engine(context.config.attributes["database_url"])
with engine.begin() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=render_type,
    )
    context.run_migrations()
engine.dispose()
