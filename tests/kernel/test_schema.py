"""Migrations make exactly the tables that the code declares, on both databases."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from albufera.bootstrap.schema import upgrade_schema
from albufera.kernel.database import metadata


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'x.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def test_migrations_make_the_tables_of_the_code(empty_url: str) -> None:
    upgrade_schema(empty_url)
    upgrade_schema(empty_url)
    engine = sa.create_engine(empty_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        differences = [
            item for item in compare_metadata(context, metadata) if "test_" not in str(item)
        ]
    engine.dispose()
    assert differences == []
