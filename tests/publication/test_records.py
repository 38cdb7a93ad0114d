"""The table of identifiers, on both databases."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from albufera.catalogue.records import datasets
from albufera.governance.policy import TablePolicy
from albufera.governance.records import projects
from albufera.identity.records import users
from albufera.kernel.database import Database
from albufera.publication import records
from albufera.publication.model import IdentifierState

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def filled(database: Database) -> Database:
    """One dataset of each state, of which two were published."""
    with database.write() as connection:
        connection.execute(
            projects.insert().values(
                project_id="p", code="LUNG", name="Lung", description="", created_at=MOMENT
            )
        )
        user = {c.name: _some(c) for c in users.c if not c.nullable} | {"user_id": "u"}
        connection.execute(users.insert().values(**user))
        for name, state, published in (
            ("a", "released", None), ("b", "published", MOMENT), ("c", "invalidated", MOMENT),
            ("d", "invalidated", None), ("e", "ready", None),
        ):  # fmt: skip
            values = {c.name: _some(c) for c in datasets.c if not c.nullable}
            values |= {
                "dataset_id": name, "project_id": "p", "state": state, "created_by": "u",
                "published_at": published, "manifest_root": "0" * 64,
            }  # fmt: skip
            connection.execute(datasets.insert().values(**values))
    return database


def _some(column: sa.Column[object]) -> object:
    python = (
        column.type.python_type if not isinstance(column.type, sa.types.TypeDecorator) else None
    )
    return {str: "", int: 0, bool: False}.get(python or object, MOMENT)


def test_the_public_knows_what_is_or_was_published(filled: Database) -> None:
    condition = records.public_condition(TablePolicy())
    with filled.read() as connection:
        query = sa.select(datasets.c.dataset_id).where(condition).order_by(datasets.c.dataset_id)
        assert list(connection.scalars(query)) == ["b", "c"]
        assert records.published(connection, TablePolicy(), 10) == [("b", MOMENT)]
        assert records.project_name(connection, "p") == "Lung"


def test_an_identifier_is_reserved_once_and_moves_on_once(filled: Database) -> None:
    with filled.write() as connection:
        records.reserve(connection, "albufera:n/1", "b", MOMENT)
        records.reserve(connection, "albufera:n/2", "b", MOMENT)
        row = records.identifier_of(connection, "b")
        assert row is not None
        assert (row.identifier, row.state) == ("albufera:n/1", "reserved")
        assert records.dataset_of(connection, "albufera:n/1") is None
        registered = {"state": IdentifierState.REGISTERED.value, "registered_at": MOMENT}
        reserved = IdentifierState.RESERVED
        assert records.move(connection, "albufera:n/1", reserved, **registered)
        assert not records.move(connection, "albufera:n/1", reserved, **registered)
        assert records.dataset_of(connection, "albufera:n/1") == "b"
        assert records.dataset_of(connection, "albufera:n/2") is None
