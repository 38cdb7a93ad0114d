"""The database's schema: migrations brought up to the code's version."""

from pathlib import Path

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def upgrade_schema(database_url: str) -> None:
    """Bring a database up to the schema of this version; a no-op when it is there already."""
    from alembic import command  # slow to import, and needed by `init` and upgrades only
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")
