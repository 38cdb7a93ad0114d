"""The database's schema: migrations brought up to the code's version."""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def upgrade_schema(database_url: str) -> None:
    """Bring a database up to the schema of this version; a no-op when it is there already."""
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        current = schema_is_current(connection)
    engine.dispose()
    if current:
        return
    from alembic import command  # large, and needed by `init` and upgrades only
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")


def schema_is_current(connection: Connection) -> bool:
    """Tell whether the database has the schema of this version."""
    try:
        present = set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
    except DatabaseError:  # there is no such table: nothing was ever migrated here
        return False
    return present == {newest_revision()}


@cache
def newest_revision() -> str:
    """Return the last revision: migrations are one chain, and their files begin with its number."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
